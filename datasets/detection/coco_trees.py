"""Where COCO's json of a split and its images lie, in COCO's own tree and in what annotation programs export."""

import os
from pathlib import Path

from datasets.detection.coco_json import Entry, divide, read_json
from datasets.faults import DataError
from datasets.grouping import USUAL, VALIDATION, hold_out

BESIDE = "_annotations.coco.json"  # Roboflow's, in the folder of a split's images
WHOLE = (
    "annotations/instances_default.json",
    BESIDE,
    "result.json",
)  # of all images: CVAT's, Roboflow's, Label Studio's


def find_json(root: Path, split: str, kind: str = "instances") -> Path:
    """The json of a split, also by the names train2017 and val2017, or Roboflow's in the folder of a split.

    Raises:
        DataError: if there is none.
    """
    folder = root / "annotations"
    wanted = [split, f"{split}2017"] if split in ("train", "val") else [split]
    places = [folder / f"{kind}_{name}.json" for name in wanted]
    if kind == "instances":
        places += [root / name / BESIDE for name in (VALIDATION if split == "val" else (split,))]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        there = ", ".join(_splits(root, kind))
        hint = f"there are {there}" if there else f"a COCO tree has annotations/{kind}_<split>.json"
        raise DataError(f"{folder / f'{kind}_{split}.json'}: no such split; {hint}")
    return found


def _splits(root: Path, kind: str = "instances") -> list[str]:
    """Names of the splits that have a json."""
    there = [path.stem.removeprefix(f"{kind}_") for path in (root / "annotations").glob(f"{kind}_*.json")]
    if kind == "instances":
        there += [name for name in USUAL if (root / name / BESIDE).is_file()]
    return sorted(there)


def find_instances(root: Path, split: str) -> tuple[Path, bool]:
    """The json that has the instances of a split, and whether it is one for all images of the tree.

    Raises:
        DataError: if there is none.
    """
    whole = next((root / name for name in WHOLE if (root / name).is_file()), None)
    if whole is None or split == "default" or {*_splits(root)} - {"default"}:
        return find_json(root, split), False
    return whole, True


def read_split(root: Path, split: str, group_by: str | None = None) -> tuple[Path, Entry]:
    """The json of a split, and what it holds, see `read_json`.

    Where a tree has one json for all images, every fifth image or group is "val", see `hold_out`. A first category that
    is the parent of all others, as Roboflow's is that has the project's name and no annotation, is left out.

    Args:
        root: the tree.
        split: its name.
        group_by: "folder" or a pattern, for a tree without splits of its own.

    Raises:
        DataError: if there is none, or --group-by is given although there are splits.
    """
    path, whole = find_instances(root, split)
    if group_by is not None and not whole:
        raise DataError(f"{path}: the tree has splits of its own; leave out --group-by")
    content = read_json(path)
    if path.name == BESIDE:
        content["categories"] = _without_parent(content["categories"], content["annotations"])
    if whole:
        images, _ = divide(content["images"], "images", {"id": (int, str), "file_name": (str,)})
        chosen = {*hold_out([image["file_name"] for image in images], split, group_by, path)}
        left = {image["id"] for image in images if image["file_name"] not in chosen}
        for key, number in (("images", "id"), ("annotations", "image_id")):
            content[key] = [entry for entry in content[key] if not _is_of(entry, number, left)]
    return path, content


def _is_of(entry: object, key: str, ids: set[int | str]) -> bool:
    """Whether an entry has one of the ids under a key; what is no entry has not."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return type(value) in (int, str) and value in ids


def _without_parent(categories: list[Entry], annotations: list[Entry]) -> list[Entry]:
    if len(categories) < 2 or not all(isinstance(entry, dict) for entry in categories):
        return categories
    first, *others = categories
    number, name = first.get("id"), first.get("name")
    above = first.get("supercategory") == "none" and all(entry.get("supercategory") == name for entry in others)
    used = type(number) is not int or any(_is_of(entry, "category_id", {number}) for entry in annotations)
    return others if above and not used else categories


def find_images(root: Path, split: str, path: Path, names: list[str]) -> list[Path]:
    """Where images lie that a json names; the first place for those that lie nowhere."""
    usual = [root / split, root / f"{split}2017", root / "images" / split, root / "images" / f"{split}2017"]
    exported = root / "images" / path.stem.removeprefix("instances_")  # CVAT's, of splits by other names
    folders = [*usual, exported, root / "JPEGImages", root / "images", path.parent, root]
    places = ([folder / name for folder in folders] for name in names)
    return [next((place for place in of_one if os.path.isfile(place)), of_one[0]) for of_one in places]
