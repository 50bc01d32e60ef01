"""Images for people: overlays, grids of input, truth and prediction, and confusion matrices."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from datasets import resize_image
from heads import IGNORE
from tasks.legend import legend
from tasks.writing import whole, write_image

Image = NDArray[np.uint8]
Colours = Sequence[tuple[int, int, int]]
Draw = Callable[[Any, Sequence[dict[str, Any]]], Image]
DrawBatch = Callable[[Any, dict[str, Any]], Image]
ROWS = 256  # of an image that are worked on at a time, so that large ones need little memory beside their own
CELL = (960, 480)  # height and width of a cell of a grid at most
NARROWEST, GAP = 90, 6  # of a cell, so that its title can be read, and what separates cells, in pixels
OF_BATCH = 16  # images of a training batch that are drawn


def colour_mask(mask: Image, colours: Colours) -> Image:
    """uint8 [H, W] of class indices -> uint8 [H, W, 3] RGB; void (255) is white."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(colours)] = colours
    palette[IGNORE] = 255
    return palette[mask]


def painted(names: Sequence[str]) -> NDArray[np.bool_]:
    """Which values of a mask an overlay paints, bool [256]: all but void and a class named background."""
    return np.array(
        [name.strip("_").lower() != "background" for name in names] + [True] * (IGNORE - len(names)) + [False]
    )


def count_values(mask: Image) -> NDArray[np.int64]:
    """How often a mask has each value, int64 [256]."""
    counts = np.zeros(256, dtype=np.int64)
    for top in range(0, len(mask), ROWS):
        counts += np.bincount(mask[top : top + ROWS].ravel(), minlength=256)
    return counts


def overlay(
    image: Image,
    mask: Image,
    names: Sequence[str],
    colours: Colours,
    opacity: float = 0.55,
    out: Image | None = None,
) -> Image:
    """The image with its mask's colours laid over it, uint8 [H, W, 3]; what is void or background stays as it is.

    It is drawn into `out`, which may be the image itself, or into a new array.
    """
    drawn = np.empty_like(image) if out is None else out
    wanted = painted(names)
    for top in range(0, len(image), ROWS):
        rows, labels = image[top : top + ROWS], mask[top : top + ROWS]
        mixed = cv2.addWeighted(colour_mask(labels, colours), opacity, rows, 1 - opacity, 0)
        drawn[top : top + ROWS] = np.where(wanted[labels][..., None], mixed, rows)
    return drawn


def fit(image: Image) -> Image:
    """An image shrunk, if need be, into a cell of a grid, `CELL` high and wide at most and 1 at least."""
    shrink = min(1.0, *(most / side for most, side in zip(CELL, image.shape[:2], strict=True)))
    return resize_image(image, (max(1, round(image.shape[0] * shrink)), max(1, round(image.shape[1] * shrink))))


def grid(rows: Sequence[Sequence[Image]], titles: Sequence[str], names: Sequence[str], colours: Colours) -> Image:
    """Rows of images under column titles, with a legend of the classes below; uint8 [H, W, 3] RGB.

    Args:
        rows: uint8 [H, W, 3] RGB; every image is fitted into a cell, see `fit`.
        titles: one a column, or none at all.
        names: of the classes that the legend has.
        colours: of these classes.
    """
    fitted = [[fit(image) for image in row] for row in rows]
    tallest, widest = (max(image.shape[axis] for row in fitted for image in row) for axis in (0, 1))
    cell = (tallest + GAP, max(widest, NARROWEST) + GAP)
    lines = [np.concatenate([_label(title, cell[1]) for title in titles], axis=1)] if titles else []
    for row in fitted:
        lines.append(np.concatenate([_frame(image, cell) for image in row], axis=1))
    width = lines[0].shape[1]
    return np.concatenate([*lines, legend(names, colours, width)], axis=0)


def sheet(images: Sequence[Image], names: Sequence[str], colours: Colours) -> Image:
    """Images in about as many rows as columns, with a legend of classes below; see `grid`."""
    columns = math.ceil(math.sqrt(len(images)))
    cells = [*images, *[np.full((1, 1, 3), 255, dtype=np.uint8)] * (-len(images) % columns)]
    return grid([cells[at : at + columns] for at in range(0, len(cells), columns)], (), names, colours)


def batch_images(batch: dict[str, Any]) -> list[Image]:
    """The first images of a training batch, uint8 [H, W, 3] RGB each."""
    images = batch["image"][:OF_BATCH].permute(0, 2, 3, 1).cpu().numpy()
    return [*np.ascontiguousarray(images.round().clip(0, 255).astype(np.uint8))]


def _label(text: str, width: int) -> Image:
    strip = np.full((26, width, 3), 255, dtype=np.uint8)
    cv2.putText(strip, text, (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def _frame(image: Image, cell: tuple[int, int]) -> Image:
    framed = np.full((*cell, 3), 255, dtype=np.uint8)
    framed[: image.shape[0], : image.shape[1]] = image
    return framed


def plot_confusion(matrix: NDArray[np.int64], names: Sequence[str], path: Path) -> None:
    """Write a confusion matrix as an image: each row is a true class, in shares of what is of that class.

    Beyond 60 classes neither names nor numbers could be read, and they are left out.

    Raises:
        TaskError: if the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    legible = len(names) <= 60
    side = max(5.0, 0.5 * len(names) + 2) if legible else 16.0
    figure, axes = plt.subplots(figsize=(side + 1, side))
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if legible:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for row, column in np.ndindex(shares.shape):
        if legible and shares[row, column] >= 0.005:
            ink = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=ink, fontsize=8)
    figure.colorbar(shown, ax=axes, fraction=0.046, label="share of the true class")
    write_plot(path, figure)


def write_plot(path: Path, figure: Any) -> None:
    """Write a figure of matplotlib's as a PNG, and close it.

    Raises:
        TaskError: if the file cannot be written.
    """
    from matplotlib import pyplot as plt

    try:
        with whole(path) as unfinished:
            figure.savefig(unfinished, dpi=110, bbox_inches="tight")
    finally:
        plt.close(figure)


class FirstBatch(Callback):
    """Draws the first training batch as the network saw it: augmented, with what is true in it.

    Args:
        path: of the PNG.
        draw: (spec, batch) -> one image of the batch, see `Wing.draw_batch`.
    """

    def __init__(self, path: Path, draw: DrawBatch) -> None:
        self.path, self.draw, self.drawn = path, draw, False

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if not self.drawn and trainer.is_global_zero:
            write_image(self.path, self.draw(pl_module.spec, batch))
        self.drawn = True


class ValidationImages(Callback):
    """With each validation, draws input, truth and prediction of a few images into the run and TensorBoard.

    It does so while the averaged weights, which are validated and saved, are in the network; so it stands before
    `Ema` among the callbacks.

    Args:
        samples: as the validation dataset gives them.
        folder: where epoch_NNN.png goes.
        draw: (task, samples) -> one image of them all, such as `draw_masks`.
    """

    def __init__(self, samples: Sequence[dict[str, Any]], folder: Path, draw: Draw) -> None:
        self.samples, self.folder, self.draw = samples, folder, draw

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero or trainer.state.fn != "fit":
            return
        image = self.draw(pl_module, self.samples)
        write_image(self.folder / f"epoch_{trainer.current_epoch:03d}.png", image)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("predictions", image, trainer.global_step, dataformats="HWC")


COLUMNS = ("input", "truth", "prediction")
