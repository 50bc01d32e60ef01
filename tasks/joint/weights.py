"""Start weights of a joint network: of one of its tasks, of both, or of its backbone."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backbones import build_backbone, load_weights
from backbones.pretrained import local_file
from backbones.weights_files import read_weights
from tasks.detection.weights import load_detection_weights
from tasks.head_weights import fill_head
from tasks.joint.network import Branch, JointNetwork, JointSpec
from tasks.segmentation.weights import PREFIXES


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
    if spec.branch is not None and source != "coco":
        _fill_branch(network.head.branch, spec, source)
    if kind in ("joint", "segmentation"):
        prefix = PREFIXES[kind]
        theirs = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
        masks = fill_head(network.head.masks, spec.names, theirs, description.get("names", []), str(source))
        said += f"\nmasks: {masks}"
        if network.head.branch is not None:
            _copy_branch(network.head.branch, state)
    parameters = dict(network.named_parameters())
    taken = sum(tensor.numel() for key, tensor in parameters.items() if not torch.equal(tensor, before[key]))
    return f"{said}\nof the joint network: {taken / sum(map(Tensor.numel, parameters.values())):.1%} of the parameters"


def _fill_branch(branch: Any, spec: JointSpec, source: str | Path) -> None:
    """Fill the stage that masks have for themselves from the same stage of a backbone."""
    whole: Any = build_backbone(spec.branch)  # type: ignore[arg-type]
    load_weights(whole, source)
    branch.load_state_dict(Branch(spec.branch, whole).state_dict())


def _copy_branch(branch: Any, state: dict[str, Tensor]) -> None:
    """Fill the stage that masks have for themselves from that of another joint network, if it has one."""
    prefix = "network.head.branch."
    own = branch.state_dict()
    theirs = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    if all(key in theirs and theirs[key].shape == tensor.shape for key, tensor in own.items()):
        branch.load_state_dict(theirs)
