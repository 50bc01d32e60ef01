"""How good detections are: the twelve COCO numbers by pycocotools or faster-coco-eval, and VOC's average precision."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets import DetectionFiles, Objects
from datasets.detection.boxes import box_iou
from datasets.faults import did_you_mean
from tasks.detection.detections import Detections
from tasks.errors import TaskError

STATS = (
    *("AP", "AP50", "AP75", "AP small", "AP medium", "AP large"),
    *("AR1", "AR10", "AR100", "AR small", "AR medium", "AR large"),
)
Floats = NDArray[np.float64]
Curve = tuple[Floats, Floats]


@dataclass(frozen=True)
class CocoScores:
    """What COCO's evaluation says; all numbers are shares from 0 to 1.

    Attributes:
        stats: float64 [12], named by `STATS`; -1 where the split has no object of that size, as COCO has it.
        ap: float64 [classes], mean over IoU 0.5 to 0.95; nan where a class has no ground truth.
        ap50: float64 [classes], at IoU 0.5; likewise.
        ap75: float64 [classes], at IoU 0.75; likewise.
        precision50: float64 [classes, 101], at IoU 0.5 and recall 0, 0.01, ... 1; likewise.
    """

    stats: Floats
    ap: Floats
    ap50: Floats
    ap75: Floats
    precision50: Floats

    @property
    def curves(self) -> list[Curve]:
        """Recall and precision of every class at IoU 0.5, for `plot_precision_recall`."""
        return [(np.linspace(0, 1, len(row)), row) for row in self.precision50]


@dataclass(frozen=True)
class VocScores:
    """What VOC's rule says; all numbers are shares from 0 to 1.

    Attributes:
        ap: float64 [classes], nan where a class has no positive.
        map: mean of `ap` without nan.
        curves: recall and precision of every class, float64 [detections that count], best detection first.
        scores: of these detections.
    """

    ap: Floats
    map: float
    curves: list[Curve]
    scores: list[Floats]


def coco_scores(files: DetectionFiles, detections: Sequence[Detections], backend: str = "pycocotools") -> CocoScores:
    """The numbers of COCO's detection task (bbox), at most 100 detections an image and class.

    Crowds neither count as missed nor make what lies on them wrong; overlap with a crowd is that with its box, over
    the detection's own area. COCO knows no `difficult`: such objects count like any other. Images are taken in the
    order of their ids, which decides between equal scores.

    Args:
        files: the ground truth.
        detections: one an image, in the order of the split.
        backend: "pycocotools", or "faster" for faster-coco-eval, whose numbers are the same to about 1e-15, sooner.

    Raises:
        TaskError: for an unknown backend, one that is not installed, or detections of other than the split's images.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = coco_evaluator(files, detections, backend)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    # [IoU 0.5 to 0.95 by 0.05, recall, class, area, detections]; all areas come first, 100 detections last
    precision = np.asarray(evaluator.eval["precision"])[:, :, :, 0, -1]
    precision = np.where(precision < 0, np.nan, precision)
    stats = np.asarray(evaluator.stats, dtype=np.float64)
    return CocoScores(stats, precision.mean((0, 1)), precision[0].mean(0), precision[5].mean(0), precision[0].T)


def coco_evaluator(files: DetectionFiles, detections: Sequence[Detections], backend: str) -> Any:
    """A `COCOeval` with ground truth and detections in it, nothing computed yet; see `coco_scores`."""
    if backend not in BACKENDS:
        hint = did_you_mean(backend, BACKENDS)
        raise TaskError(f'there is no backend "{backend}"{hint} (there are {", ".join(BACKENDS)})')
    _check_images(files, detections)
    truth, found = _together(files.objects), _together(detections)
    area, crowd = (np.concatenate([getattr(o, name) for o in files.objects]) for name in ("area", "crowd"))
    scores = np.concatenate([part.scores for part in detections])
    ranks, none = _ranks(files.ids), np.zeros(len(scores), dtype=np.int64)
    shared = {
        "images": [{"id": rank} for rank in range(1, len(ranks) + 1)],
        "categories": [{"id": index, "name": name} for index, name in enumerate(files.names, 1)],
    }
    sides = (
        _annotations(ranks, truth, area, crowd.astype(np.int64), np.zeros(len(area))),
        _annotations(ranks, found, (found.corners[:, 2:] - found.corners[:, :2]).prod(1), none, scores),
    )
    return BACKENDS[backend](*({**shared, "annotations": side} for side in sides))


def _pycocotools(*contents: dict[str, Any]) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sides = []
    for content in contents:
        side = COCO()
        side.dataset = content
        side.createIndex()
        sides.append(side)
    return COCOeval(*sides, "bbox")


def _faster(*contents: dict[str, Any]) -> Any:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise TaskError(f"backend faster needs faster-coco-eval: pip install faster-coco-eval ({error})") from None
    return COCOeval_faster(*map(COCO, contents), "bbox")


BACKENDS = {"pycocotools": _pycocotools, "faster": _faster}


class _Boxes(NamedTuple):
    """The boxes of all images: their images int64 [n], labels int64 [n] and corners float64 [n, 4]."""

    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    corners: Floats


def _together(parts: Sequence[Objects] | Sequence[Detections]) -> _Boxes:
    images = np.repeat(np.arange(len(parts)), [len(part.boxes) for part in parts])
    labels, boxes = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "boxes"))
    return _Boxes(images, labels, boxes.astype(np.float64))


