"""Start weights for segmentation: a backbone's, and a head's where another network has the same one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones import load_weights
from backbones.pretrained import local_file
from backbones.weights_files import read_weights, require_usable
from tasks.segmentation.task import SegmentationNetwork, SegmentationSpec

PREFIXES = {"segmentation": "network.head.", "joint": "network.head.masks."}


def load_segmentation_weights(network: SegmentationNetwork, spec: SegmentationSpec, source: str | Path) -> str:
    """Fill a segmentation network, or its backbone alone, and say what was taken.

    Args:
        network: filled in place.
        spec: what the network was built from.
        source: "imagenet", or a file or "hf://OWNER/NAME": a segmentation or joint network of ours, of which the head
            is taken too if it is the same one, or any weights of the backbone.

    Returns:
        Text for the user. Classes of the same name keep their logits' weights; the others start anew.

    Raises:
        BackboneError: if nothing in the source fits, or the file cannot be read or holds values that are not finite.
        FileNotFoundError, ConnectionError: if there is no such file, or the download fails.
    """
    report = load_weights(network.backbone, source)
    if source == "imagenet":
        return str(report)
    state, description = read_weights(local_file(source))
    prefix = PREFIXES.get(description.get("task", ""))
    if prefix is None or str(description.get("head")).split("+")[0] != spec.head:
        return str(report)
    report.unused = [key for key in report.unused if not key.startswith(prefix)]
    theirs = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    return f"{report}\n{fill_head(network.head, spec.names, theirs, description.get('names', []), str(source))}"


def fill_head(
    head: Any, names: Sequence[str], state: dict[str, Tensor], their_names: Sequence[str], source: str
) -> str:
    """Fill a segmentation head out of another of its kind, and say what was taken.

    Args:
        head: filled in place; has `last_layers`.
        names: of its classes.
        state: of the other one.
        their_names: of the other one's classes; those of the same name keep their rows of the last layers.
        source: for messages.
    """
    kept = [name for name in names if name in their_names]
    ours, theirs = ([*map(list(all_names).index, kept)] for all_names in (names, their_names))
    last = {id(parameter) for layer in head.last_layers for parameter in layer.parameters()}
    taken = 0
    for key, own in head.state_dict(keep_vars=True).items():
        found = state.get(key)
        if found is None or found.shape[1:] != own.shape[1:] or not (id(own) in last or found.shape == own.shape):
            continue
        require_usable(source, key, found, own)
        with torch.no_grad():
            if id(own) in last:
                own[ours] = found[theirs]
            else:
                own.copy_(found)
        taken += 1
    return f"masks: took {taken} tensors; classes kept: {', '.join(kept) or 'none'}"
