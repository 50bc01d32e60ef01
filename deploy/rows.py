"""What is written for each of many images: a row of plain values, with the result as JSON or what is wrong."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets import DataError
from deploy.shards import fetch_image
from tasks.base import Task
from tasks.classification.prediction import name_classes
from tasks.detection.detections import Detections
from tasks.prediction import LARGE
from tasks.segmentation.drawing import WINDOW
from tasks.segmentation.results import run_lengths

Image = NDArray[np.uint8]
DIGITS = 4  # of scores behind the point; a box has one, which is a tenth of a pixel


def predict_rows(
    predictor: Any, names: Sequence[str], score_threshold: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """Read and predict some images, which are in memory together.

    Args:
        predictor: has a `kind`, a `spec` and `predict(images)`.
        names: of the images, paths or URIs.
        score_threshold: of boxes.

    Returns:
        A row of `deploy.shards.COLUMNS` for each image, and a line for each without one, as it could not be read this
        time (a store that does not answer, say).
    """
    rows: list[dict[str, Any]] = []
    images: dict[str, Image] = {}
    unread = []
    with ThreadPoolExecutor(len(names)) as pool:
        fetched = [pool.submit(fetch_image, name) for name in names]
    for name, future in zip(names, fetched, strict=True):
        try:
            images[name] = future.result()
        except DataError as error:
            rows.append({"file": name, "fault": str(error)})
        except OSError as error:
            unread.append(f"{name}: {error}")
    if images:
        results = describe(predictor, [*images.values()], score_threshold)
        for (name, image), result in zip(images.items(), results, strict=True):
            size = {"height": image.shape[0], "width": image.shape[1]}
            rows.append({"file": name, **size, "result": json.dumps(result)})
    return rows, unread


def describe(predictor: Any, images: Sequence[Image], score_threshold: float) -> list[dict[str, Any]]:
    """What a predictor sees in images, as plain values.

    Returns:
        For each image some of these: "classes", the five most probable ones with their probabilities; "masks", a COCO
        RLE for every class that has pixels; "objects", the class, score and box of each.
    """
    spec = predictor.spec
    if predictor.kind == "classification":
        found = name_classes(predictor.predict(images), spec.names)
        return [{"classes": {name: round(share, DIGITS) for name, share in classes.items()}} for classes in found]
    if predictor.kind == "segmentation":
        return [{"masks": _masks(_mask(predictor, image), spec.names)} for image in images]
    seen = predictor.predict(images, score_threshold=score_threshold)
    if predictor.kind == "detection":
        return [{"objects": _objects(boxes, spec.names)} for boxes in seen]
    return [{"masks": _masks(mask, spec.names), "objects": _objects(boxes, spec.box_names)} for mask, boxes in seen]


def _mask(predictor: Any, image: Image) -> Image:
    """The mask of an image, in windows where memory asks for them; an exported file looks at all images in one size."""
    windows = isinstance(predictor, Task) and image.shape[0] * image.shape[1] > LARGE
    mask: Image = predictor.predict([image], window=WINDOW if windows else None)[0]
    return mask


def _masks(mask: Image, names: Sequence[str]) -> dict[str, Any]:
    values = np.unique(mask[mask < len(names)]).tolist()
    return {names[value]: run_lengths(mask == value) for value in values}


def _objects(found: Detections, names: Sequence[str]) -> list[dict[str, Any]]:
    boxes, scores = found.boxes.astype(np.float64).round(1), found.scores.astype(np.float64).round(DIGITS)
    return Detections(boxes, scores, found.labels).described(names)  # type: ignore[arg-type]