def _check_images(files: DetectionFiles, detections: Sequence[Detections]) -> None:
    if len(detections) != len(files.objects) or not detections:
        counts = f"{len(detections)} images cannot be evaluated on a split of {len(files.objects)}"
        raise TaskError(f"detections of {counts}")


def _ranks(ids: Sequence[int | str]) -> NDArray[np.int64]:
    """Places of the ids in sorted order, from 1, numbers before text: int64 [images]."""
    order = sorted(range(len(ids)), key=lambda index: (isinstance(ids[index], str), ids[index]))
    ranks = np.empty(len(ids), dtype=np.int64)
    ranks[order] = np.arange(1, len(ids) + 1)
    return ranks


def _annotations(
    ranks: NDArray[np.int64], boxes: _Boxes, area: Floats, crowd: NDArray[np.int64], scores: Floats
) -> list[dict[str, Any]]:
    """COCO's annotations. Their ids begin at 1, as pycocotools takes a match with id 0 for none."""
    sizes = np.concatenate([boxes.corners[:, :2], boxes.corners[:, 2:] - boxes.corners[:, :2]], axis=1)
    columns = (ranks[boxes.images], boxes.labels + 1, sizes, area, crowd, scores)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        {
            "id": number,
            "image_id": image,
            "category_id": label,
            "bbox": box,
            "area": size,
            "iscrowd": group,
            "score": score,
        }
        for number, (image, label, box, size, group, score) in enumerate(rows, 1)
    ]


def voc_average_precision(
    files: DetectionFiles, detections: Sequence[Detections], iou: float = 0.5, eleven_point: bool = False
) -> VocScores:
    """Average precision by the rule of VOC's development kit (VOC2012 devkit documentation, Section 4.4).

    The detections of a class over all images go by descending score, equal scores in the order of the split. Each
    is assigned to the object of its image and class that it overlaps most. If that overlap is not above `iou`, the
    detection is false; if the object is difficult, the detection is ignored; if the object was found before, it is
    false. Difficult objects are not missed, and COCO's crowds are taken as difficult.

    An overlap of exactly `iou` is not enough, as in the kit's text and its copies in Python; other copies take it (>=).

    The kit counts pixels: raw integers xmin to xmax are xmax - xmin + 1 wide. Our boxes have (xmin - 1, xmax) for
    that, so the same overlap comes out of plain differences.

    Args:
        files: the ground truth.
        detections: one an image, in the order of the split.
        iou: intersection over union that must be exceeded, from 0 up to but not 1.
        eleven_point: VOC2007's mean over recall 0, 0.1, ... 1 in place of the area under the curve (VOC2010 and later).
            The thresholds are `numpy.arange(0, 1.1, 0.1)`, as in the kit's Python copies that published numbers come
            from: 0.3, 0.6 and 0.7 are a rounding error above, so that a recall of exactly 3/10 does not reach them.
            MATLAB rounds the second half of 0:0.1:1 otherwise, and may differ at 0.6 and 0.7.

    Raises:
        TaskError: for an `iou` out of range, or detections of other than the split's images.
    """
    if not 0 <= iou < 1:
        raise TaskError(f"iou is {iou}; it must be from 0 up to but not 1")
    _check_images(files, detections)
    truth, found = _together(files.objects), _together(detections)
    ignored = np.concatenate([objects.difficult | objects.crowd for objects in files.objects])
    positives = np.bincount(truth.labels[~ignored], minlength=len(files.names))
    assigned = _best_objects(truth, found, iou, len(files.names))
    scores = np.concatenate([part.scores for part in detections]).astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    order = order[~np.append(ignored, False)[assigned[order]]]  # the appended one answers for -1, no object
    right = np.zeros(len(order), dtype=bool)
    taken, first = np.unique(assigned[order], return_index=True)
    right[first[taken >= 0]] = True
    labels = found.labels[order]
    ap, curves = np.full(len(files.names), np.nan), []
    ranked = [scores[order[labels == index]] for index in range(len(files.names))]
    for index, count in enumerate(positives.tolist()):
        hits = right[labels == index].cumsum()
        precision = hits / np.arange(1, len(hits) + 1)
        recall = hits / count if count else np.full(len(hits), np.nan)
        curves.append((recall, precision))
        if count and eleven_point:
            reached = recall >= np.arange(0, 1.1, 0.1)[:, None]
            ap[index] = np.where(reached, precision, 0).max(1, initial=0).mean()
        elif count:
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            ap[index] = (np.diff(recall, prepend=0) * envelope).sum()
    return VocScores(ap, float(np.nanmean(ap)) if positives.any() else float("nan"), curves, ranked)


def _best_objects(truth: _Boxes, found: _Boxes, iou: float, classes: int) -> NDArray[np.int64]:
    """For each detection the object of its image and class with the largest overlap, the first of equals.

    Returns:
        int64 [detections], indices into `truth`; -1 where no overlap is above `iou`.
    """
    groups, wanted = (boxes.images * classes + boxes.labels for boxes in (truth, found))
    by_group = np.argsort(groups, kind="stable")
    start, stop = (np.searchsorted(groups[by_group], wanted, side) for side in ("left", "right"))
    count = stop - start
    before = count.cumsum() - count
    detection = np.repeat(np.arange(len(wanted)), count)  # all pairs of one image and class
    candidate = by_group[np.arange(len(detection)) - np.repeat(before - start, count)]
    overlap = box_iou(found.corners[detection], truth.corners[candidate])
    pair = np.lexsort((-overlap, detection))[before[count > 0]]
    pair = pair[overlap[pair] > iou]
    best = np.full(len(wanted), -1)
    best[detection[pair]] = candidate[pair]
    return best
