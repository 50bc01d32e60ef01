"""What a NetAdapt search did, in words, as a table, as a plot and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.adaptation_page import adaptation_page
from search.adaptation_plot import plot
from search.beside import Beside
from tasks.writing import whole, write_table

HEADER = (
    "iteration",
    "width",
    "channels_before",
    "channels",
    "price",
    "share",
    "accuracy",
    "images_seen",
    "checkpoint",
)


def in_words(history: dict[str, Any], number: int) -> str:
    """One iteration as a line.

    Args:
        history: as history.json has it.
        number: of the iteration.
    """
    entry, unit, measure = history["iterations"][number], history["unit"], history["measure"]
    costs = f"{entry['price']:.4g} {unit}"
    if number == 0:
        images = f"{history['images'][1]:,} held-out images of {sum(history['images']):,}"
        return f"the given network takes {costs}, {measure} {entry['accuracy']:.4f} on {images}"
    before, width = history["iterations"][number - 1], entry["width"]
    share = entry["price"] / history["iterations"][0]["price"]
    return (
        f"iteration {number}: {width} {before['widths'][width]} to {entry['widths'][width]} channels, {costs} "
        f"({share:.1%} of the first), {measure} {entry['accuracy']:.4f}; {len(entry['proposals'])} trainings in "
        f"{entry['seconds']:.0f} s, {entry['images_seen']:,} images seen so far"
    )


def write_report(history: dict[str, Any], folder: Path, beside: Sequence[Beside] = ()) -> None:
    """Write netadapt.csv, a row an iteration, netadapt.png, accuracy over price, and the page netadapt.html.

    Args:
        history: as history.json has it.
        folder: for what is written.
        beside: networks that are drawn, too.

    Raises:
        TaskError: if a file cannot be written.
    """
    iterations = history["iterations"]
    rows: list[tuple[Any, ...]] = []
    for number, entry in enumerate(iterations):
        width = entry["width"]
        cut = (
            ("", "", "") if width is None else (width, iterations[number - 1]["widths"][width], entry["widths"][width])
        )
        share = f"{entry['price'] / iterations[0]['price']:.4f}"
        costs = (f"{entry['price']:.6g}", share, f"{entry['accuracy']:.4f}", entry["images_seen"])
        rows.append((number, *cut, *costs, f"iteration_{number:02d}.ckpt"))
    write_table(folder / "netadapt.csv", [HEADER, *rows])
    drawn = plot(history, beside)
    with whole(folder / "netadapt.png") as unfinished:
        unfinished.write_bytes(drawn)
    with whole(folder / "netadapt.html") as unfinished:
        unfinished.write_text(adaptation_page(f"NetAdapt: {folder.name}", history, drawn, beside), encoding="utf-8")
