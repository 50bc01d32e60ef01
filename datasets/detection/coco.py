"""Detection trees with COCO's json, read so that all faults can be told at once."""

import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from datasets.detection.coco_json import (
    LARGEST,
    Wanted,
    divide,
    faults_of,
    notes_of_images,
    read_categories,
    read_images,
    read_json,
    read_size,
    several,
)
from datasets.detection.coco_trees import find_images, read_split
from datasets.detection.files import DetectionFiles, Rows, read_names, unlisted
from datasets.faults import counted
from datasets.images import upright_size


def coco_detection(
    root: Path, split: str, annotations: Path | None = None, group_by: str | None = None
) -> DetectionFiles:
    """A split of a tree with annotations/instances_<split>.json, or another that `find_json` and `read_split` know.

    Images are looked for where `find_images` has it. Classes are in the order of their category ids, whatever these
    are; ids of annotations are not used, so that 0 is one like any other. Polygons and RLE are not read. An `iscrowd`
    is 0 or 1, missing ones are 0. Of a key that an object of the json has twice, the last counts, as for any reader of
    json.

    Args:
        root: the tree.
        split: names the json and the folder of the images.
        annotations: the json, if it is elsewhere.
        group_by: see `read_split`.

    Raises:
        DataError: if the json is missing, unreadable, lacks images, annotations or categories, or has a file_name that
            leads out of the tree. Other faults are in `faults`.
    """
    path, content = (annotations, read_json(annotations)) if annotations else read_split(root, split, group_by)
    faults: list[str] = []
    categories = read_categories(content["categories"], path, faults)
    images = read_images(content["images"], path, faults)
    names, category_ids = list(categories.values()), list(categories)
    ids = list(images)
    notes: list[str] = []
    rows = _rows(content["annotations"], ids, category_ids, path, faults, notes)
    labels = root / "labels.txt"
    listed = set(read_names(labels) if labels.exists() else names)
    faults += unlisted(labels, Counter(names[label] for label in rows.labels if names[label] not in listed))
    sources = [image["file_name"] for image in images.values()]
    image_paths = find_images(root, split, path, sources)
    notes += notes_of_images([*images.values()], image_paths)
    sizes = [read_size(image) for image in images.values()]
    limits = [size or upright_size(image_path) for size, image_path in zip(sizes, image_paths, strict=True)]
    corners = rows.numbers()
    spans = corners[:, 2:].copy()
    corners[:, 2:] += corners[:, :2]
    objects, more, unsound = rows.objects(corners, spans, limits, sources, names)
    notes += more
    return DetectionFiles(root, split, names, image_paths, objects, ids, category_ids, sizes, faults, notes, unsound)


def _rows(
    entries: list[Any],
    ids: list[int | str],
    category_ids: list[int],
    path: Path,
    faults: list[str],
    notes: list[str],
) -> Rows:
    images = {name: index for index, name in enumerate(ids)}
    labels = {name: index for index, name in enumerate(category_ids)}
    wanted: Wanted = {"image_id": (int, str), "category_id": (int,), "bbox": (list,)}
    sound, unsound = divide(entries, "annotations", wanted)
    rows = Rows()
    astray, unclassed, crowds, areas = [], [], [], []
    for entry in sound:
        name = f"annotation {entry.get('id', 'without id')}"
        image, label = images.get(entry["image_id"]), labels.get(entry["category_id"])
        if len(entry["bbox"]) != 4 or not all(type(number) in (int, float) for number in entry["bbox"]):
            unsound.append(name)
        elif entry.get("iscrowd") not in (None, 0, 1):
            crowds.append(name)
        elif image is None:
            astray.append(f"{name} (image {entry['image_id']})")
        elif label is None:
            unclassed.append(f"{name} (category {entry['category_id']})")
        else:
            area = entry.get("area")
            if area is not None and not (type(area) in (int, float) and 0 <= area <= LARGEST):
                areas.append(name)
                area = None
            written = tuple(map(_float, entry["bbox"]))
            rows.add(image, label, written, crowd=bool(entry.get("iscrowd")), area=math.nan if area is None else area)
    faults += faults_of(path, unsound, "annotation", "annotations", "without image_id, category_id and a bbox of four")
    faults += faults_of(path, crowds, "annotation", "annotations", "with an iscrowd other than 0 and 1")
    notes += counted(areas, "annotation", "annotations", "whose area is no number from 0 up, and the box's is taken")
    given = [entry for entry in sound if type(entry.get("id")) in (int, str)]
    faults += faults_of(path, several(given, "id"), "annotation id", "annotation ids", "given more than once")
    faults += faults_of(path, astray, "annotation", "annotations", "of unknown images")
    faults += faults_of(path, unclassed, "annotation", "annotations", "of unknown categories")
    return rows


def _float(number: float) -> float:
    """The number, infinite where it is an integer beyond all floats."""
    if isinstance(number, float) or abs(number) <= sys.float_info.max:
        return float(number)
    return math.inf
