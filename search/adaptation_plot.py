"""Accuracy over price: a NetAdapt search, and other networks beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search.beside import Beside
from search.report_page import figure_png

SEARCHED, OTHERS = "#2a6fbb", "#d62728"
MARKERS = "os^Dv"  # of splits, in turn


def plot(history: Mapping[str, Any], beside: Sequence[Beside]) -> bytes:
    """A PNG; the search's own accuracies are light where others stand beside them, as these are of another split.

    Args:
        history: see `search.adaptation_page.adaptation_page`.
        beside: other networks, and iterations that were trained on.
    """
    iterations = history["iterations"]
    drawing = Figure(figsize=(8, 4.8), layout="constrained")
    axes = drawing.subplots()
    proposals = [one for entry in iterations for one in entry["proposals"] if one["width"] is not None]
    strength, held = 0.35 if beside else 1.0, "held-out images"
    axes.plot(*_points(proposals), "o", color="#888", alpha=0.4 * strength, markersize=4, label=f"proposals, {held}")
    axes.plot(*_points(iterations), ".-", color=SEARCHED, alpha=strength, label=f"iterations, short trainings, {held}")
    axes.plot(
        *_points(iterations[:1]), "*", color="black", markersize=12, alpha=strength, label=f"given network, {held}"
    )
    for number, split in enumerate(dict.fromkeys(one.split for one in beside)):
        for is_iteration, who, colour in ((True, "iterations", SEARCHED), (False, "other networks", OTHERS)):
            some = [one for one in beside if (one.split, one.is_iteration) == (split, is_iteration)]
            _family(axes, some, f"{who}, {split} split", colour, MARKERS[number % len(MARKERS)])
    axes.margins(x=0.12)  # names of networks stand to the right of them
    axes.set(xlabel=history["unit"], ylabel=f"{history['measure']}, %", title="NetAdapt")
    axes.legend(fontsize=8)
    return figure_png(drawing)


def _points(entries: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [one["price"] for one in entries], [100 * one["accuracy"] for one in entries]


def _family(axes: Axes, some: Sequence[Beside], label: str, colour: str, marker: str) -> None:
    """Networks with names, and a line through the means of those of one price, such as several seeds' trainings."""
    if not some:
        return
    at: dict[float, list[Beside]] = {}
    for one in sorted(some, key=lambda one: one.price):
        at.setdefault(one.price, []).append(one)
    axes.plot([one.price for one in some], [100 * one.accuracy for one in some], marker, color=colour, alpha=0.4)
    means = [100 * sum(one.accuracy for one in alike) / len(alike) for alike in at.values()]
    axes.plot([*at], means, f"{marker}-", color=colour, label=label)
    for price, mean, alike in zip(at, means, at.values(), strict=True):
        name = alike[0].name if len(alike) == 1 else f"{alike[0].name} +{len(alike) - 1}"
        offset = (5, -12 if colour == SEARCHED else 6)
        axes.annotate(name, (price, mean), xytext=offset, textcoords="offset points", fontsize=8, color=colour)
