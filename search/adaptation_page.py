"""The page of a NetAdapt search: accuracy over latency, what was cut, and what else might have been."""

from collections.abc import Mapping, Sequence
from typing import Any

from search.beside import Beside
from search.report_page import page, section
from tasks.data_check.html import Html, img, table, tag


def adaptation_page(title: str, history: Mapping[str, Any], plot: bytes, beside: Sequence[Beside] = ()) -> str:
    """The page as HTML, with its plot in it.

    Args:
        title: of the page.
        history: as the search's history.json has it: the "unit" of prices, the "measure" that accuracies are, and
            "iterations", of which each has number, width (what was cut), widths, price, accuracy and proposals; the
            first is the given network.
        plot: a PNG, see `search.adaptation_plot.plot`.
        beside: other networks in it.
    """
    iterations, unit, measure = history["iterations"], history["unit"], history["measure"]
    first, last = iterations[0], iterations[-1]
    said = (
        f"{len(iterations) - 1} iterations: {first['price']:.4g} to {last['price']:.4g} {unit} "
        f"({last['price'] / first['price']:.1%}), {measure} {100 * first['accuracy']:.2f} to "
        f"{100 * last['accuracy']:.2f} % on held-out images, after short trainings alone."
    )
    parts = [
        section(f"Accuracy over {unit}", tag("p", said), img(plot), _others(beside, unit, measure)),
        section("What each iteration cut", _cuts(iterations, unit, measure)),
        section("Widths", _widths(first["widths"], last["widths"])),
        *(_proposals(entry, unit, measure) for entry in iterations[1:]),
    ]
    return page(title, parts)


def _others(beside: Sequence[Beside], unit: str, measure: str) -> Html:
    if not beside:
        return Html("")
    rows = [
        (
            one.name,
            "iteration" if one.is_iteration else "other",
            f"{one.price:.4g}",
            one.split,
            f"{100 * one.accuracy:.2f}",
        )
        for one in sorted(beside, key=lambda one: (one.is_iteration, one.price, one.name))
    ]
    return table(("beside", "network", unit, "split", f"{measure} %"), rows)


def _cuts(iterations: Sequence[Mapping[str, Any]], unit: str, measure: str) -> Html:
    rows: list[Sequence[Any]] = []
    for before, entry in zip([iterations[0], *iterations], iterations, strict=False):
        width = entry["width"]
        channels = "" if width is None else f"{before['widths'][width]} to {entry['widths'][width]}"
        share = f"{100 * entry['price'] / iterations[0]['price']:.1f}"
        costs = f"{entry['price']:.4g}", share, f"{100 * entry['accuracy']:.2f}"
        rows.append((entry["number"], width or "the given network", channels, *costs))
    return table(("iteration", "cut", "channels", unit, "% of the first", f"{measure} %"), rows)


def _widths(before: Mapping[str, int], after: Mapping[str, int]) -> Html:
    """All numbers of channels, before and after."""
    rows = [(name, old, after[name] if after[name] == old else tag("b", after[name])) for name, old in before.items()]
    return table(("width", "given network", "last iteration"), rows)


def _proposals(entry: Mapping[str, Any], unit: str, measure: str) -> Html:
    """What an iteration had to choose from, the most accurate first."""
    rows = []
    for one in sorted(entry["proposals"], key=lambda one: -one["accuracy"]):
        name = one["width"] or "uncut, trained as long"
        told = tag("b", name) if one["width"] == entry["width"] else name
        rows.append((told, one["channels"] or "", f"{one['price']:.4g}", f"{100 * one['accuracy']:.2f}"))
    listing = table(("cut", "channels", unit, f"{measure} %"), rows)
    summary = tag("summary", f"iteration {entry['number']}: {len(rows)} trainings")
    return tag("section", tag("details", summary, listing))
