"""Evaluating detections over a split, and writing what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from datasets import DataError, DetectionDataset, DetectionFiles, read_image, sample_loader
from datasets.faults import list_faults
from tasks.detection.detections import Detections, read_results, write_results
from tasks.detection.drawing import _row, plot_precision_recall
from tasks.detection.metrics import STATS, CocoScores, VocScores, coco_scores, voc_average_precision
from tasks.drawing import COLUMNS, grid
from tasks.options import Evaluation
from tasks.readiness import require_folder
from tasks.writing import write_image, write_json


@dataclass(frozen=True)
class DetectionEvaluation:
    """COCO's numbers, and VOC's average precision by area (2010 and later) and at eleven points (2007)."""

    coco: CocoScores
    voc: VocScores
    voc07: VocScores


def evaluate_detections(
    files: DetectionFiles, detections: Sequence[Detections], backend: str = "pycocotools"
) -> DetectionEvaluation:
    """Evaluate detections, one an image in the order of the split.

    Args:
        files: the ground truth.
        detections: of its images.
        backend: see `coco_scores`.
    """
    return DetectionEvaluation(
        coco_scores(files, detections, backend),
        voc_average_precision(files, detections),
        voc_average_precision(files, detections, eleven_point=True),
    )


def print_detection_scores(evaluation: DetectionEvaluation, files: DetectionFiles, title: str) -> None:
    """Print the twelve COCO numbers, and the average precision of every class, in percent."""
    print(title)
    table = Table()
    for column in ("class", "objects", "AP", "AP50", "VOC AP", "VOC07 AP"):
        table.add_column(column, justify="left" if column == "class" else "right")
    labels = np.concatenate([objects.labels for objects in files.objects])
    objects = np.bincount(labels, minlength=len(files.names))
    coco, voc, voc07 = evaluation.coco, evaluation.voc, evaluation.voc07
    columns = zip(files.names, objects, coco.ap, coco.ap50, voc.ap, voc07.ap, strict=True)
    for name, count, *values in columns:
        if count or len(files.names) <= 30:
            table.add_row(name, f"{count:,}", *(_percent(value) for value in values))
    table.add_section()
    table.add_row("mean", f"{objects.sum():,}", *map(_percent, (coco.stats[0], coco.stats[1], voc.map, voc07.map)))
    Console().print(table)
    names = [f"{name} {_percent(value)}" for name, value in zip(STATS, coco.stats, strict=True)]
    print("COCO: " + ", ".join(names[:6]) + "\n      " + ", ".join(names[6:]))


def _percent(value: float) -> str:
    return "-" if np.isnan(value) or value < 0 else f"{100 * value:.2f}"


def write_detection_evaluation(
    folder: Path,
    evaluation: DetectionEvaluation,
    files: DetectionFiles,
    detections: Sequence[Detections],
    settings: dict[str, Any],
    drawn: int,
) -> list[Path]:
    """Write scores.json, results.json (COCO's format), precision_recall.png, and samples.png where images are there.

    Returns:
        What was written.

    Raises:
        TaskError: if a file cannot be written.
    """
    coco, voc, voc07 = evaluation.coco, evaluation.voc, evaluation.voc07
    content = {
        **settings,
        "coco": dict(zip(STATS, coco.stats.tolist(), strict=True)),
        "voc": {"mAP": voc.map, "mAP 11 points": voc07.map},
        "classes": {
            name: {"AP": _number(ap), "AP50": _number(ap50), "VOC AP": _number(area), "VOC07 AP": _number(eleven)}
            for name, ap, ap50, area, eleven in zip(files.names, coco.ap, coco.ap50, voc.ap, voc07.ap, strict=True)
        },
    }
    write_json(folder / "scores.json", content)
    write_results(folder / "results.json", files, detections)
    curve = folder / "precision_recall.png"
    plot_precision_recall(voc.curves, voc.ap, files.names, curve, "Precision and recall at IoU 0.5 (VOC's rule)")
    written = [folder / "scores.json", folder / "results.json", curve]
    colours = files.colours
    rows = []
    for index in np.linspace(0, len(files.image_paths) - 1, min(drawn, len(files.image_paths))).round().astype(int):
        if files.image_paths[index].is_file():
            image, objects = read_image(files.image_paths[index]), files.objects[index]
            rows.append(_row(image, objects.boxes, objects.labels, detections[index], files.names, colours))
    if rows:
        write_image(folder / "samples.png", grid(rows, COLUMNS, files.names, colours))
        written.append(folder / "samples.png")
    return written


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def evaluate(
    predictor: Any,
    files: DetectionFiles,
    folder: Path,
    settings: dict[str, Any],
    drawn: int,
    workers: int,
    batch_size: int = 8,
    backend: str = "pycocotools",
    **options: Any,
) -> DetectionEvaluation:
    """See `tasks.wing.Wing.evaluate`; `batch_size` is images a step, and for `backend` see `coco_scores`."""
    batches = sample_loader(DetectionDataset(files), workers, batch_size)
    detections: list[Detections] = []
    for batch in track(batches, "Detecting", transient=True):
        detections += predictor.predict([sample["image"] for sample in batch], **options)
    return report(detections, files, folder, settings, drawn, backend)


def evaluate_results(predictions: Path, files: DetectionFiles, evaluation: Evaluation, backend: str) -> Path:
    """Evaluate detections out of a COCO results json on a split, print the scores, and write them; the folder.

    Raises:
        DataError: if the split's annotations have faults, and see `read_results`.
    """
    folder = require_folder(evaluation.output or predictions.parent / f"eval_{files.split}")
    if files.faults:
        raise DataError(list_faults(files.faults, f"{files.root}, split {files.split}"))
    settings = {"predictions": str(predictions), "data": str(files.root), "split": files.split}
    report(
        read_results(predictions, files),
        files,
        folder,
        settings,
        6 if evaluation.drawn is None else evaluation.drawn,
        backend,
    )
    return folder


def report(
    detections: list[Detections],
    files: DetectionFiles,
    folder: Path,
    settings: dict[str, Any],
    drawn: int,
    backend: str,
) -> DetectionEvaluation:
    """Print the scores of detections, one an image of the split, and write them.

    Raises:
        TaskError: if a file cannot be written.
    """
    evaluation = evaluate_detections(files, detections, backend)
    print_detection_scores(evaluation, files, f"{files.root}, {files.split}, {len(files.image_paths)} images")
    settings |= {"images": len(files.image_paths), "backend": backend}
    written = write_detection_evaluation(folder, evaluation, files, detections, settings, drawn)
    print(f"wrote {', '.join(path.name for path in written)} to {folder}")
    if written[-1].name == "samples.png":
        print(f"image grid (input, truth, prediction): {written[-1]}")
    return evaluation
