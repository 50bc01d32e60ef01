"""Evaluating a segmentation network over a split, and writing what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from datasets import SegmentationDataset, SegmentationFiles, sample_loader
from tasks.drawing import ROWS, plot_confusion
from tasks.segmentation.drawing import draw_masks, plot_by_class
from tasks.segmentation.metrics import ConfusionMatrix, SegmentationScores, print_scores, segmentation_scores
from tasks.writing import write_image, write_json

DRAWN = 6  # images, where no number is given


@dataclass(frozen=True)
class SegmentationEvaluation:
    """Scores over all images together, each image's own mIoU in the order of the split, and how it was predicted.

    `options` are those of `SegmentationTask.predict`.
    """

    scores: SegmentationScores
    image_miou: list[float]
    options: dict[str, Any]


def evaluate_masks(predictor: Any, batches: Iterable[list[dict[str, Any]]], **options: Any) -> SegmentationEvaluation:
    """Predict every image at its own size and count its pixels.

    Args:
        predictor: has a `spec` and `predict(images)`.
        batches: samples of a `SegmentationDataset`, as `sample_loader` gives them.
        **options: of `predict`.
    """
    count = len(predictor.spec.names)
    total: NDArray[np.int64] = np.zeros((count, count), dtype=np.int64)
    image_miou = []
    matrix = ConfusionMatrix(count)
    for sample in (sample for batch in track(batches, "Evaluating", transient=True) for sample in batch):
        masks = predictor.predict([sample["image"]], **options)[0], sample["mask"]
        writable = (torch.as_tensor(np.require(mask, requirements="W")) for mask in masks)  # else torch warns
        for found, truth in zip(*(mask.split(ROWS) for mask in writable), strict=True):
            matrix.update(found, truth)
        scores = matrix.scores()
        total += scores.matrix
        image_miou.append(scores.miou)
        matrix.reset()
    return SegmentationEvaluation(segmentation_scores(total), image_miou, options)


def evaluate(
    predictor: Any,
    files: SegmentationFiles,
    folder: Path,
    settings: dict[str, Any],
    drawn: int | None = None,
    workers: int = 1,
    **options: Any,
) -> SegmentationEvaluation:
    """See `tasks.wing.Wing.evaluate`."""
    drawn = DRAWN if drawn is None else drawn
    evaluation = evaluate_masks(predictor, sample_loader(SegmentationDataset(files), workers), **options)
    print_scores(evaluation.scores, files.names, f"{files.root}, {files.split}, {len(files.pairs)} images")
    write_evaluation(folder, predictor, evaluation, files, settings | {"images": len(files.pairs)} | options, drawn)
    print(f"wrote scores.json, iou.png, confusion.png, samples.png and worst.png to {folder}")
    print(f"image grid (input, truth, prediction): {folder / 'samples.png'}")
    return evaluation


def score(predictor: Any, files: SegmentationFiles, workers: int = 1) -> float:
    """See `tasks.wing.Wing.score`: mIoU."""
    return evaluate_masks(predictor, sample_loader(SegmentationDataset(files), workers)).scores.miou


def write_evaluation(
    folder: Path,
    predictor: Any,
    evaluation: SegmentationEvaluation,
    files: SegmentationFiles,
    settings: dict[str, Any],
    drawn: int,
) -> None:
    """Write scores.json, iou.png, confusion.png, samples.png (images across the split), worst.png (lowest mIoU first).

    Raises:
        TaskError: if a file cannot be written.
    """
    scores, names = evaluation.scores, files.names
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
    plot_by_class(scores.iou, names, files.colours, folder / "iou.png")
    plot_confusion(scores.matrix, names, folder / "confusion.png")
    order = np.argsort(np.nan_to_num(evaluation.image_miou, nan=1.0), kind="stable")
    across = np.linspace(0, len(files.pairs) - 1, min(drawn, len(files.pairs))).round()
    dataset = SegmentationDataset(files)
    for name, chosen in (("worst", order[:drawn]), ("samples", across)):
        if len(chosen):
            samples = (dataset[int(index)] for index in chosen)
            write_image(folder / f"{name}.png", draw_masks(predictor, samples, **evaluation.options))
