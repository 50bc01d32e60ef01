"""Plots of a data check, as PNG in memory. They hold numbers alone: names of files and classes stand in the page."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from datasets import Inspected, InspectedSegmentation
from tasks.data_check.anchor_coverage import NEEDED, Coverage

DOTS = 4000  # boxes that are drawn of all


def plot_images(splits: Sequence[Inspected]) -> bytes:
    """Widths, heights and aspect ratios of the images of every split."""
    figure, axes = _figure(3)
    sizes = {split.split: split.sizes[split.sizes.all(1)] for split in splits}
    _histograms(axes[0], {name: size[:, 1] for name, size in sizes.items()}, "width, pixels", "images")
    _histograms(axes[1], {name: size[:, 0] for name, size in sizes.items()}, "height, pixels", "images")
    _histograms(axes[2], {name: size[:, 1] / size[:, 0] for name, size in sizes.items()}, "width / height", "images")
    return _png(figure, axes)


def plot_boxes(coverage: Coverage, splits: Sequence[Inspected], size: tuple[int, int]) -> bytes:
    """Sizes of boxes relative to the image, their aspect ratios, which ones no anchor matches, and where they lie."""
    figure, axes = _figure(4)
    sides = {split.split: coverage.sides[coverage.image[:, 0] == number] for number, split in enumerate(splits)}
    shares = {name: 100 * np.sqrt(side.prod(1) / (size[0] * size[1])) for name, side in sides.items()}
    _histograms(axes[0], shares, "side of a square of the box's area, % of the image's", "boxes")
    aspects = {name: np.log2(side[:, 0] / side[:, 1]) for name, side in sides.items()}
    _histograms(axes[1], aspects, "log2 of width / height, at the input size", "boxes")
    chosen = np.random.default_rng(0).permutation(len(coverage.sides))[:DOTS]
    for missed, colour, label in ((False, "#2a6fbb", "matched"), (True, "#d62728", f"no anchor of IoU {NEEDED}")):
        some = chosen[coverage.missed[chosen] == missed]
        axes[2].plot(*coverage.sides[some].T, ".", color=colour, markersize=3, alpha=0.5, label=label)
    axes[2].set(xlabel=f"box width, pixels at {size[1]}x{size[0]}", ylabel="box height")
    centres = (coverage.boxes[:, :2] + coverage.boxes[:, 2:]) / (2 * _image_sizes(coverage, splits)[:, ::-1])
    axes[3].hist2d(*centres.T, bins=32, range=((0, 1), (0, 1)), cmap="Blues")
    axes[3].set(xlabel="centre of a box, share of the image's width", ylabel="of its height", ylim=(1, 0))
    return _png(figure, axes)


def _image_sizes(coverage: Coverage, splits: Sequence[Inspected]) -> NDArray[np.int64]:
    """Height and width of the image that each box is in, int64 [B, 2]."""
    sizes = np.zeros_like(coverage.image)
    for number, split in enumerate(splits):
        inside = coverage.image[:, 0] == number
        sizes[inside] = split.sizes[coverage.image[inside, 1]]
    return sizes


def plot_void(splits: Sequence[InspectedSegmentation]) -> bytes:
    """How much of the masks is void."""
    figure, axes = _figure(1)
    _histograms(axes[0], {split.split: 100 * np.array(split.void) for split in splits}, "void, % of a mask", "masks")
    return _png(figure, axes)


def _figure(count: int) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.2 * count, 3), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _histograms(axes: Any, values: dict[str, NDArray[Any]], label: str, what: str) -> None:
    """One outline a split over the same bins."""
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), 30)
    for name, some in values.items():
        if len(some):
            axes.hist(some, edges, weights=np.full(len(some), 100 / len(some)), histtype="step", label=name, lw=1.5)
    axes.set(xlabel=label, ylabel=f"% of {what}")


def _png(figure: Figure, axes: Any) -> bytes:
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            for text in axis.legend(fontsize=8).get_texts():
                text.set_parse_math(False)  # a split may have any name
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
