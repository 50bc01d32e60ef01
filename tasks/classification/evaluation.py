"""Evaluating a classifier over a split, and writing what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from datasets import ClassificationDataset, ClassificationFiles, eval_loader, evaluation_samples, tell_difference
from tasks.classification.drawing import draw_labels
from tasks.classification.task import TOP, ClassificationTask
from tasks.drawing import plot_confusion
from tasks.errors import TaskError
from tasks.writing import write_image, write_json, write_table

ROWS = 30  # classes that the printed table has at most


@dataclass(frozen=True)
class ClassificationScores:
    """What is right, and what is taken for what.

    Attributes:
        top1: share of the images whose class has the highest probability.
        top5: share of those whose class is among the five highest.
        loss: cross-entropy, averaged over the images.
        accuracy: float64 [classes], share of each class's images that are right; nan where there are none.
        matrix: int64 [classes, classes], rows are truth, columns prediction, in images.
        losses: float32 [N], of every image.
        right: bool [N], likewise.
    """

    top1: float
    top5: float
    loss: float
    accuracy: NDArray[np.float64]
    matrix: NDArray[np.int64]
    losses: NDArray[np.float32]
    right: NDArray[np.bool_]


@torch.inference_mode()
def evaluate_classification(task: ClassificationTask, loader: Iterable[dict[str, Any]]) -> ClassificationScores:
    """Scores over the batches of an `eval_loader`, the images in its order.

    Args:
        task: in evaluation mode.
        loader: of samples as `evaluation_samples` gives them.
    """
    classes = len(task.spec.names)
    matrix = MulticlassConfusionMatrix(classes, validate_args=False)
    top5 = MulticlassAccuracy(classes, min(TOP, classes), average="micro", validate_args=False)
    losses, right = [], []
    for batch in track(loader, "Evaluating", transient=True):
        logits, label = task.network(task.normalise(batch["image"])).float().cpu(), batch["label"].cpu()
        matrix.update(logits, label)
        top5.update(logits, label)
        losses.append(F.cross_entropy(logits, label, reduction="none"))
        right.append(logits.argmax(1) == label)
    counts = matrix.compute().numpy().astype(np.int64)
    images, hits = counts.sum(1).astype(float), counts.diagonal().astype(float)
    accuracy = np.divide(hits, images, out=np.full_like(hits, np.nan), where=images > 0)
    every = torch.cat(losses)
    top1 = float(hits.sum() / images.sum())
    return ClassificationScores(
        top1, float(top5.compute()), float(every.mean()), accuracy, counts, every.numpy(), torch.cat(right).numpy()
    )


def print_classification_scores(scores: ClassificationScores, names: list[str], title: str) -> None:
    """Print the accuracy of every class, or of the 30 lowest, with what each is mostly taken for, top-1 and top-5."""
    print(title)
    table = Table()
    for column in ("class", "images", "accuracy %", "mostly taken for"):
        table.add_column(column, justify="left" if column in ("class", "mostly taken for") else "right")
    evaluated = np.flatnonzero(scores.matrix.sum(1))
    lowest = evaluated[np.argsort(scores.accuracy[evaluated], kind="stable")[:ROWS]]
    for label in evaluated if len(evaluated) <= ROWS else lowest:
        row = scores.matrix[label].copy()
        total, row[label] = row.sum(), 0
        taken = f"{names[row.argmax()]} {100 * row.max() / total:.1f} %" if row.any() else ""
        table.add_row(names[label], f"{total:,}", f"{100 * scores.accuracy[label]:.2f}", taken)
    if len(evaluated) > ROWS:
        table.add_row(f"and {len(evaluated) - ROWS} better ones", "", "", "")
    table.add_section()
    table.add_row("top-1", f"{len(scores.losses):,}", f"{100 * scores.top1:.2f}", "")
    if len(names) > TOP:
        table.add_row("top-5", "", f"{100 * scores.top5:.2f}", "")
    Console().print(table)


def write_classification_evaluation(
    folder: Path,
    task: ClassificationTask,
    scores: ClassificationScores,
    samples: ClassificationDataset,
    settings: dict[str, Any],
    drawn: int,
) -> list[Path]:
    """Write scores.json, confusion.csv, confusion.png, and worst.png: wrong images, the highest loss first.

    Returns:
        What was written.

    Raises:
        TaskError: if a file cannot be written.
    """
    names, wrong = task.spec.names, np.flatnonzero(~scores.right)
    worst = wrong[np.argsort(-scores.losses[wrong], kind="stable")][:drawn]
    accuracy = {name: None if np.isnan(one) else one for name, one in zip(names, scores.accuracy.tolist(), strict=True)}
    content = settings | {"top1": scores.top1, "top5": scores.top5, "loss": scores.loss, "accuracy": accuracy}
    content["worst"] = [{"file": samples.files.image_paths[i], "loss": float(scores.losses[i])} for i in worst]
    write_json(folder / "scores.json", content)
    rows = ([name, *row] for name, row in zip(names, scores.matrix.tolist(), strict=True))
    write_table(folder / "confusion.csv", [["truth \\ prediction", *names], *rows])
    plot_confusion(scores.matrix, names, folder / "confusion.png")
    written = [folder / name for name in ("scores.json", "confusion.csv", "confusion.png")]
    if len(worst):
        write_image(folder / "worst.png", draw_labels(task, [samples[int(index)] for index in worst]))
        written.append(folder / "worst.png")
    return written


def judge_classifier(
    checkpoint: Path,
    files: ClassificationFiles,
    folder: Path,
    drawn: int = 40,
    batch_size: int = 64,
    workers: int = 1,
    device: str = "auto",
) -> ClassificationScores:
    """Evaluate a checkpoint on a split, print the scores, and write them.

    Args:
        checkpoint: of a classifier with the split's classes.
        files: the split.
        folder: for what `write_classification_evaluation` writes.
        drawn: how many of the worst images to draw.
        batch_size: images a step.
        workers: loader processes.
        device: "cpu", "cuda" or "auto".

    Raises:
        TaskError: if the classes differ.
        CheckpointError: if there is no such checkpoint of a classifier.
    """
    task = ClassificationTask.load(checkpoint, device)
    if files.names != task.spec.names:
        difference = tell_difference(task.spec.names, files.names, str(checkpoint), str(files.root))
        raise TaskError(f"classes differ: {difference}")
    samples = evaluation_samples(files, task.spec.input_size, task.spec.crop_ratio)
    scores = evaluate_classification(task, eval_loader(samples, workers, batch_size=batch_size))
    print_classification_scores(scores, files.names, f"{files.root}, {files.split}, {len(files.image_paths):,} images")
    settings: dict[str, Any] = {"checkpoint": str(checkpoint), "data": str(files.root), "split": files.split}
    settings |= {"images": len(files.image_paths)}
    written = write_classification_evaluation(folder, task, scores, samples, settings, drawn)
    print(f"wrote {', '.join(path.name for path in written)} to {folder}")
    return scores
