"""Start weights of a joint network: of one of its tasks, of both, or of its backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backbones import build_backbone, load_weights
from backbones.pretrained import local_file
from backbones.weights_files import read_weights, require_usable
from tasks.detection.weights import load_detection_weights
from tasks.joint.network import Branch, JointNetwork, JointSpec


class View(nn.Module):
    """A backbone and one head of a joint network, which stay the network's, as a network of one task has them."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head


def load_joint_weights(network: JointNetwork, spec: JointSpec, source: str | Path) -> str:
    """Fill a joint network, or the parts of it that a source has, and say what was taken.

    Args:
        network: filled in place.
        spec: what the network was built from.
        source: "imagenet" (the backbone), "coco" (backbone and boxes, see `load_detection_weights`), or a file or
            "hf://OWNER/NAME": a segmentation network, a detector or a joint network of ours, whose classes of the same
            name are kept; or any weights of the backbone.

    Returns:
        Text for the user, with the share of the whole network's parameters that came from the source.

    Raises:
        BackboneError, TaskError: see `backbones.load_weights` and `load_detection_weights`.
        FileNotFoundError, ConnectionError: if there is no such file, or the download fails.
    """
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state, description = ({}, {}) if source in ("imagenet", "coco") else read_weights(local_file(source))
    kind = description.get("task")
    if kind == "joint" or source == "coco" or kind == "detection":
        boxes = View(network.backbone, network.head.boxes)
        said = load_detection_weights(boxes, spec.boxes, source)  # type: ignore[arg-type]
    else:
        said = str(load_weights(network.backbone, source))
    if spec.branch is not None and kind != "joint" and source != "coco":
        _fill_branch(network.head.branch, spec, source)
    if kind in ("joint", "segmentation"):
        said += "\n" + _fill_masks(network.head, spec, state, description.get("names", []), str(source))
    parameters = dict(network.named_parameters())
    taken = sum(tensor.numel() for key, tensor in parameters.items() if not torch.equal(tensor, before[key]))
    return f"{said}\nof the joint network: {taken / sum(map(Tensor.numel, parameters.values())):.1%} of the parameters"


def _fill_branch(branch: Any, spec: JointSpec, source: str | Path) -> None:
    """Fill the stage that masks have for themselves from the same stage of a backbone."""
    whole: Any = build_backbone(spec.branch)  # type: ignore[arg-type]
    load_weights(whole, source)
    branch.load_state_dict(Branch(spec.branch, whole).state_dict())


def _fill_masks(head: Any, spec: JointSpec, state: dict[str, Tensor], their_names: Sequence[str], source: str) -> str:
    """Fill the segmentation head, out of another or a joint network; rows of classes of the same name are kept."""
    kept = [name for name in spec.names if name in their_names]
    ours, theirs = ([*map(list(names).index, kept)] for names in (spec.names, their_names))
    last = {id(parameter) for layer in head.masks.last_layers for parameter in layer.parameters()}
    taken = 0
    for key, own in head.state_dict(keep_vars=True).items():
        part, _, rest = key.partition(".")
        found = state.get(f"network.head.{key}", state.get(f"network.head.{rest}") if part == "masks" else None)
        if part == "boxes" or found is None or found.shape[1:] != own.shape[1:]:
            continue
        require_usable(source, key, found, own)
        with torch.no_grad():
            if id(own) in last:
                own[ours] = found[theirs]
            elif found.shape == own.shape:
                own.copy_(found)
            else:
                continue
        taken += 1
    return f"masks: took {taken} tensors; classes kept: {', '.join(kept) or 'none'}"
