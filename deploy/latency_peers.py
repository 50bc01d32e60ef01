"""torchvision's networks in eager float32, as its own references run them, beside which files are measured.

Their weights are random, so that SSDLite's non-maximum suppression, which is inside of it, is given nothing to do.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v3_large, mobilenet_v3_small
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from torchvision.transforms.v2 import functional as T

Image = NDArray[np.uint8]
Stages = tuple[Callable[..., Any], ...]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NOTHING = 1.1  # a score that no box has


def peers(kind: str, spec: Any) -> dict[str, tuple[str, int]]:
    """torchvision's networks for a task by their names, each with its own task and its number of classes.

    Args:
        kind: of the task; of a joint network it is both parts.
        spec: of the network that they stand beside, whose classes they have.
    """
    classes = len(spec.names)
    if kind == "classification":
        return {"mobilenet_v3_small" if "small" in spec.table.name else "mobilenet_v3_large": (kind, classes)}
    if kind == "segmentation":
        return {"lraspp_mobilenet_v3_large": (kind, classes)}
    if kind == "detection":
        return {"ssdlite320_mobilenet_v3_large": (kind, classes)}
    return peers("segmentation", spec.masks) | peers("detection", spec.boxes)


def peer_stages(name: str, classes: int, size: tuple[int, int]) -> tuple[nn.Module, Stages]:
    """A network of torchvision's, and its stages from uint8 [H, W, 3] to the result: preparing, running, decoding.

    Args:
        name: a key of `peers`.
        classes: without the background that SSDLite adds.
        size: height and width of what it sees.
    """
    options = {"weights": None, "weights_backbone": None}
    network: Any
    if name.startswith("ssdlite"):
        network = ssdlite320_mobilenet_v3_large(**options, num_classes=classes + 1, score_thresh=NOTHING).eval()
        network.transform.fixed_size = size[::-1]
        return network, (
            lambda image: [T.to_dtype(_tensor(image), torch.float32, scale=True)],
            torch.inference_mode()(network),
            lambda found, _: {key: value.numpy() for key, value in found[0].items()},
        )
    if name.startswith("lraspp"):
        network = lraspp_mobilenet_v3_large(**options, num_classes=classes).eval()
        run = torch.inference_mode()(lambda batch: network(batch)["out"])
        return network, (lambda image: _prepared(image, size), run, torch.inference_mode()(_mask))
    make = mobilenet_v3_small if name.endswith("small") else mobilenet_v3_large
    network = make(weights=None, num_classes=classes).eval()
    decode = torch.inference_mode()(lambda logits, _: logits.softmax(1).numpy())
    return network, (lambda image: _prepared(image, size), torch.inference_mode()(network), decode)


def _tensor(image: Image) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def _prepared(image: Image, size: tuple[int, int]) -> torch.Tensor:
    resized = T.resize(_tensor(image), list(size), antialias=True)
    return T.normalize(T.to_dtype(resized, torch.float32, scale=True), list(MEAN), list(STD))[None]


def _mask(logits: torch.Tensor, size: tuple[int, int]) -> Image:
    mask: Image = F.interpolate(logits, size, mode="bilinear").argmax(1)[0].to(torch.uint8).numpy()
    return mask
