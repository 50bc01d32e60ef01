"""Evaluating a joint network over a split: both tables, and the mean of mIoU and AP."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import JointFiles
from tasks.detection.evaluation import DetectionEvaluation, percent
from tasks.detection.evaluation import evaluate as evaluate_boxes
from tasks.detection.evaluation import score as score_boxes
from tasks.detection.metrics import STATS
from tasks.joint.instances import instance_scores
from tasks.joint.task import parts
from tasks.segmentation.evaluation import SegmentationEvaluation
from tasks.segmentation.evaluation import evaluate as evaluate_masks
from tasks.segmentation.evaluation import score as score_masks
from tasks.writing import write_json


@dataclass(frozen=True)
class JointEvaluation:
    """What came of both parts; `mean` is that of mIoU and COCO's AP, by which the best checkpoint is chosen."""

    masks: SegmentationEvaluation
    boxes: DetectionEvaluation

    @property
    def mean(self) -> float:
        """0 to 1."""
        return (self.masks.scores.miou + float(self.boxes.coco.stats[0])) / 2


def evaluate(
    predictor: Any,
    files: JointFiles,
    folder: Path,
    settings: dict[str, Any],
    drawn: int | None = None,
    workers: int = 1,
    instances: bool = False,
    **options: Any,
) -> JointEvaluation:
    """See `tasks.wing.Wing.evaluate`: images with masks in the folder masks, and those with boxes in boxes.

    With `instances` also `instance_scores`.
    """
    masks, boxes = parts(predictor)
    evaluation = JointEvaluation(
        evaluate_masks(masks, files.masks, folder / "masks", dict(settings), drawn, workers, **options),
        evaluate_boxes(boxes, files.boxes, folder / "boxes", dict(settings), drawn, workers, **options),
    )
    coco = dict(zip(STATS, evaluation.boxes.coco.stats.tolist(), strict=True))
    scores = {"mean": evaluation.mean, "miou": evaluation.masks.scores.miou, "coco": coco}
    if instances:
        segm = instance_scores(predictor, files.boxes, workers)
        scores["coco_segm"] = segm
        named = ", ".join(f"{name} {percent(value)}" for name, value in list(segm.items())[:6])
        print(f"instances, the class mask cut by each box (COCO segm): {named}")
    write_json(folder / "scores.json", settings | {"images": len(files.images)} | scores)
    print(f"mean of mIoU and AP: {100 * evaluation.mean:.2f} %")
    return evaluation


def score(predictor: Any, files: JointFiles, workers: int = 1) -> float:
    """See `tasks.wing.Wing.score`: the mean of mIoU and COCO's AP."""
    masks, boxes = parts(predictor)
    return (score_masks(masks, files.masks, workers) + score_boxes(boxes, files.boxes, workers)) / 2
