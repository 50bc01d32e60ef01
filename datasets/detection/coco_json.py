"""Reading a json of COCO's, so that all its faults can be told at once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from datasets.faults import CONTROL, DataError, counted, one_line
from datasets.files import is_inside, read_bytes
from datasets.images import Size

Entry = dict[str, Any]
Wanted = dict[str, tuple[type, ...]]  # by key; JSON's true is no number here, although Python's is
LARGEST = 3.4e38  # what float32 holds


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
