"""Heads by name."""

import inspect
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from torch import nn

from heads.head_options import check_options, unknown
from heads.inputs import HeadError
from heads.lraspp import LRASPP, RASPP, LRASPPTorchvision
from heads.smp import DECODERS, SMPDecoder
from heads.ssdlite import SSDLite

ASPP: dict[str, Any] = {"lraspp": LRASPP, "raspp": RASPP, "lraspp-torchvision": LRASPPTorchvision}
SEGMENTATION_HEADS = (*ASPP, *DECODERS)
# options of `SSDLite`: as in the papers' Table 6, and as torchvision builds it
DETECTION_HEADS: dict[str, dict[str, Any]] = {"ssdlite": {"first": 3}, "ssdlite-torchvision": {"first": 6}}


def backbone_options(name: str) -> dict[str, Any]:
    """The backbone options that a segmentation head's paper uses: output_stride, rf2, dilate_first.

    Raises:
        HeadError: for an unknown name; names the nearest one.
    """
    if name in ASPP:
        return dict(ASPP[name].backbone_options)
    if name in DECODERS:
        return {"output_stride": DECODERS[name]}
    raise HeadError(unknown("segmentation head", name, SEGMENTATION_HEADS))


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
        HeadError: for an unknown name or option, naming the nearest one, a value that an option cannot have, or a tap
            that the backbone lacks.
    """
    backbone_options(name)
    if name in ASPP:
        check_options(name, _options(ASPP[name]), options)
        return ASPP[name](channels, strides, num_classes, **options)
    return SMPDecoder(name, channels, strides, num_classes, **options)


def create_detection_head(
    name: str, channels: Mapping[str, int], strides: Mapping[str, int], num_classes: int, **options: Any
) -> SSDLite:
    """Build a detection head by name; it has the `taps` it reads.

    Args:
        name: a key of `DETECTION_HEADS`.
        channels: the backbone's `channels`.
        strides: the backbone's `strides`.
        num_classes: without background.
        **options: of `SSDLite`.

    Raises:
        HeadError: for an unknown name or option, naming the nearest one, a value that an option cannot have, or a tap
            that the backbone lacks.
    """
    if name not in DETECTION_HEADS:
        raise HeadError(unknown("detection head", name, DETECTION_HEADS))
    check_options(name, BOX_OPTIONS, options)
    return SSDLite(channels, strides, num_classes, **DETECTION_HEADS[name] | options)


def _options(head: type[nn.Module]) -> dict[str, type]:
    """The options of a head and their types, behind channels, strides and the number of classes."""
    parameters = list(inspect.signature(head).parameters.values())[3:]
    kinds = {p.name: p.annotation if isinstance(p.annotation, type) else get_args(p.annotation)[0] for p in parameters}
    return {name: get_origin(kind) or kind for name, kind in kinds.items()}


BOX_OPTIONS = _options(SSDLite)
