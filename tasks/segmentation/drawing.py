"""Images of masks for people: overlays, and rows of input, truth and prediction."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads import IGNORE
from tasks.drawing import (
    COLUMNS,
    Colours,
    Image,
    batch_images,
    colour_mask,
    count_values,
    fit,
    grid,
    overlay,
    painted,
    sheet,
    write_plot,
)
from tasks.legend import draw_corner, legend, size_for
from tasks.options import Prediction
from tasks.prediction import LARGE, Show, Shown

WINDOW = (1024, 1024)  # height and width of those that it is predicted in


def show_masks(predictor: Any, options: Prediction, frames: bool = False) -> Show:
    """Images with masks laid over them, and a legend of the classes that are painted.

    Without a window among the options, images above 16 megapixels are predicted in windows of 1024x1024, which is said.

    Args:
        predictor: has a `spec` and `predict(images)`.
        options: how it is predicted and drawn.
        frames: of a video: the legend lies in their corner, as all are of one size, and keeps the classes that it had.
    """
    said = False
    draw = MaskDrawing(predictor.spec.names, predictor.spec.colours, options, frames)

    def show(image: Image) -> Shown:
        nonlocal said
        window = options.window
        if window is None and image.shape[0] * image.shape[1] > LARGE:
            window = WINDOW
            if not said:
                print("images above 16 megapixels are predicted in windows of 1024x1024; --window sets other ones")
            said = True
        how = {"tta_scales": options.tta_scales, "tta_flip": options.tta_flip, "window": window}
        return draw(image, predictor.predict([image], **how)[0])

    return show


class MaskDrawing:
    """Masks laid over their images, see `show_masks`.

    Args:
        names: of the classes.
        colours: of them.
        options: how it is drawn.
        frames: see `show_masks`.
    """

    def __init__(self, names: Sequence[str], colours: Colours, options: Prediction, frames: bool = False) -> None:
        self.names, self.colours, self.options, self.frames = names, colours, options, frames
        self.seen = np.zeros(256, dtype=np.int64)

    def __call__(self, image: Image, mask: Image) -> Shown:
        """What is shown of an image, which may be drawn into, and its mask."""
        names, colours, frames = self.names, self.colours, self.frames
        pixels = count_values(mask)
        counts = {name: int(count) for name, count in zip(names, pixels, strict=False) if count}
        classes = {name: {"pixels": count, "share": count / mask.size} for name, count in counts.items()}
        self.seen = self.seen + pixels if frames else pixels
        entries = _entries(self.seen * painted(names), names, colours)
        strip = legend(*entries, image.shape[1], size_for(image)) if not frames else image[:0]
        # room for the legend below; without one the image itself is drawn into
        drawing = np.empty((len(image) + len(strip), *image.shape[1:]), dtype=np.uint8) if len(strip) else image
        overlay(image, mask, names, colours, self.options.opacity, out=drawing[: len(image)])
        drawing[len(image) :] = strip
        if frames:
            draw_corner(drawing, *entries)
        return Shown("overlay", drawing, {"classes": classes}, mask, found=mask)


def _entries(
    counts: NDArray[np.int64], names: Sequence[str], colours: Colours
) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Names and colours of what occurs, for a legend, void last; counts are of each value of a mask, int64 [256]."""
    every = [*zip(range(len(names)), names, colours, strict=False), (IGNORE, "void", (255, 255, 255))]
    found = [(name, colour) for value, name, colour in every if counts[value]]
    return [name for name, _ in found], [colour for _, colour in found]


def draw_masks(predictor: Any, samples: Iterable[dict[str, Any]], **options: Any) -> Image:
    """Input, truth and prediction of segmentation samples, a row each; `options` are those of `predict`."""
    rows, names, colours = [], predictor.spec.names, predictor.spec.colours
    counts = np.zeros(256, dtype=np.int64)
    for sample in samples:
        image, truth = sample["image"], np.asarray(sample["mask"])
        found = predictor.predict([image], **options)[0]
        counts += count_values(truth) + count_values(found)
        rows.append([fit(image), fit(colour_mask(truth, colours)), fit(overlay(image, found, names, colours))])
    return grid(rows, COLUMNS, *_entries(counts, names, colours))


def draw_mask_batch(spec: Any, batch: dict[str, Any]) -> Image:
    """See `Wing.draw_batch`: masks are laid over the images."""
    images = batch_images(batch)
    masks = batch["mask"][: len(images)].cpu().numpy()
    drawn = [overlay(image, mask, spec.names, spec.colours) for image, mask in zip(images, masks, strict=True)]
    counts = count_values(masks) * painted(spec.names)
    return sheet(drawn, *_entries(counts, spec.names, spec.colours))


def plot_by_class(iou: NDArray[np.float64], names: Sequence[str], colours: Colours, path: Path) -> None:
    """Write the IoU of every class as bars in the classes' colours, the highest on top, and their mean as a line.

    Args:
        iou: float64 [classes], 0 to 1; classes with nan, which do not occur, are left out.
        names: class names.
        colours: of them.
        path: the file.

    Raises:
        TaskError: if the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    known = np.flatnonzero(~np.isnan(iou))
    order = known[np.argsort(iou[known], kind="stable")]
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.28 * max(1, len(order))))
    percent = 100 * iou[order]
    shades = [tuple(part / 255 for part in colours[index]) for index in order]
    bars = axes.barh(range(len(order)), percent, color=shades, edgecolor="#555555", linewidth=0.5)
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set_yticks(range(len(order)), [names[index] for index in order])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a class may have any name
    title = "IoU by class"
    if len(order):
        axes.axvline(percent.mean(), color="black", linestyle=":")
        title += f", mIoU {percent.mean():.1f} %"
    if len(order) < len(names):
        title += f"; {len(names) - len(order)} do not occur"
    axes.set(xlim=(0, 107), ylim=(-0.7, len(order) - 0.3), xlabel="IoU %", title=title)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    write_plot(path, figure)
