"""Heads: named feature maps in, raw predictions out; with the losses and the decoding of those predictions."""

import difflib
from collections.abc import Mapping
from typing import Any

from torch import nn

from heads.aspp import LRASPP, RASPP, LRASPPTorchvision, resize
from heads.losses import IGNORE, LOSSES, SegmentationLoss
from heads.masks import arg_max_mask
from heads.smp import DECODERS, SMPDecoder

ASPP: dict[str, Any] = {"lraspp": LRASPP, "raspp": RASPP, "lraspp-torchvision": LRASPPTorchvision}
SEGMENTATION_HEADS = (*ASPP, *DECODERS)


def backbone_options(name: str) -> dict[str, Any]:
    """The backbone options that a segmentation head's paper uses: output_stride, rf2, dilate_first.

    Raises:
        ValueError: for an unknown name; names the nearest one.
    """
    if name in ASPP:
        return dict(ASPP[name].backbone_options)
    if name in DECODERS:
        return {"output_stride": DECODERS[name]}
    near = difflib.get_close_matches(name, SEGMENTATION_HEADS, 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    raise ValueError(f'there is no segmentation head "{name}"{hint} (there are {", ".join(SEGMENTATION_HEADS)})')


def create_segmentation_head(
    name: str, channels: Mapping[str, int], strides: Mapping[str, int], num_classes: int, **options: Any
) -> nn.Module:
    """Build a segmentation head by name; it has the `taps` it reads.

    Args:
        name: one of `SEGMENTATION_HEADS`.
        channels: the backbone's `channels`.
        strides: the backbone's `strides`.
        num_classes: logits per pixel.
        **options: filters for R-ASPP and LR-ASPP; the library's own for segmentation-models-pytorch's decoders.

    Raises:
        ValueError: for an unknown name.
    """
    backbone_options(name)
    if name in ASPP:
        return ASPP[name](channels, strides, num_classes, **options)
    return SMPDecoder(name, channels, strides, num_classes, **options)


__all__ = [
    "IGNORE",
    "LOSSES",
    "SEGMENTATION_HEADS",
    "SegmentationLoss",
    "arg_max_mask",
    "backbone_options",
    "create_segmentation_head",
    "resize",
]
