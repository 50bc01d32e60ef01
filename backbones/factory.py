"""Backbones and their tables by name: ours, timm's, and those on the Hugging Face hub."""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from backbones.given_tables import HALVES, given_table, is_given
from backbones.load import load_weights
from backbones.mobilenet import Backbone
from backbones.papers import TABLES
from backbones.tables import BackboneError, Table, did_you_mean
from backbones.taps import Tapped
from backbones.timm_backbone import PREFIX, TimmBackbone, TimmTable, timm_options

GEOMETRY = ["output_stride", "dilate_first", "small_images"]


def table_options(name: str) -> list[str]:
    """The options that `create_table` takes for a backbone.

    Raises:
        BackboneError: for an unknown name; names the nearest one.
        ConnectionError: if a table on the hub cannot be fetched.
    """
    if name.startswith(PREFIX):
        return timm_options(name)
    if is_given(name):
        table = given_table(name)
        return [*GEOMETRY, *HALVES] if isinstance(table, Table) else timm_options(table.name)
    if name not in TABLES:
        known = f"{', '.join(TABLES)}, timm:NAME, hf://OWNER/NAME and files"
        raise BackboneError(f'there is no backbone "{name}"{did_you_mean(name, TABLES)} (there are {known})')
    return [*(option for option in inspect.signature(TABLES[name]).parameters if option != "variant"), *GEOMETRY]


def paper_options(name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Those options of a head's paper that a backbone has; a table of a file or the hub keeps its last stage as it is.

    Raises:
        BackboneError, ConnectionError: see `table_options`.
    """
    known = set(table_options(name)) - set(HALVES if is_given(name) else [])
    return {option: value for option, value in wanted.items() if option in known}


def create_table(name: str, **options: Any) -> Table | TimmTable:
    """The table of a backbone by name.

    Args:
        name: a key of `TABLES`; "timm:NAME" for a network of timm's; "hf://OWNER/NAME" for the table of a backbone that
            `push_to_hub` put there; a file with a table, see `given_table`.
        **options: `output_stride` (8, 16 or 32), `dilate_first` and `small_images`, see `Table`, and those of the
            family's own function in `backbones.papers`, such as `width`. timm's networks have `output_stride`, as far
            as timm can dilate them.

    Raises:
        BackboneError: for an unknown name or option, or a value that the option cannot have.
        ConnectionError: if a table on the hub cannot be fetched.
    """
    known = table_options(name)
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known)
            raise BackboneError(f'{name} has no option "{option}"{hint} (it has {", ".join(known) or "none"})')
    if name.startswith(PREFIX):
        return TimmTable(name, **options)
    if is_given(name):
        halves = {option: options.pop(option) for option in HALVES if option in options}
        return replace(given_table(name, **halves), **options)
    rows = {option: value for option, value in options.items() if option not in GEOMETRY}
    return replace(TABLES[name](**rows), **{option: options[option] for option in options.keys() - rows.keys()})


def build_backbone(table: Table | TimmTable, taps: Sequence[str] | None = None) -> Tapped:
    """The network of a table, with random weights.

    Args:
        table: of either kind.
        taps: the feature maps to return, see `Backbone`; by default c1 to c5.

    Raises:
        BackboneError: for a tap that does not exist, or a network that timm does not have.
    """
    return Backbone(table, taps) if isinstance(table, Table) else TimmBackbone(table, taps)


def create_backbone(
    name: str, *, weights: str | Path | None = None, taps: Sequence[str] | None = None, **options: Any
) -> Any:
    """Build a backbone by name.

    Args:
        name: as for `create_table`.
        weights: "imagenet", "hf://OWNER/NAME", a weights file, or None for random ones; see `load_weights`. What was
            taken is logged.
        taps: the feature maps to return, see `Backbone` and `TimmBackbone`; by default c1 to c5.
        **options: see `create_table`.

    Returns:
        A `Backbone`, or a `TimmBackbone` for timm's networks.

    Raises:
        BackboneError: for an unknown name, option or tap.
    """
    backbone = build_backbone(create_table(name, **options), taps)
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
