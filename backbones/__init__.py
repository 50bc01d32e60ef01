"""Backbones: a picture in, named feature maps out.

from backbones import create_backbone, mobilenet_v3_large
features = mobilenet_v3_large(weights="imagenet")(images)      # {"c1": ..., ..., "c5": ...}
"""

import difflib
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from backbones.mobilenet import Backbone
from backbones.papers import (
    mnasnet_a1_table,
    mnasnet_b1_table,
    mobilenet_v1_table,
    mobilenet_v2_table,
    mobilenet_v3_table,
)
from backbones.tables import Row, Table
from backbones.weights import LoadReport, load_weights

TABLES: dict[str, Callable[..., Table]] = {
    "v1": mobilenet_v1_table,
    "v2": mobilenet_v2_table,
    "mnasnet-a1": mnasnet_a1_table,
    "mnasnet-b1": mnasnet_b1_table,
    "v3-large": partial(mobilenet_v3_table, "large"),
    "v3-small": partial(mobilenet_v3_table, "small"),
}
GEOMETRY = ("output_stride", "dilate_first", "small_pictures")


def table_options(name: str) -> list[str]:
    """The options that `create_table` takes for a backbone.

    Raises:
        ValueError: for an unknown name; names the nearest one.
    """
    if name not in TABLES:
        near = difflib.get_close_matches(name, TABLES, 1, cutoff=0.3)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise ValueError(f'there is no backbone "{name}"{hint} (there are {", ".join(TABLES)})')
    return [*(option for option in inspect.signature(TABLES[name]).parameters if option != "variant"), *GEOMETRY]


def create_table(name: str, **options: Any) -> Table:
    """The table of a backbone by name.

    Args:
        name: a key of `TABLES`.
        **options: `output_stride` (8, 16 or 32), `dilate_first` and `small_pictures`, see `Table`; and those of the
            family's own function in `backbones.papers`, such as `width`.

    Raises:
        ValueError: for an unknown name or option, or a value that the option cannot have.
    """
    known = table_options(name)
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise ValueError(f'{name} has no option "{option}"{hint} (it has {", ".join(known)})')
    rows = {option: value for option, value in options.items() if option not in GEOMETRY}
    return replace(TABLES[name](**rows), **{option: options[option] for option in options.keys() - rows.keys()})


def create_backbone(
    name: str, *, weights: str | Path | None = None, taps: Sequence[str] | None = None, **options: Any
) -> Backbone:
    """Build a backbone by name.

    Args:
        name: a key of `TABLES`.
        weights: "imagenet", a weights file, or None for random ones. What was taken is logged.
        taps: the feature maps to return, see `Backbone`; by default c1 to c5.
        **options: see `create_table`.

    Raises:
        ValueError: for an unknown name, option or tap.
    """
    backbone = Backbone(create_table(name, **options), taps)
    if weights is not None:
        logging.getLogger(__name__).info("%s", load_weights(backbone, weights))
    return backbone


def mobilenet_v1(**options: Any) -> Backbone:
    """MobileNetV1 (arXiv 1704.04861, Table 1); options as in `create_backbone`."""
    return create_backbone("v1", **options)


def mobilenet_v2(**options: Any) -> Backbone:
    """MobileNetV2 (arXiv 1801.04381, Table 2); options as in `create_backbone`."""
    return create_backbone("v2", **options)


def mnasnet_a1(**options: Any) -> Backbone:
    """MnasNet-A1 (arXiv 1807.11626, Figure 7); options as in `create_backbone`."""
    return create_backbone("mnasnet-a1", **options)


def mnasnet_b1(**options: Any) -> Backbone:
    """MnasNet-B1, which torchvision calls MNASNet; options as in `create_backbone`."""
    return create_backbone("mnasnet-b1", **options)


def mobilenet_v3_large(**options: Any) -> Backbone:
    """MobileNetV3-Large (arXiv 1905.02244, Table 1); options as in `create_backbone`."""
    return create_backbone("v3-large", **options)


def mobilenet_v3_small(**options: Any) -> Backbone:
    """MobileNetV3-Small (arXiv 1905.02244, Table 2); options as in `create_backbone`."""
    return create_backbone("v3-small", **options)


__all__ = [
    "TABLES",
    "Backbone",
    "LoadReport",
    "Row",
    "Table",
    "create_backbone",
    "create_table",
    "load_weights",
    "mnasnet_a1",
    "mnasnet_a1_table",
    "mnasnet_b1",
    "mnasnet_b1_table",
    "mobilenet_v1",
    "mobilenet_v1_table",
    "mobilenet_v2",
    "mobilenet_v2_table",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "mobilenet_v3_table",
    "table_options",
]
