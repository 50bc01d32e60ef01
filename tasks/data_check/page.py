"""The page of a data check: what was found, counts, plots, and the offenders drawn, in one file without any other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets import KEPT, Findings, Inspected, InspectedSegmentation, Kind
from heads import IGNORE
from tasks.data_check.anchor_coverage import EDGES, NEEDED, Coverage
from tasks.data_check.drawing import draw_finding
from tasks.data_check.html import Html, figure, img, table, tag
from tasks.data_check.plots import plot_boxes, plot_images, plot_void
from tasks.drawing import Colours

STYLE = Html("""
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #f4f5f7; margin: 0; }
main { max-width: 1240px; margin: 0 auto; padding: 24px; }
section { background: #fff; border: 1px solid #dfe3e8; border-radius: 8px; padding: 4px 20px 16px; margin: 16px 0; }
h1 { font-size: 24px; margin: 8px 0; overflow-wrap: anywhere; } h2 { font-size: 18px; margin: 14px 0 8px; }
table { border-collapse: collapse; margin: 8px 0; } th { text-align: left; font-weight: 600; max-width: 190px; }
td, th { padding: 3px 14px 3px 0; border-bottom: 1px solid #e8ebef; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow: auto; max-height: 620px; } .wide thead th { position: sticky; top: 0; background: #fff; }
.badge { color: #fff; border-radius: 4px; padding: 1px 8px; font-size: 13px; margin-right: 8px; }
.error { background: #c62828; } .warning { background: #b26a00; } .note { background: #5a6b7b; }
.share { display: inline-block; width: 70px; height: 9px; background: #e8ebef; margin-right: 8px; }
.share i { display: block; height: 9px; background: #2a6fbb; } .name { white-space: nowrap; }
.colour { display: inline-block; width: 12px; height: 12px; border: 1px solid #888; margin-right: 7px; }
.drawn { display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start; }
figure { margin: 0; max-width: 740px; } figcaption { font-size: 12px; max-width: 360px; overflow-wrap: anywhere; }
figure img { margin-right: 6px; max-width: 100%; outline: 1px solid #dfe3e8; } .plot img { max-width: 100%; }
li, summary { font-size: 13px; overflow-wrap: anywhere; } p { margin: 6px 0; max-width: 900px; }
""")


@dataclass(frozen=True)
class DataCheck:
    """What a page is about.

    Attributes:
        title: the dataset, and what it was checked for.
        splits: the splits that were looked at.
        findings: what was found in them.
        size: height and width of a detection network's input.
        coverage: of its anchors, by what they are called; the first is the one that was asked for.
    """

    title: str
    splits: Sequence[Inspected]
    findings: Findings
    size: tuple[int, int]
    coverage: dict[str, Coverage]


def page(check: DataCheck, drawn: int) -> str:
    """The page as HTML.

    Args:
        check: what to show.
        drawn: how many findings of each kind to draw.
    """
    masks = [split for split in check.splits if isinstance(split, InspectedSegmentation)]
    parts = [tag("h1", check.title), _overview(check), _splits(check), _values(masks) if masks else _classes(check)]
    if len(np.unique(np.concatenate([split.sizes for split in check.splits]), axis=0)) > 1:
        parts.append(_section("Sizes of images", _plot(plot_images(check.splits))))
    if check.coverage:
        parts.append(_boxes(check))
    parts += [_group(check, number, kind, drawn) for number, kind in enumerate(check.findings.kinds())]
    head = tag("head", Html('<meta charset="utf-8">'), tag("title", check.title), tag("style", STYLE))
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *parts)), lang='en')}\n"


def _overview(check: DataCheck) -> Html:
    """Kinds of findings, each with a link to where they are shown."""
    findings = check.findings
    if not findings.kinds():
        return _section("Nothing found", tag("p", "No errors, no warnings, nothing to note."))
    rows = []
    for number, kind in enumerate(findings.kinds()):
        counts = findings.counts[kind]
        link = tag("a", kind.what, href=f"#kind{number}")
        where = ", ".join(f"{split} {count:,}" for split, count in counts.items())
        rows.append((_badge(kind), link, counts.total(), where))
    totals = ", ".join(f"{findings.total(severity):,} {severity}s" for severity in ("error", "warning", "note"))
    return _section(totals, table(("", "what", "count", "where"), rows))


def _badge(kind: Kind) -> Html:
    return tag("span", kind.severity, class_=f"badge {kind.severity}")


def _splits(check: DataCheck) -> Html:
    rows = []
    for split in check.splits:
        readable = split.sizes[split.sizes.all(1)]
        kinds, counts = np.unique(readable, axis=0, return_counts=True)
        most = [f"{kinds[at][1]}x{kinds[at][0]} ({counts[at]:,})" for at in np.argsort(-counts, kind="stable")[:4]]
        others = f" and {len(kinds) - 4:,} other sizes" if len(kinds) > 4 else ""
        unreadable = len(split.images) - len(readable)
        rows.append((split.split, len(split.images), unreadable, split.unlabelled, ", ".join(most) + others))
    return _section("Splits", table(("split", "images", "unreadable", "unlabelled", "sizes"), rows))


def _classes(check: DataCheck) -> Html:
    """Counts of every class: images and what else there is in every split, and sizes of boxes in all together."""
    names, colours = check.splits[0].names, check.splits[0].colours
    same = [split for split in check.splits if split.names == names]
    columns: dict[str, Sequence[Any]] = {"class": [_named(name, colours, at) for at, name in enumerate(names)]}
    for split in same:
        for heading, counts in list(split.columns.items())[:2]:
            columns[f"{split.split}: {heading}"] = _shares(counts, heading == "images" and len(split.columns) > 1)
    for heading in list(same[0].columns)[2:]:
        columns[f"{heading}, all splits"] = np.sum([split.columns[heading] for split in same], axis=0).tolist()
    return _section("Classes", tag("div", table(list(columns), zip(*columns.values(), strict=True)), class_="wide"))


def _values(splits: Sequence[InspectedSegmentation]) -> Html:
    """The same for masks: counts of every value that occurs, be it a class, void, or neither."""
    names, colours = splits[0].names, splits[0].colours
    occurs = np.flatnonzero(np.any([split.values["pixels"] for split in splits], axis=0))
    there = sorted({*range(len(names)), *occurs.tolist()})
    meanings = {IGNORE: "void"} | dict(enumerate(names))
    told = [_named(meanings[at], colours, at) if at in meanings else tag("b", "no class") for at in there]
    columns: dict[str, Sequence[Any]] = {"value": there, "class": told}
    for split in splits:
        for heading, counts in split.values.items():
            columns[f"{split.split}: {heading}"] = _shares(counts[there], heading == "images")
    rows = table(list(columns), zip(*columns.values(), strict=True))
    return _section("Classes and values of masks", tag("div", rows, class_="wide"), _plot(plot_void(splits)))


def _named(name: str, colours: Colours, at: int) -> Html:
    """A class with its colour, if it has one."""
    style = f"background: rgb{tuple(colours[at])}" if at < len(colours) else "visibility: hidden"
    return tag("span", *[tag("span", class_="colour", style=style)] * bool(colours), name, class_="name")


def _shares(counts: NDArray[np.int64], plain: bool) -> list[Any]:
    """Counts, each with a bar for its share of them all unless they are to be plain."""
    whole = int(counts.sum())
    if plain or not whole:
        return counts.tolist()
    cells = []
    for count in counts.tolist():
        share = 100 * count / whole
        bar = tag("span", tag("i", style=f"width: {share:.1f}%"), class_="share")
        cells.append(tag("span", bar, f"{count:,} ", tag("small", f"{share:.3g} %"), class_="name"))
    return cells


def _boxes(check: DataCheck) -> Html:
    """Sizes of boxes, and how many no anchor matches: by head, by size and by class."""
    first, names = next(iter(check.coverage.values())), check.splits[0].names
    told = [f"{low} to {high}" if high else f"from {low}" for low, high in zip(EDGES, (*EDGES[1:], 0), strict=True)]
    by_size = _coverage_table(check, f"pixels at {check.size[1]}x{check.size[0]}", told, first.sizes())
    by_class = _coverage_table(check, "class", names, first.labels)
    lines = [tag("li", f"{head}: {tell_coverage(coverage)}") for head, coverage in check.coverage.items()]
    advice = f"A box is matched if an anchor has an intersection over union of {NEEDED} with it at the input size."
    plot = _plot(plot_boxes(first, check.splits, check.size))
    tables = tag("div", by_size, tag("div", by_class, class_="wide"), class_="drawn")
    return _section("Boxes and anchors", plot, tag("p", advice), tag("ul", *lines), tables)


def _coverage_table(check: DataCheck, what: str, told: Sequence[str], group: NDArray[np.int64]) -> Html:
    """How many boxes of every group each head's anchors do not match."""
    rows = []
    for number, name in enumerate(told):
        inside = group == number
        boxes, row = int(inside.sum()), [name, int(inside.sum())]
        for coverage in check.coverage.values():
            missed = int(coverage.missed[inside].sum())
            row += [missed, f"{100 * missed / boxes:.1f} %" if boxes else ""]
        rows.append(row)
    heads = [title for head in check.coverage for title in (f"{head}: not matched", "")]
    return table((what, "boxes", *heads), rows)


def _section(title: str, *parts: Html) -> Html:
    return tag("section", tag("h2", title), *parts)


def _plot(png: bytes) -> Html:
    return tag("div", img(png), class_="plot")


def tell_coverage(coverage: Coverage) -> str:
    """How many boxes no anchor matches, in words."""
    missed, boxes = int(coverage.missed.sum()), len(coverage.missed)
    return f"no anchor matches {missed:,} of {boxes:,} boxes ({100 * missed / max(1, boxes):.1f} %)"


def _group(check: DataCheck, number: int, kind: Kind, drawn: int) -> Html:
    """All findings of a kind, the first of them drawn."""
    kept, total = check.findings.kept[kind], check.findings.counts[kind].total()
    figures = list(_drawn(check, kind, drawn))
    listed = "all in words" if len(kept) < KEPT else f"the first {KEPT} in words"
    lines = tag("ul", *(tag("li", f"{one.split}: {one.text}") for one in kept))
    words = tag("details", tag("summary", listed), lines, **({} if figures else {"open": ""}))
    title = tag("h2", _badge(kind), f"{kind.what} ({total:,})", id=f"kind{number}")
    return tag("section", title, tag("p", kind.advice), tag("div", *figures, class_="drawn"), words)


def _drawn(check: DataCheck, kind: Kind, drawn: int) -> Iterator[Html]:
    for finding in check.findings.kept[kind][:drawn]:
        images = draw_finding(finding, check.splits)
        if images:
            yield figure(images, finding.text)
