"""The classes of images in files: a table of them, and a sheet to look at."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.classification.drawing import RIGHT, SIDE, contact_sheet, thumbnail
from tasks.classification.task import TOP
from tasks.detection.drawing import draw_boxes
from tasks.drawing import Image
from tasks.prediction import LARGE, Show, Shown
from tasks.sources import Sources, keep_apart, places, read_images, unread
from tasks.writing import write_image, write_json, write_table

BATCH = 32
DRAWN = 96  # images on the sheet at most


def name_classes(probabilities: NDArray[np.float32], names: Sequence[str]) -> list[dict[str, float]]:
    """The five most probable classes of each image, the first the most probable, with their probabilities."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    return [
        {names[label]: float(found[label]) for label in labels}
        for found, labels in zip(probabilities, order.tolist(), strict=True)
    ]


def classify_images(predictor: Any, sources: Sources, output: Path, with_json: bool) -> int:
    """Write predictions.csv, predictions.json if asked, and contact.png with up to 96 images; how many were read.

    Images that cannot be read are told of together at the end, once the others are done.

    Raises:
        DataError: if some images could not be read.
        TaskError: if results cannot be written, or would be written over an image.
    """
    keep_apart([output / "contact.png"], places(sources.image_paths))
    found: list[tuple[Path, dict[str, float]]] = []
    faults: list[str] = []
    drawn, captions = [], []
    paths = sources.image_paths
    shown = {paths[index] for index in np.linspace(0, len(paths) - 1, min(DRAWN, len(paths))).round().astype(int)}
    for batch in _batches(read_images(paths, faults)):
        probabilities = predictor.predict([image for _, image in batch])
        for (path, image), classes in zip(batch, name_classes(probabilities, predictor.spec.names), strict=True):
            found.append((path, classes))
            if path in shown:
                drawn.append(thumbnail(image))
                captions.append([f"{name} {100 * probability:.0f} %" for name, probability in [*classes.items()][:2]])
        del batch, image  # before the next one is read
    if found:
        _write(output, found, with_json)
        write_image(output / "contact.png", contact_sheet(drawn, captions, [RIGHT] * len(drawn)))
    if faults:
        raise unread(faults, f"wrote predictions for {len(found)} images to {output}")
    return len(found)


def _batches(images: Iterator[tuple[Path, Image]]) -> Iterator[list[tuple[Path, Image]]]:
    """Up to 32 images together, or as many as have 16 megapixels."""
    batch: list[tuple[Path, Image]] = []
    for path, image in images:
        batch.append((path, image))
        if len(batch) == BATCH or sum(one.size for _, one in batch) >= 3 * LARGE:
            yield batch
            batch = []
        del image
    if batch:
        yield batch


def _write(output: Path, found: list[tuple[Path, dict[str, float]]], with_json: bool) -> None:
    places = range(1, len(found[0][1]) + 1)
    header = ["file", *(f"{column}{place}" for place in places for column in ("class", "probability"))]
    values = ([value for name, score in classes.items() for value in (name, f"{score:.6f}")] for _, classes in found)
    rows = ([path, *row] for (path, _), row in zip(found, values, strict=True))
    write_table(output / "predictions.csv", chain([header], rows))
    if with_json:
        content = [{"file": str(path), "classes": classes} for path, classes in found]
        write_json(output / "predictions.json", content)


def show_labels(predictor: Any) -> Show:
    """Images framed in the colour of their class, with its name and probability in the corner; small ones enlarged."""

    def show(image: Image) -> Shown:
        probabilities = predictor.predict([image])
        (classes,) = name_classes(probabilities, predictor.spec.names)
        name, probability = next(iter(classes.items()))
        label = np.array([predictor.spec.names.index(name)])
        image = thumbnail(image) if max(image.shape[:2]) < SIDE else image
        frame = np.array([[0, 0, image.shape[1], image.shape[0]]], dtype=np.float32)
        scores = np.array([probability], dtype=np.float32)
        drawing = draw_boxes(image, frame, label, predictor.spec.names, predictor.spec.colours, scores)
        return Shown("class", drawing, {"classes": classes}, found=probabilities[0])

    return show
