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
from tasks.detection.devkit import read_devkit
from tasks.detection.drawing import draw_rows, plot_precision_recall, plot_thresholds
from tasks.detection.metrics import STATS, CocoScores, Floats, VocScores, coco_scores, voc_average_precision
from tasks.detection.thresholds import score_thresholds
from tasks.options import Evaluation
from tasks.readiness import require_folder
from tasks.writing import write_image, write_json

DRAWN = 6  # images, where no number is given


@dataclass(frozen=True)
class DetectionEvaluation:
    """COCO's numbers, and VOC's average precision.

    Attributes:
        coco: of COCO's twelve numbers.
        voc: by area (VOC2010 and later), at IoU 0.5.
        voc75: the same at IoU 0.75.
        voc07: at eleven points of recall (VOC2007), at IoU 0.5.
    """

    coco: CocoScores
    voc: VocScores
    voc75: VocScores
    voc07: VocScores

    @property
    def columns(self) -> dict[str, tuple[Floats, float]]:
        """What a table shows by heading: the average precision of every class, float64 [classes], and the mean."""
        coco = zip((self.coco.ap, self.coco.ap50, self.coco.ap75), self.coco.stats[:3].tolist(), strict=True)
        voc = {"VOC AP50": self.voc, "VOC AP75": self.voc75, "VOC07 AP50": self.voc07}
        return dict(zip(STATS, coco, strict=False)) | {name: (scores.ap, scores.map) for name, scores in voc.items()}


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
        voc_average_precision(files, detections, iou=0.75),
        voc_average_precision(files, detections, eleven_point=True),
    )


def print_detection_scores(evaluation: DetectionEvaluation, files: DetectionFiles, title: str) -> None:
    """Print the twelve COCO numbers, and the average precision of every class, in percent.

    Objects are those that COCO counts, all but crowds; VOC leaves out difficult ones too, which have a column if there
    are any.
    """
    print(title)
    objects = files.objects[0].joined(files.objects[1:])
    counted = {"objects": ~objects.crowd, "difficult": objects.difficult & ~objects.crowd}
    counts = {
        heading: np.bincount(objects.labels[chosen], minlength=len(files.names))
        for heading, chosen in counted.items()
        if heading == "objects" or chosen.any()
    }
    table = Table()
    table.add_column("class", no_wrap=True)  # headings are broken instead
    for heading in (*counts, *evaluation.columns):
        table.add_column(heading, justify="right")
    for label, name in enumerate(files.names):
        if counts["objects"][label] or len(files.names) <= 30:
            values = (percent(ap[label]) for ap, _ in evaluation.columns.values())
            table.add_row(name, *(f"{count[label]:,}" for count in counts.values()), *values)
    table.add_section()
    means = (percent(mean) for _, mean in evaluation.columns.values())
    table.add_row("mean", *(f"{count.sum():,}" for count in counts.values()), *means)
    Console().print(table)
    print(
        "AP is COCO's mean over IoU 0.5 to 0.95, AP50 and AP75 are at IoU 0.5 and 0.75;\n"
        "VOC is by area (2010 and later), VOC07 at 11 recalls.\n"
        "Objects are without crowds; VOC leaves out difficult ones too."
    )
    names = [f"{name} {percent(value)}" for name, value in zip(STATS, evaluation.coco.stats, strict=True)]
    print("COCO: " + ", ".join(names[:6]) + "\n      " + ", ".join(names[6:]))
    thresholds = score_thresholds(evaluation.voc)
    if thresholds.best is not None:
        told = ", ".join(f"{name} {percent(mean)}" for name, mean in thresholds.at(thresholds.best).items())
        print(f"best score threshold {thresholds.best:.2f}: {told} at IoU 0.5, means over classes")


def percent(value: float) -> str:
    """A share as percent, or a dash for COCO's -1 and nan, where there is nothing to find."""
    return "-" if np.isnan(value) or value < 0 else f"{100 * value:.2f}"


