"""Evaluating detections over a split, and writing what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from datasets import DataError, DetectionDataset, DetectionFiles, Resize, default_colours, eval_loader, read_image
from datasets.segmentation.checks import list_faults
from tasks.detection.detections import Detections, read_results, write_results
from tasks.detection.drawing import draw_boxes, plot_precision_recall
from tasks.detection.metrics import STATS, CocoScores, VocScores, coco_scores, voc_average_precision
from tasks.detection.task import DetectionTask
from tasks.drawing import COLUMNS, Colours, Image, fit, grid
from tasks.errors import TaskError
from tasks.writing import write_image, write_json

SHOWN = 0.3  # detections below this score are not drawn


@dataclass(frozen=True)
class DetectionEvaluation:
    """COCO's numbers, and VOC's average precision by area (2010 and later) and at eleven points (2007)."""

    coco: CocoScores
    voc: VocScores
    voc07: VocScores


def detect_all(task: DetectionTask, loader: Iterable[dict[str, Any]]) -> list[Detections]:
    """The detections of every image of a loader, in its order."""
    found: list[Detections] = []
    for batch in track(loader, "Detecting", transient=True):
        found += task.detect(batch["image"], batch["size"])
    return found


def evaluate_detection(
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
    colours = detection_colours(len(files.names))
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


def detection_colours(count: int) -> list[tuple[int, int, int]]:
    """Colours of classes without background."""
    return default_colours(count + 1)[1:]


def _row(
    image: Image, boxes: Any, labels: Any, found: Detections, names: Sequence[str], colours: Colours
) -> list[Image]:
    """Input, truth, and the detections from a score of `SHOWN` up, fitted into cells."""
    sure = found.scores >= SHOWN
    drawn = draw_boxes(image, found.boxes[sure], found.labels[sure], names, colours, found.scores[sure])
    return [fit(image), fit(draw_boxes(image, boxes, labels, names, colours)), fit(drawn)]


def draw_detections(task: DetectionTask, samples: Sequence[dict[str, Any]]) -> Image:
    """Input, truth and prediction of detection samples, a row each."""
    rows, names, colours = [], task.spec.names, task.spec.colours
    for sample in samples:
        found = task.predict([sample["image"]])[0]
        rows.append(_row(sample["image"], sample["boxes"], sample["labels"], found, names, colours))
    return grid(rows, COLUMNS, names, colours)


def judge(
    checkpoint: Path,
    files: DetectionFiles,
    folder: Path,
    backend: str = "pycocotools",
    drawn: int = 6,
    batch_size: int = 8,
    workers: int = 1,
    device: str = "auto",
) -> DetectionEvaluation:
    """Evaluate a checkpoint on a split, print the scores, and write them.

    Args:
        checkpoint: of a detection network with the split's classes.
        files: the split.
        folder: for what `write_detection_evaluation` writes.
        backend: see `coco_scores`.
        drawn: how many images to draw.
        batch_size: images a step.
        workers: loader processes.
        device: "cpu", "cuda" or "auto".

    Raises:
        TaskError: if the classes differ.
        CheckpointError: if there is no such detection checkpoint.
    """
    task = DetectionTask.load(checkpoint, device)
    if files.names != task.spec.names:
        raise TaskError(
            f"classes differ: {checkpoint} has {', '.join(task.spec.names)}; {files.root} {', '.join(files.names)}"
        )
    dataset = DetectionDataset(files, Resize(task.spec.input_size))
    detections = detect_all(task, eval_loader(dataset, workers, batch_size=batch_size))
    return _judge(detections, files, folder, backend, drawn, {"checkpoint": str(checkpoint)})


def judge_results(
    predictions: Path, files: DetectionFiles, folder: Path, backend: str = "pycocotools", drawn: int = 6
) -> DetectionEvaluation:
    """Evaluate detections from a COCO results json on a split, print the scores, and write them.

    Args:
        predictions: the results json.
        files: the split.
        folder: for what `write_detection_evaluation` writes.
        backend: see `coco_scores`.
        drawn: how many images to draw.

    Raises:
        DataError: if the split's annotations have faults, and see `read_results`.
    """
    if files.faults:
        raise DataError(list_faults(files.faults, f"{files.root}, split {files.split}"))
    detections = read_results(predictions, files)
    return _judge(detections, files, folder, backend, drawn, {"predictions": str(predictions)})


def _judge(
    detections: list[Detections],
    files: DetectionFiles,
    folder: Path,
    backend: str,
    drawn: int,
    settings: dict[str, Any],
) -> DetectionEvaluation:
    evaluation = evaluate_detection(files, detections, backend)
    print_detection_scores(evaluation, files, f"{files.root}, {files.split}, {len(files.image_paths)} images")
    settings |= {"data": str(files.root), "split": files.split, "images": len(files.image_paths), "backend": backend}
    written = write_detection_evaluation(folder, evaluation, files, detections, settings, drawn)
    print(f"wrote {', '.join(path.name for path in written)} to {folder}")
    if written[-1].name == "samples.png":
        print(f"image grid (input, truth, prediction): {written[-1]}")
    return evaluation
