"""Evaluating a classifier over a split, and writing what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from datasets import ClassificationDataset, ClassificationFiles, sample_loader
from tasks.classification.drawing import draw_labels
from tasks.classification.task import TOP
from tasks.drawing import plot_confusion
from tasks.writing import write_image, write_json, write_table

ROWS = 30  # classes that the printed table has at most

DRAWN = 40  # images, where no number is given


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


def evaluate_classes(predictor: Any, batches: Iterable[list[dict[str, Any]]], **options: Any) -> ClassificationScores:
    """Scores of every image of some batches, in their order.

    Args:
        predictor: has a `spec`, and `predict(images)` gives probabilities.
        batches: samples of a `ClassificationDataset` without augmentation, as `sample_loader` gives them.
        **options: of `predict`.
    """
    found, labels = [], []
    for batch in track(batches, "Evaluating", transient=True):
        found.append(predictor.predict([sample["image"] for sample in batch], **options))
        labels += [sample["label"] for sample in batch]
    probabilities, label, classes = np.concatenate(found), np.array(labels), len(predictor.spec.names)
    own = probabilities[np.arange(len(label)), label]
    predicted = probabilities.argmax(1)
    matrix = np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes)
    images, hits = matrix.sum(1).astype(float), matrix.diagonal().astype(float)
    accuracy = np.divide(hits, images, out=np.full_like(hits, np.nan), where=images > 0)
    losses = -np.log(own.clip(np.finfo(np.float32).tiny))
    top5 = float(((probabilities > own[:, None]).sum(1) < TOP).mean())
    return ClassificationScores(
        float((predicted == label).mean()), top5, float(losses.mean()), accuracy, matrix, losses, predicted == label
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
    predictor: Any,
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
    names, wrong = predictor.spec.names, np.flatnonzero(~scores.right)
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
        write_image(folder / "worst.png", draw_labels(predictor, [samples[int(index)] for index in worst]))
        written.append(folder / "worst.png")
    return written


def evaluate(
    predictor: Any,
    files: ClassificationFiles,
    folder: Path,
    settings: dict[str, Any],
    drawn: int | None = None,
    workers: int = 1,
    batch_size: int = 64,
    **options: Any,
) -> ClassificationScores:
    """See `tasks.wing.Wing.evaluate`; `batch_size` is images a step."""
    drawn = DRAWN if drawn is None else drawn
    samples = ClassificationDataset(files)
    scores = evaluate_classes(predictor, sample_loader(samples, workers, batch_size), **options)
    images = len(files.image_paths)
    print_classification_scores(scores, files.names, f"{files.root}, {files.split}, {images:,} images")
    written = write_classification_evaluation(folder, predictor, scores, samples, settings | {"images": images}, drawn)
    print(f"wrote {', '.join(path.name for path in written)} to {folder}")
    return scores


def score(predictor: Any, files: ClassificationFiles, workers: int = 1) -> float:
    """See `tasks.wing.Wing.score`: top-1."""
    return evaluate_classes(predictor, sample_loader(ClassificationDataset(files), workers, 64)).top1
