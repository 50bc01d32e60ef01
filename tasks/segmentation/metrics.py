"""What a confusion matrix says of masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from heads import IGNORE


@dataclass(frozen=True)
class SegmentationScores:
    """What a confusion matrix says. Classes that occur neither in truth nor in prediction have IoU nan.

    Attributes:
        matrix: int64 [classes, classes], rows are truth, columns prediction, in pixels.
        iou: float64 [classes], intersection over union.
        miou: mean of `iou` without nan.
        pixel_accuracy: share of labelled pixels that are right.
    """

    matrix: NDArray[np.int64]
    iou: NDArray[np.float64]
    miou: float
    pixel_accuracy: float


def segmentation_scores(matrix: NDArray[np.int64]) -> SegmentationScores:
    """IoU of every class, their mean and the pixel accuracy from one matrix over all images (VOC's rule)."""
    hits, union = matrix.diagonal().astype(float), (matrix.sum(0) + matrix.sum(1) - matrix.diagonal()).astype(float)
    iou = np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)
    miou = float(np.nanmean(iou)) if (union > 0).any() else float("nan")
    return SegmentationScores(matrix, iou, miou, float(hits.sum() / max(1, matrix.sum())))


class ConfusionMatrix(MulticlassConfusionMatrix):
    """torchmetrics' confusion matrix with 255 ignored, and our scores of it."""

    def __init__(self, num_classes: int) -> None:
        # with one class torchmetrics would refuse; the second row stays empty and is cut off again
        super().__init__(max(2, num_classes), ignore_index=IGNORE, validate_args=False)
        self.classes = num_classes

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count pixels, with one pass over small integers: ten times faster than the update that it replaces.

        Args:
            preds: integers of any shape, classes.
            target: likewise, with 255 where nothing is counted.
        """
        size = self.num_classes
        pairs = target.clamp(max=size).int() * size + preds  # what is ignored goes to a row behind the others
        counts = torch.bincount(pairs.flatten(), minlength=size * (size + 1))
        self.confmat += counts[: size * size].view(size, size)

    def scores(self) -> SegmentationScores:
        """Scores over everything seen by all processes."""
        return segmentation_scores(self.compute().cpu().numpy().astype(np.int64)[: self.classes, : self.classes])


def print_scores(scores: SegmentationScores, names: Sequence[str], title: str) -> None:
    """Print the IoU of every class, mIoU and pixel accuracy as a table, in percent."""
    print(title)
    table = Table()
    table.add_column("class")
    table.add_column("IoU %", justify="right")
    table.add_column("share of pixels %", justify="right")
    share = scores.matrix.sum(1) / max(1, scores.matrix.sum())
    for name, iou, part in zip(names, scores.iou, share, strict=True):
        table.add_row(name, "-" if np.isnan(iou) else f"{100 * iou:.2f}", f"{100 * part:.2f}")
    table.add_section()
    table.add_row("mIoU", f"{100 * scores.miou:.2f}", "")
    table.add_row("pixel accuracy", f"{100 * scores.pixel_accuracy:.2f}", "")
    Console().print(table)
