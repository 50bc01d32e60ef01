"""What a NetAdapt search did, in words, as a table and as a plot."""

from pathlib import Path
from typing import Any

from tasks.drawing import write_plot
from tasks.writing import write_table

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


def write_report(history: dict[str, Any], folder: Path) -> None:
    """Write netadapt.csv, a row an iteration, and netadapt.png, accuracy over price with all proposals.

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
    _plot(history, folder / "netadapt.png")


def _plot(history: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    iterations = history["iterations"]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    proposals = [one for entry in iterations for one in entry["proposals"] if one["width"] is not None]
    points = [(one["price"], one["accuracy"]) for one in proposals]
    if points:
        axes.plot(*zip(*points, strict=True), "o", color="C7", alpha=0.3, markersize=4, label="proposals")
    chosen = [(entry["price"], entry["accuracy"]) for entry in iterations]
    axes.plot(*zip(*chosen, strict=True), marker="o", color="C0", label="iterations")
    axes.plot(*chosen[0], "*", color="black", markersize=12, label="given network")
    measure = f"{history['measure']} of {history['images'][1]:,} held-out images"
    axes.set(xlabel=history["unit"], ylabel=measure, title="NetAdapt: short trainings only")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    write_plot(path, figure)
