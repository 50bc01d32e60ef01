"""Which score threshold a detector is used with: precision, recall and F1 over it, and where F1 is highest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets import DetectionFiles
from tasks.detection.detections import Detections
from tasks.detection.metrics import Floats, VocScores, voc_average_precision
from tasks.errors import TaskError

USUAL = 0.3  # where neither the user nor a validation split has chosen one
GRID = np.arange(1, 100) / 100
MEASURES = ("precision", "recall", "F1")


@dataclass(frozen=True)
class Thresholds:
    """What is right among the detections with a score above each threshold of `GRID`, at IoU 0.5 by VOC's rule.

    Attributes:
        precision: float64 [classes, 99], 0 to 1; nan where no detection is left, or a class has no object.
        recall: likewise, nan only where a class has no object.
        f1: 2 * precision * recall / (precision + recall), 0 where nothing that is left is right; nan as recall.
    """

    precision: Floats
    recall: Floats
    f1: Floats

    @property
    def objects(self) -> list[int]:
        """Classes that have an object."""
        return np.flatnonzero(~np.isnan(self.recall[:, 0])).tolist()

    @property
    def best(self) -> float | None:
        """The threshold with the highest mean F1 over classes, of equal ones the middle one; None if nothing is right.

        As in average precision, a class counts as much as any other, however many objects it has.
        """
        if not np.nan_to_num(self.f1).any():
            return None
        mean = self.f1[self.objects].mean(0)
        equal = np.flatnonzero(mean == mean.max())
        return float(GRID[equal[len(equal) // 2]])

    def at(self, threshold: float) -> dict[str, float]:
        """Means over classes at a threshold of `GRID`; precision's is over those that have a detection left."""
        place = int(np.abs(GRID - threshold).argmin())
        return {name: float(np.nanmean(getattr(self, name.lower())[:, place])) for name in MEASURES}


def score_thresholds(voc: VocScores) -> Thresholds:
    """Precision, recall and F1 over the score threshold, out of VOC's scores at IoU 0.5.

    Scores that are no shares from 0 to 1, as others' results may have, are taken as no class having objects.
    """
    precision, recall = np.full((2, len(voc.scores), len(GRID)), np.nan)
    shares = all(scores.min(initial=0) >= 0 and scores.max(initial=1) <= 1 for scores in voc.scores)
    for index, (scores, (recalls, precisions)) in enumerate(zip(voc.scores, voc.curves, strict=True)):
        if np.isnan(voc.ap[index]) or not shares:
            continue
        left = np.searchsorted(-scores, -GRID, "left")  # how many are above each threshold
        precision[index] = np.append(np.nan, precisions)[left]
        recall[index] = np.append(0, recalls)[left]
    sums = precision + recall
    f1 = np.divide(2 * precision * recall, sums, out=np.where(np.isnan(recall), np.nan, 0.0), where=sums > 0)
    return Thresholds(precision, recall, f1)


def best_threshold(files: DetectionFiles, detections: Sequence[Detections]) -> float | None:
    """See `Thresholds.best`; of detections that are one an image of the split, in its order."""
    return score_thresholds(voc_average_precision(files, detections)).best


def check_threshold(threshold: float | None) -> None:
    """Refuse what is no threshold of a spec.

    Raises:
        TaskError: unless it is None, or a number from 0 to 1.
    """
    if threshold is not None and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
        raise TaskError(f"score_threshold cannot be {threshold!r:.80}")


def shown_above(asked: float | None, spec: Any) -> float:
    """The score above which boxes are shown: the one asked for, else that of the checkpoint, else `USUAL`."""
    return next(one for one in (asked, getattr(spec, "score_threshold", None), USUAL) if one is not None)
