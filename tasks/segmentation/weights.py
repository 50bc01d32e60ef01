"""Start weights for segmentation: a backbone's, and a head's where another network has the same one."""

from pathlib import Path

from backbones import load_weights
from backbones.pretrained import local_file
from backbones.weights_files import read_weights
from tasks.head_weights import fill_head
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
    return f"{report}\nmasks: {fill_head(network.head, spec.names, theirs, description.get('names', []), str(source))}"
