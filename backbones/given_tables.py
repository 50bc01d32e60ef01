"""Tables of rows from a file or the Hugging Face hub: what was pruned, searched for, or published."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from backbones.hub import HUB, fetch_table
from backbones.papers import plain_table
from backbones.tables import BackboneError, Table, make_divisible
from backbones.timm_backbone import TimmTable
from backbones.weights_files import read_weights

SUFFIXES = (".json", ".ckpt", ".safetensors", ".pt", ".pth")
HALVES = ["rf2", "reduced_tail"]  # options of such a table, if nothing of it was halved before


def is_given(name: str) -> bool:
    """Whether a backbone's name is an address on the hub, or a file that has a table."""
    return name.startswith(HUB) or name.endswith(SUFFIXES)


def given_table(name: str, rf2: bool = False, reduced_tail: bool = False) -> Table | TimmTable:
    """The table on the hub, in a checkpoint of ours, or in a .json as `Table.to_dict` gives it.

    Its batch norms have the momentum of its family, as a classifier's differ from those of other networks.

    Args:
        name: hf://OWNER/NAME, or a file.
        rf2: halve the last stage with its first expansion.
        reduced_tail: halve the outputs of the last stage only.

    Raises:
        BackboneError: if the file is not there, or has no table; or for halves of timm's networks, of both kinds, or of
            what is halved already.
        FileNotFoundError, ConnectionError: if the hub has no table, or cannot be asked.
    """
    try:
        table = table_from_dict(fetch_table(name) if name.startswith(HUB) else _read(Path(name)))
    except ValueError as error:
        raise BackboneError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from None
    if isinstance(table, TimmTable):
        if rf2 or reduced_tail:
            raise BackboneError(f"{name}: is a network of timm's, of which no stage can be halved")
        return table
    plain = plain_table(table.name)
    table = replace(table, norm_momentum=0.01 if plain is None else plain.norm_momentum)
    if rf2 and reduced_tail:
        raise BackboneError("rf2 and reduced_tail halve the same stage in two ways: choose one")
    if not rf2 and not reduced_tail:
        return table
    if halved := re.search(r"\b(rf2|reduced tail)\b", table.variant):
        raise BackboneError(f"{name}: its last stage is halved already ({halved[1]})")
    return _halved(table, rf2)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BackboneError("no such file with a backbone's table")
    if path.suffix != ".json":
        content = read_weights(path)[1].get("table")
    else:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BackboneError(f"cannot be read as JSON ({error})") from None
    if not isinstance(content, dict) or not {"rows", "name"} & content.keys():
        raise BackboneError("holds no backbone's table; a checkpoint of this package does, and what a search wrote")
    return content


def table_from_dict(data: dict[str, Any]) -> Table | TimmTable:
    """The table that `to_dict` of either kind wrote, as a checkpoint holds it.

    Raises:
        BackboneError: for entries that a table does not have, or lacks.
    """
    try:
        return Table.from_dict(data) if "rows" in data else TimmTable(**data)
    except (KeyError, TypeError) as error:
        raise BackboneError(f"this is no backbone's table ({error})") from None


def _halved(table: Table, expansions: bool) -> Table:
    """The last stage with half its outputs, and with `expansions` half its first expansion, as `mobilenet_v3_table`."""
    first = max(index for index, row in enumerate(table.rows) if row.stride == 2)
    rows = list(table.rows[:first])
    for index, row in enumerate(table.rows[first:]):
        expanded = make_divisible(row.expanded / 2) if expansions or index else row.expanded
        squeeze = min(row.squeeze, make_divisible(expanded / 4))
        rows.append(replace(row, expanded=expanded, out=make_divisible(row.out / 2), squeeze=squeeze))
    said = ", ".join(filter(None, [table.variant, "rf2" if expansions else "reduced tail"]))
    last = make_divisible(table.last / 2) if table.last else 0
    return replace(table, rows=tuple(rows), last=last, variant=said)
