"""What the pages of searches share: their frame, plots as PNG in memory, and two tables row by row."""

import io
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from matplotlib.figure import Figure

from backbones import Row, Table
from tasks.data_check.html import Html, table, tag
from tasks.data_check.page import STYLE


def page(title: str, parts: Sequence[Html]) -> str:
    """A page as HTML, without any other file."""
    head = tag("head", Html('<meta charset="utf-8">'), tag("title", title), tag("style", STYLE))
    body = tag("body", tag("main", tag("h1", title), *parts))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def section(title: str, *parts: Html) -> Html:
    """A part of a page."""
    return tag("section", tag("h2", title), *parts)


def figure_png(figure: Figure) -> bytes:
    """A figure as PNG, with a grid on all its axes that have labels."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def rows_beside(before: Table, after: Table) -> Html:
    """Rows of two tables side by side, each in the line of its resolution; what differs is in bold."""
    lines: list[Sequence[Any]] = [("stem", before.stem, "", _differing(before.stem, after.stem), "")]
    for level in sorted({*before.levels(), *after.levels()}):
        sides = [
            [row for row, at in zip(one.rows, one.levels(), strict=True) if at == level] for one in (before, after)
        ]
        for number, (old, new) in enumerate(zip_longest(*sides)):
            cells, others = _cells(old), _cells(new)
            differing = [_differing(*pair) for pair in zip(cells, others, strict=True)]
            lines.append((f"stride {2**level}" if number == 0 else "", *cells, *differing))
    lines.append(("last", before.last, "", _differing(before.last, after.last), ""))
    return table(("", str(before.name), "", str(after.name), ""), lines)


def _cells(row: Row | None) -> tuple[Any, Any]:
    """A row's channels that come out, and what is in it."""
    if row is None:
        return "", ""
    squeezed = f", squeeze {row.squeeze}" if row.squeeze else ""
    return row.out, f"{row.kernel}x{row.kernel}, expanded {row.expanded}{squeezed}, {row.activation.replace('_', '-')}"


def _differing(old: Any, new: Any) -> Any:
    return new if old == new else tag("b", new)
