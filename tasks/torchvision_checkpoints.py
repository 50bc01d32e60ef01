"""torchvision's trained dense networks: torchvision:lraspp_mobilenet_v3_large, say, is a checkpoint for every tool."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.models import WeightsEnum
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights
from torchvision.models.segmentation import LRASPP_MobileNet_V3_Large_Weights

from backbones.keys import torchvision_keys
from backbones.pretrained import fetch_weights
from backbones.weights_download import ADVICE
from datasets import default_colours
from tasks.checkpoints import VERSION, write_safetensors
from tasks.detection.task import DetectionSpec, DetectionTask, detection_table
from tasks.detection.weights import SCALED, from_torchvision
from tasks.segmentation.task import SegmentationNetwork, SegmentationSpec, SegmentationTask, segmentation_table

NO_CLASS = "N/A"  # of an id that COCO's boxes do not have
SIDE = 520  # pixels of the shorter side of what torchvision's LR-ASPP is evaluated on
HEAD = {"branch.0": "cbr.0", "branch.1": "cbr.1", "gate": "scale.1"}
HEAD |= {"classify_low": "low_classifier", "classify_high": "high_classifier"}


@dataclass(frozen=True)
class Trained:
    """A network of torchvision's.

    Attributes:
        weights: where they are, and which classes they have.
        convert: makes a task of ours of a state dict and the names of its classes, background first.
    """

    weights: WeightsEnum
    convert: Callable[[dict[str, Tensor], list[str]], Any]


def torchvision_checkpoint(name: str) -> Path:
    """A checkpoint of ours with a network of torchvision's, in torch's cache beside what was downloaded.

    Args:
        name: a key of `NETWORKS`.

    Raises:
        ConnectionError: if the download fails.
        TaskError: if the cache cannot be written to.
    """
    trained = NETWORKS[name]
    weights = trained.weights
    released = weights.url.rpartition("/")[2].removesuffix(".pth")  # ends in digits of the file's hash
    path = Path(torch.hub.get_dir(), "mobiledense", f"{released}_{VERSION}.safetensors")
    if not path.is_file():  # once, as no two files of the same weights have the same bytes
        try:
            state = fetch_weights(weights)
        except ConnectionError as error:  # whose last words are of options that start weights have
            raise ConnectionError(str(error).removesuffix(f", or {ADVICE}")) from None
        task = trained.convert(state, list(weights.meta["categories"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_safetensors(task.state_dict(), task.describe(), path)
    return path


def convert_lraspp(state: dict[str, Tensor], names: list[str]) -> SegmentationTask:
    """`torchvision.models.segmentation.lraspp_mobilenet_v3_large`, which sees images with a shorter side of 520."""
    names = ["background", *names[1:]]
    head = "lraspp-torchvision"
    table = segmentation_table("v3-large", head)
    task = SegmentationTask(
        SegmentationSpec(table, head, names, default_colours(len(names)), (SIDE, SIDE), shorter_side=SIDE)
    )
    task.network.load_state_dict({ours: state[theirs] for ours, theirs in lraspp_keys(task.network).items()})
    return task


def lraspp_keys(network: SegmentationNetwork) -> dict[str, str]:
    """Our key -> torchvision's of LR-ASPP on V3-Large with the head lraspp-torchvision, without an auxiliary one."""
    backbone: Any = network.backbone
    keys = {f"backbone.{ours}": theirs for ours, theirs in torchvision_keys(backbone).items()}
    keys = {ours: theirs.replace("features", "backbone", 1) for ours, theirs in keys.items()}
    for key in network.head.state_dict():
        layer, part = key.rsplit(".", 1)
        keys[f"head.{key}"] = f"classifier.{HEAD[layer]}.{part}"
    return keys


def convert_ssdlite(state: dict[str, Tensor], names: list[str]) -> DetectionTask:
    """`torchvision.models.detection.ssdlite320_mobilenet_v3_large`, without the classes that COCO does not have."""
    kept = [index for index, name in enumerate(names) if name != NO_CLASS]
    own = [names[index] for index in kept[1:]]
    head, colours = "ssdlite-torchvision", default_colours(len(kept))[1:]
    task = DetectionTask(DetectionSpec(detection_table("v3-large"), head, own, colours, (320, 320), **SCALED))
    found = from_torchvision(task.network, state)
    for key, tensor in found.items():
        if key.startswith("head.class_branches.") and key.split(".")[3] == "1":
            found[key] = tensor.unflatten(0, (-1, len(names)))[:, kept].flatten(0, 1)
    task.network.load_state_dict(found)
    return task


NETWORKS = {
    "lraspp_mobilenet_v3_large": Trained(LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1, convert_lraspp),
    "ssdlite320_mobilenet_v3_large": Trained(SSDLite320_MobileNet_V3_Large_Weights.COCO_V1, convert_ssdlite),
}
