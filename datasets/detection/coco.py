"""Detection trees with COCO's json, read so that all faults can be told at once."""

import json
import math
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from datasets.detection.files import DetectionFiles, Rows, Size, read_names, unlisted
from datasets.faults import CONTROL, DataError, counted, one_line
from datasets.files import is_inside, read_bytes
from datasets.images import upright_size

Entry = dict[str, Any]
Wanted = dict[str, tuple[type, ...]]  # by key; JSON's true is no number here, although Python's is
LARGEST = 3.4e38  # what float32 holds


def coco_detection(root: Path, split: str, annotations: Path | None = None) -> DetectionFiles:
    """A split of a tree with annotations/instances_<split>.json, or instances_<split>2017.json for "train" and "val".

    Images are looked for in <split>, <split>2017, images/<split>, images/<split>2017, JPEGImages, images, the json's
    folder and `root`. Classes are in the order of their category ids, whatever these are; ids of annotations are not
    used, so that 0 is one like any other. Polygons and RLE are not read. An `iscrowd` is 0 or 1, missing ones are 0.
    Of a key that an object of the json has twice, the last counts, as for any reader of json.

    Args:
        root: the tree.
        split: names the json and the folder of the images.
        annotations: the json, if it is elsewhere.

    Raises:
        DataError: if the json is missing, unreadable, lacks images, annotations or categories, or has a file_name that
            leads out of the tree. Other faults are in `faults`.
    """
    path = annotations or find_json(root, split)
    content = read_json(path)
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


def find_json(root: Path, split: str, kind: str = "instances") -> Path:
    """The json of a split, also by the names train2017 and val2017.

    Raises:
        DataError: if there is none.
    """
    folder = root / "annotations"
    wanted = [split, f"{split}2017"] if split in ("train", "val") else [split]
    for name in wanted:
        if (folder / f"{kind}_{name}.json").is_file():
            return folder / f"{kind}_{name}.json"
    there = ", ".join(sorted(path.stem.removeprefix(f"{kind}_") for path in folder.glob(f"{kind}_*.json")))
    hint = f"there are {there}" if there else f"a COCO tree has annotations/{kind}_<split>.json"
    raise DataError(f"{folder / f'{kind}_{split}.json'}: no such split; {hint}")


def load_json(path: Path) -> Any:
    """What a json file holds.

    Raises:
        DataError: if it is missing, or no json.
    """
    try:
        return json.loads(read_bytes(path))
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not json ({one_line(error)}); write it anew") from None


def read_json(path: Path) -> Entry:
    """A json with lists of images, annotations and categories.

    Raises:
        DataError: for anything else.
    """
    content = load_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no instances; COCO's have images, annotations and categories")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise DataError(f'{path}: has no list "{key}"; COCO\'s instances have images, annotations and categories')
    return content


def read_categories(entries: list[Any], path: Path, faults: list[str]) -> dict[int, str]:
    """Names by id, in the order of the ids."""
    sound, unsound = divide(entries, "categories", {"id": (int,), "name": (str,)})
    faults += faults_of(path, unsound, "category", "categories", "without an id and a name")
    faults += faults_of(path, several(sound, "id"), "category id", "category ids", "given more than once")
    faults += faults_of(path, several(sound, "name"), "category name", "category names", "given more than once")
    strange = [name for name in (entry["name"] for entry in sound) if not name.strip() or CONTROL.search(name)]
    faults += faults_of(path, strange, "category name", "category names", "blank or with control characters")
    return {entry["id"]: entry["name"] for entry in sorted(sound, key=lambda entry: entry["id"])}


def read_images(entries: list[Any], path: Path, faults: list[str]) -> dict[int | str, Entry]:
    """Entries by id, in the order of the file."""
    sound, unsound = divide(entries, "images", {"id": (int, str), "file_name": (str,)})
    outside = [one_line(entry["file_name"]) for entry in sound if not is_inside(entry["file_name"])]
    if outside:
        raise DataError(f"{path}: file_name {outside[0]} leads out of the tree ({len(outside)} such); write it anew")
    faults += faults_of(path, unsound, "image", "images", "without an id and a file_name")
    faults += faults_of(path, several(sound, "id"), "image id", "image ids", "given more than once")
    return {entry["id"]: entry for entry in sound}


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


def divide(entries: list[Any], name: str, wanted: Wanted) -> tuple[list[Entry], list[str]]:
    """Entries that have what is wanted, and where in the list the others are."""
    sound, unsound = [], []
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and all(type(entry.get(key)) in kinds for key, kinds in wanted.items()):
            sound.append(entry)
        else:
            unsound.append(f"{name}[{index}]")
    return sound, unsound


def several(entries: list[Entry], key: str) -> list[str]:
    """The values of a key that more than one entry has."""
    return [str(value) for value, count in Counter(entry[key] for entry in entries).items() if count > 1]


def faults_of(path: Path, places: list[str], one: str, several: str, what: str) -> list[str]:
    """`counted`, with the file that it is about."""
    return [f"{path}: {line}" for line in counted(places, one, several, what)]


def find_images(root: Path, split: str, path: Path, names: list[str]) -> list[Path]:
    """Where images lie that a json names; the first place for those that lie nowhere."""
    usual = [root / split, root / f"{split}2017", root / "images" / split, root / "images" / f"{split}2017"]
    folders = [*usual, root / "JPEGImages", root / "images", path.parent, root]
    places = ([folder / name for folder in folders] for name in names)
    return [next((place for place in of_one if os.path.isfile(place)), of_one[0]) for of_one in places]


def notes_of_images(images: list[Entry], image_paths: list[Path]) -> list[str]:
    """Notes of files that several entries are for, and of entries whose sizes are none."""
    twice = [path.name for path, count in Counter(image_paths).items() if count > 1]
    sized = [image for image in images if image.keys() & {"height", "width"}]
    odd = [image["file_name"] for image in sized if read_size(image) is None]
    return [
        *counted(twice, "image", "images", "that several image ids share"),
        *counted(odd, "image", "images", "whose width and height are no numbers above 0, and are not compared"),
    ]


def read_size(image: Entry) -> Size | None:
    """Height and width that the entry of an image declares, or None where they are no whole numbers above 0."""
    sides: list[Any] = [image.get("height"), image.get("width")]
    if all(type(side) in (int, float) and 0 < side < 2**31 and side % 1 == 0 for side in sides):
        return int(sides[0]), int(sides[1])
    return None
