"""Evaluating a segmentation network over a split, and writing what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from datasets import SegmentationDataset, SegmentationFiles
from tasks.drawing import ROWS, draw_masks, plot_confusion
from tasks.segmentation.task import ConfusionMatrix, SegmentationScores, SegmentationTask, segmentation_scores
from tasks.writing import write_image, write_json


@dataclass(frozen=True)
class SegmentationEvaluation:
    """Scores over all images together, each image's own mIoU in the order of the split, and how it was predicted.

    `options` are those of `SegmentationTask.predict`.
    """

    scores: SegmentationScores
    image_miou: list[float]
    options: dict[str, Any]


def evaluate_segmentation(
    task: SegmentationTask,
    loader: Iterable[dict[str, Any]],
    tta_scales: Sequence[float] = (1.0,),
    tta_flip: bool = False,
    window: tuple[int, int] | None = None,
) -> SegmentationEvaluation:
    """Predict every image at its own size and count its pixels.

    Args:
        task: in evaluation mode.
        loader: batches of one image, as `eval_loader` gives them.
        tta_scales: see `SegmentationTask.predict`.
        tta_flip: likewise.
        window: likewise.
    """
    options: dict[str, Any] = {"tta_scales": tta_scales, "tta_flip": tta_flip, "window": window}
    count = len(task.spec.names)
    total: NDArray[np.int64] = np.zeros((count, count), dtype=np.int64)
    image_miou = []
    matrix = ConfusionMatrix(count)
    for batch in track(loader, "Evaluating", transient=True):
        image = batch["image"][0].permute(1, 2, 0).numpy()
        predicted = torch.from_numpy(task.predict([image], **options)[0])
        for found, truth in zip(predicted.split(ROWS), batch["mask"][0].split(ROWS), strict=True):
            matrix.update(found, truth)
        scores = matrix.scores()
        total += scores.matrix
        image_miou.append(scores.miou)
        matrix.reset()
    return SegmentationEvaluation(segmentation_scores(total), image_miou, options)


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


def write_evaluation(
    folder: Path,
    task: SegmentationTask,
    evaluation: SegmentationEvaluation,
    files: SegmentationFiles,
    settings: dict[str, Any],
    drawn: int,
) -> None:
    """Write scores.json, confusion.png, samples.png (images across the split), worst.png (lowest mIoU first).

    Raises:
        TaskError: if a file cannot be written.
    """
    scores, names = evaluation.scores, task.spec.names
    own = {str(pair[0]): miou for pair, miou in zip(files.pairs, evaluation.image_miou, strict=True)}
    content = {
        **settings,
        "miou": scores.miou,
        "pixel_accuracy": scores.pixel_accuracy,
        "iou": {name: None if np.isnan(iou) else float(iou) for name, iou in zip(names, scores.iou, strict=True)},
        "confusion_matrix": scores.matrix.tolist(),
        "images_miou": {name: None if np.isnan(miou) else miou for name, miou in own.items()},
    }
    write_json(folder / "scores.json", content)
    plot_confusion(scores.matrix, names, folder / "confusion.png")
    order = np.argsort(np.nan_to_num(evaluation.image_miou, nan=1.0), kind="stable")
    across = np.linspace(0, len(files.pairs) - 1, min(drawn, len(files.pairs))).round()
    dataset = SegmentationDataset(files)
    for name, chosen in (("worst", order[:drawn]), ("samples", across)):
        if len(chosen):
            samples = (dataset[int(index)] for index in chosen)
            write_image(folder / f"{name}.png", draw_masks(task, samples, **evaluation.options))
