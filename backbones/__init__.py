"""Backbones: a picture in, named feature maps out.

from backbones import create_backbone, mobilenet_v3_large
features = mobilenet_v3_large(weights="imagenet")(images)      # {"c1": ..., ..., "c5": ...}
"""

import difflib
import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from backbones.mobilenet import Backbone
from backbones.tables import Row, Table, mobilenet_v3_table
from backbones.weights import LoadReport, load_weights

TABLES: dict[str, Callable[..., Table]] = {
    "v3-large": partial(mobilenet_v3_table, "large"),
    "v3-small": partial(mobilenet_v3_table, "small"),
}


def create_table(name: str, **options: Any) -> Table:
    """The table of a backbone by name.

    Args:
        name: a key of `TABLES`.
        **options: see `mobilenet_v3_table`.

    Raises:
        ValueError: for an unknown name or option; names the nearest one.
    """
    if name not in TABLES:
        near = difflib.get_close_matches(name, TABLES, 1, cutoff=0.3)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise ValueError(f'there is no backbone "{name}"{hint} (there are {", ".join(TABLES)})')
    known = inspect.signature(mobilenet_v3_table).parameters
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, 1)
            raise ValueError(f'{name} has no option "{option}"' + (f'; did you mean "{near[0]}"?' if near else ""))
    return TABLES[name](**options)


def create_backbone(
    name: str, *, weights: str | Path | None = None, taps: Sequence[str] | None = None, **options: Any
) -> Backbone:
    """Build a backbone by name.

    Args:
        name: "v3-large" or "v3-small".
        weights: "imagenet", a weights file, or None for random ones. What was taken is logged.
        taps: the feature maps to return, see `Backbone`; by default c1 to c5.
        **options: width, output_stride, rf2, reduced_tail, minimalistic, dilate_first: see `mobilenet_v3_table`.

    Raises:
        ValueError: for an unknown name, option or tap.
    """
    backbone = Backbone(create_table(name, **options), taps)
    if weights is not None:
        logging.getLogger(__name__).info("%s", load_weights(backbone, weights))
    return backbone


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
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "mobilenet_v3_table",
]
