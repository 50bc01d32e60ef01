"""The numbers of channels that a search may change one by one, and weights in the network that has fewer of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backbones.narrow import kept_channels, narrow
from backbones.tables import Table, make_divisible
from heads.narrow_head import narrow_head
from tasks.base import Spec, Task

DIVISOR = 8  # channels are multiples of it


def find_widths(task: Task) -> dict[str, int]:
    """The numbers of channels of a network that may be changed, by name.

    - `bottleneckN`: what all blocks of N channels put out, and the stem if it has as many, as shortcuts add them (V3
      paper, Section 4.2); `stem` where it has another number;
    - `blockN.expansion`: inside a block that has one;
    - `last`: of the last 1x1 convolution;
    - `hidden` of a classifier, `filters` of LR-ASPP; `extraN.half` and `extraN` of SSDLite's N-th extra map.

    Squeeze-and-excitation, and blocks without expansion, follow; see `with_widths`.

    Args:
        task: a classifier, LR-ASPP or SSDLite on a table of rows.
    """
    table, head = task.spec.table, task.network.head
    sizes = dict.fromkeys(row.out for row in table.rows)
    widths = {} if table.stem in sizes else {"stem": table.stem}
    widths |= {f"bottleneck{size}": size for size in sizes}
    for number, (row, (expands, _)) in enumerate(zip(table.rows, structure(table), strict=True), start=1):
        widths |= {f"block{number}.expansion": row.expanded} if expands else {}
    widths |= {"last": table.last} if table.last else {}
    if task.kind == "classification":
        return widths | ({"hidden": table.hidden} if table.hidden else {})
    if task.kind == "segmentation":
        return widths | {"filters": head.last_layers[0].in_channels}
    for number, layer in enumerate(head.extra, start=1):
        widths |= {f"extra{number}.half": layer[0][0].out_channels, f"extra{number}": layer[2][0].out_channels}
    return widths


def structure(table: Table) -> list[tuple[bool, bool]]:
    """For every row, whether it has an expansion and a shortcut, which both hang on its numbers of channels."""
    inputs = [table.stem, *(row.out for row in table.rows)]
    return [
        (row.expanded != before, row.linear and row.stride == 1 and row.out == before)
        for row, before in zip(table.rows, inputs, strict=False)
    ]


def with_widths(seed: Spec, widths: Mapping[str, int]) -> Any:
    """The seed network's spec with other numbers of channels; None where a block would gain or lose a layer by them.

    Where a block's input is as wide as its expansion there is none, and where it is as wide as its output there is a
    shortcut, so that such numbers make another network, whose weights cannot be carried over.

    Args:
        seed: as `find_widths` saw it.
        widths: all of them.
    """
    table: Any = seed.table
    stem = before = widths.get(f"bottleneck{table.stem}", widths.get("stem", 0))
    rows = []
    for number, (row, (expands, _)) in enumerate(zip(table.rows, structure(table), strict=True), start=1):
        expanded = widths[f"block{number}.expansion"] if expands else before
        squeeze = squeezed(row.squeeze, row.expanded, expanded)
        rows.append(replace(row, expanded=expanded, squeeze=squeeze, out=widths[f"bottleneck{row.out}"]))
        before = rows[-1].out
    last, hidden = widths.get("last", table.last), widths.get("hidden", table.hidden)
    changed = replace(table, stem=stem, rows=tuple(rows), last=last, hidden=hidden)
    if structure(changed) != structure(table):
        return None
    options = dict(seed.head_options)
    if "filters" in widths:
        options["filters"] = widths["filters"]
    extra = [channels for name, channels in widths.items() if name.startswith("extra")]
    if extra:
        options["extra"] = extra
    said = replace(changed, variant=", ".join([*filter(None, [table.variant]), "narrowed"]))
    return replace(seed, table=changed if changed == table else said, head_options=options)


def squeezed(squeeze: int, expanded: int, now: int) -> int:
    """The channels of squeeze-and-excitation in a block that `now` has fewer than `expanded` channels.

    They are a quarter of these (V3 paper, Section 5.3), and never more than before.
    """
    return squeeze if now == expanded else min(squeeze, make_divisible(now / 4))


def carry(task: Task, spec: Any) -> Any:
    """A narrower network with the most important channels of a task's, see `backbones.narrow`.

    Args:
        task: with a network of ours; left as it is.
        spec: of the narrower one, see `with_widths`.

    Returns:
        A task of the same kind, in evaluation mode, whose other settings are the kind's defaults.
    """
    slim = type(task)(spec, task.optimization)  # type: ignore[call-arg, arg-type]
    wide, own = task.network, slim.network
    state = wide.backbone.state_dict()
    kept = kept_channels(state, spec.table)
    own.backbone.load_state_dict(state | narrow(state, spec.table, own.backbone.state_dict()))
    taps = {tap: kept[own.backbone.aliases.get(tap, tap)] for tap in own.head.taps}
    own.head.load_state_dict(narrow_head(wide.head, own.head, taps))
    return slim.eval()
