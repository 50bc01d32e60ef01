"""The classes of pictures in files: a table of them, and a sheet to look at."""

import csv
import json
from pathlib import Path

import numpy as np
from rich.progress import track

from datasets import DataError, read_image
from datasets.checks import list_faults
from tasks.classification import TOP, ClassificationTask
from tasks.classification_pictures import RIGHT, contact_sheet
from tasks.detection_pictures import draw_boxes
from tasks.pictures import Image, write_picture
from tasks.prediction import Show, Shown, Sources

BATCH = 32
DRAWN = 96  # pictures on the sheet at most


def name_classes(task: ClassificationTask, images: list[Image]) -> list[dict[str, float]]:
    """The five most probable classes of each picture, the first the most probable, with their probabilities."""
    probabilities = task.predict(images)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    return [
        {task.spec.names[label]: float(found[label]) for label in labels}
        for found, labels in zip(probabilities, order.tolist(), strict=True)
    ]


def classify_pictures(task: ClassificationTask, sources: Sources, output: Path, with_json: bool) -> int:
    """Write predictions.csv, predictions.json if asked, and contact.png with up to 96 pictures; how many were read.

    Pictures that cannot be read are told of together at the end, once the others are done.

    Raises:
        DataError: if some pictures could not be read.
    """
    found: list[tuple[Path, dict[str, float]]] = []
    drawn, captions, faults = [], [], []
    paths = sources.pictures
    shown = {paths[index] for index in np.linspace(0, len(paths) - 1, min(DRAWN, len(paths))).round().astype(int)}
    for start in track(range(0, len(paths), BATCH), "Predicting", transient=True):
        images = {}
        for path in paths[start : start + BATCH]:
            try:
                images[path] = read_image(path)
            except DataError as error:
                faults.append(str(error))
        named = name_classes(task, list(images.values())) if images else []
        for (path, image), classes in zip(images.items(), named, strict=True):
            found.append((path, classes))
            if path in shown:
                drawn.append(image)
                captions.append([f"{name} {100 * probability:.0f} %" for name, probability in [*classes.items()][:2]])
    if found:
        _write(output, found, with_json)
        write_picture(output / "contact.png", contact_sheet(drawn, captions, [RIGHT] * len(drawn)))
    if faults:
        raise DataError(list_faults(faults, f"{len(found)} pictures predicted in {output}"))
    return len(found)


def _write(output: Path, found: list[tuple[Path, dict[str, float]]], with_json: bool) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with (output / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        places = range(1, len(found[0][1]) + 1)
        table = csv.writer(file)
        table.writerow(["file", *(f"{column}{place}" for place in places for column in ("class", "probability"))])
        for path, classes in found:
            table.writerow([path, *(value for name, score in classes.items() for value in (name, f"{score:.6f}"))])
    if with_json:
        content = [{"file": str(path), "classes": classes} for path, classes in found]
        (output / "predictions.json").write_text(json.dumps(content, indent=1))


def show_labels(task: ClassificationTask) -> Show:
    """Pictures framed in the colour of their class, with its name and probability in the corner."""

    def show(image: Image) -> Shown:
        (classes,) = name_classes(task, [image])
        name, probability = next(iter(classes.items()))
        label = np.array([task.spec.names.index(name)])
        frame = np.array([[0, 0, image.shape[1], image.shape[0]]], dtype=np.float32)
        scores = np.array([probability], dtype=np.float32)
        drawing = draw_boxes(image, frame, label, task.spec.names, task.spec.colours, scores)
        return Shown("class", drawing, {"classes": classes})

    return show