def write_detection_evaluation(
    folder: Path,
    evaluation: DetectionEvaluation,
    files: DetectionFiles,
    detections: Sequence[Detections],
    settings: dict[str, Any],
    drawn: int,
) -> list[Path]:
    """Write scores.json, results.json (COCO's format), two plots, and samples.png where images are there.

    Returns:
        What was written.

    Raises:
        TaskError: if a file cannot be written.
    """
    coco, voc = evaluation.coco, evaluation.voc
    thresholds = score_thresholds(voc)
    best = thresholds.best
    content = {
        **settings,
        "score_threshold": None if best is None else {"best": best, **thresholds.at(best)},
        "coco": dict(zip(STATS, coco.stats.tolist(), strict=True)),
        "voc": {heading: mean for heading, (_, mean) in evaluation.columns.items() if heading not in STATS},
        "classes": {
            name: {heading: _number(ap[label]) for heading, (ap, _) in evaluation.columns.items()}
            for label, name in enumerate(files.names)
        },
    }
    write_json(folder / "scores.json", content)
    write_results(folder / "results.json", files, detections)
    curve = folder / "precision_recall.png"
    plot_precision_recall(voc.curves, voc.ap, files.names, curve, "Precision and recall at IoU 0.5 (VOC's rule)")
    plot_thresholds(thresholds, files.names, folder / "threshold.png")
    written = [folder / "scores.json", folder / "results.json", curve, folder / "threshold.png"]
    across = np.linspace(0, len(files.image_paths) - 1, min(drawn, len(files.image_paths))).round().astype(int).tolist()
    there = [index for index in across if files.image_paths[index].is_file()]
    if there:
        rows = (
            (read_image(files.image_paths[i]), files.objects[i].boxes, files.objects[i].labels, detections[i])
            for i in there
        )
        write_image(folder / "samples.png", draw_rows(rows, files.names, files.colours))
        written.append(folder / "samples.png")
    return written


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def evaluate(
    predictor: Any,
    files: DetectionFiles,
    folder: Path,
    settings: dict[str, Any],
    drawn: int | None = None,
    workers: int = 1,
    batch_size: int = 8,
    backend: str = "pycocotools",
    **options: Any,
) -> DetectionEvaluation:
    """See `tasks.wing.Wing.evaluate`; `batch_size` is images a step, and for `backend` see `coco_scores`."""
    drawn = DRAWN if drawn is None else drawn
    detections = _detect(predictor, files, workers, batch_size, **options)
    return report(detections, files, folder, settings, drawn, backend)


def score(predictor: Any, files: DetectionFiles, workers: int = 1) -> float:
    """See `tasks.wing.Wing.score`: COCO's AP, the mean over IoU 0.5 to 0.95."""
    ap = float(coco_scores(files, _detect(predictor, files, workers, 8)).stats[0])
    return ap if ap >= 0 else float("nan")


def _detect(predictor: Any, files: DetectionFiles, workers: int, batch_size: int, **options: Any) -> list[Detections]:
    """Detections of all images of a split, in its order."""
    batches = sample_loader(DetectionDataset(files), workers, batch_size)
    detections: list[Detections] = []
    for batch in track(batches, "Detecting", transient=True):
        detections += predictor.predict([sample["image"] for sample in batch], **options)
    return detections


def evaluate_results(predictions: Path, files: DetectionFiles, evaluation: Evaluation, backend: str) -> Path:
    """Evaluate detections out of files on a split, print the scores, and write them; the folder.

    Args:
        predictions: a COCO results json, or a folder with result files of VOC's development kit.
        files: the ground truth.
        evaluation: how, and where to.
        backend: see `coco_scores`.

    Raises:
        DataError: if the split's annotations have faults, and see `read_results` and `read_devkit`.
    """
    folder = require_folder(evaluation.output or predictions.parent / f"eval_{files.split}")
    if files.faults:
        raise DataError(list_faults(files.faults, f"{files.root}, split {files.split}"))
    settings = {"predictions": str(predictions), "data": str(files.root), "split": files.split}
    detections = (read_devkit if predictions.is_dir() else read_results)(predictions, files)
    report(detections, files, folder, settings, DRAWN if evaluation.drawn is None else evaluation.drawn, backend)
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
