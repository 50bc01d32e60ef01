"""Instance masks for free: the class mask cut by each box.

Nothing was learned for it, so that two objects of a class are told apart by their boxes alone, and where boxes of a
class overlap, the pixels go to the one with the higher score.
"""

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from datasets import DetectionDataset, DetectionFiles, sample_loader
from datasets.detection.coco_trees import find_instances
from tasks.detection.metrics import STATS
from tasks.errors import TaskError
from tasks.joint.task import Joint
from tasks.segmentation.results import run_lengths

WITH_INSTANCES = ("coco", "shapes")  # data sets whose annotations have the mask of every object


def cut_instances(found: Joint, names: list[str], box_names: list[str]) -> NDArray[np.uint16]:
    """Which box each pixel belongs to: uint16 [H, W] of the box's number, from 1 in the boxes' order; 0 is none.

    A pixel belongs to the first box that holds it (the one with the highest score) among those of its class; boxes of a
    class that masks do not have get none.

    Args:
        found: in one image.
        names: of the classes of masks.
        box_names: of those of boxes.
    """
    mask, boxes = found.mask, found.boxes
    classes = [names.index(name) if name in names else -1 for name in box_names]
    instances = np.zeros(mask.shape, dtype=np.uint16)
    limits = np.array([mask.shape[1], mask.shape[0]] * 2)
    corners = np.clip(np.round(boxes.boxes), 0, limits).astype(int).tolist()
    for number, ((x1, y1, x2, y2), label) in enumerate(zip(corners, boxes.labels.tolist(), strict=True), 1):
        part = instances[y1:y2, x1:x2]
        part[(part == 0) & (mask[y1:y2, x1:x2] == classes[label])] = number
    return instances


def require_instances(dataset: str) -> None:
    """Refuse a data set without masks of single objects.

    Raises:
        TaskError: if it is one.
    """
    if dataset not in WITH_INSTANCES:
        known = " and ".join(WITH_INSTANCES)
        raise TaskError(f"--instances: no masks of single objects are read from {dataset}; they are from {known}")


def instance_scores(predictor: Any, files: DetectionFiles, workers: int = 1) -> dict[str, float]:
    """COCO's twelve numbers for instance masks (segm), by pycocotools.

    Args:
        predictor: has a `spec` and `predict(images)`.
        files: of one of `WITH_INSTANCES`.
        workers: loader processes.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    spec = predictor.spec
    results = []
    for (sample,) in track(sample_loader(DetectionDataset(files), workers), "Cutting instances", transient=True):
        (found,) = predictor.predict([sample["image"]])
        instances = cut_instances(found, spec.names, spec.box_names)
        rows = zip(found.boxes.labels.tolist(), found.boxes.scores.tolist(), strict=True)
        for number, (label, score) in enumerate(rows, 1):
            pixels = instances == number
            if pixels.any():
                row = {"image_id": sample["id"], "category_id": files.category_ids[label], "score": score}
                results.append(row | {"segmentation": run_lengths(pixels)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(find_instances(files.root, files.split)[0]))
        evaluator = COCOeval(truth, truth.loadRes(results) if results else COCO(), "segm")
        evaluator.params.imgIds = sorted(files.ids)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(STATS, map(float, evaluator.stats), strict=True))
