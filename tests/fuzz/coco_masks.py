"""COCO's instances as class masks: polygons and runs of pixels."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.fuzz.coco_json import finite, json_case, require
from tests.fuzz.engine import Case, Reading, Refused, pick
from tests.fuzz.json_text import ODD, PLACE_KINDS, TEXT_KINDS, change_place, written

SIZE = (20, 30)
CATEGORIES = {90: "brush", 3: "car", 5: "cat"}
SEGMENTATIONS: list[Any] = [
    *(
        [],
        [[]],
        [[1, 1, 5, 5]],
        [[1, 1]],
        [[1, 1, 5, 1, 5, 5, 9]],
        [[1, 1, 5, 1, 5, 5], [1, 2]],
        [[1, 1, 9, 1, 9, 9], 5],
    ),
    *([1, 1, 9, 1, 9, 9], [[[1, 1], [9, 1], [9, 9]]], [["1", 1, 9, 1, 9, 9]], [[True, 1, 9, 1, 9, 9]], [[None] * 6], 5),
    *([[1, 1, 9, 1, 9, float("nan")]], [[-20, -9, 50, -9, 50, 30, -20, 30]], [[1, 1, 1e308, 1, 9, 9]], [[5, 5] * 3]),
    *(
        [[1, 1, 10**400, 1, 9, 9]],
        [[900, 900, 950, 900, 950, 950]],
        [[0, 0, 30, 0, 30, 20, 0, 20]],
        [[1, 5, 25, 5, 9, 5]],
    ),
    *({"counts": [600]}, {"size": [20, 30]}, {"size": [20, 30], "counts": []}, {"size": [20, 30], "counts": [0, 600]}),
    *(
        {"size": [30, 20], "counts": [0, 600]},
        {"size": [20, 30], "counts": [0, 601]},
        {"size": [20, 30], "counts": "d"},
    ),
    *(
        {"size": [20, 30], "counts": [700, -100]},
        {"size": [20, 30], "counts": [0.0, 600.0]},
        {"size": 600, "counts": [600]},
    ),
    *(
        {"size": [20.0, 30], "counts": [600]},
        {"size": ["20", "30"], "counts": [600]},
        {"size": [20, 30], "counts": [10**30]},
    ),
    *(
        {"size": [20, 30], "counts": [0, True, 599]},
        {"size": [20, 30], "counts": "\u00ff"},
        {"size": [20, 30], "counts": ""},
    ),
    *({"size": [20, 30], "counts": [300, 0, 0, 300]}, {"size": [20, 30, 3], "counts": [600]}, "abc", None, {}),
]


def coco_masks(random: np.random.Generator, root: Path, structural: bool) -> Case:
    return json_case(random, root, structural, instances, change, ours, theirs)


def instances(random: np.random.Generator) -> dict[str, Any]:
    marks = []
    for number in range(int(random.integers(2, 7))):
        one = {"id": number, "image_id": pick(random, [7, "b"]), "category_id": pick(random, [*CATEGORIES])}
        kind = pick(random, ["polygons", "polygons", "runs", "text"])
        marks.append(
            {**one, "segmentation": segmentation(random, kind), "iscrowd": int(kind == "runs"), "bbox": [1, 1, 5, 5]}
        )
    images = [{"id": 7, "file_name": "a.png", "width": 30, "height": 20}, {"id": "b", "file_name": "b.png"}]
    categories = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    return {"info": {"year": 2017}, "images": images, "annotations": marks, "categories": categories}


def segmentation(random: np.random.Generator, kind: str) -> Any:
    """Polygons of a point each quarter of a pixel, or a rectangle's runs as numbers or as a text."""
    if kind == "polygons":
        counts = random.integers(3, 7, int(random.integers(1, 3)))
        return [(random.integers(0, [120, 80], (count, 2)) / 4).ravel().tolist() for count in counts]
    drawn = np.zeros(SIZE, np.uint8, order="F")
    top, left = int(random.integers(SIZE[0])), int(random.integers(SIZE[1]))
    drawn[top : top + int(random.integers(1, 9)), left : left + int(random.integers(1, 9))] = 1
    if kind == "text":
        return {"size": [*SIZE], "counts": coco_mask.encode(drawn)["counts"].decode()}
    flat = drawn.ravel(order="F").tolist()
    counts, inside = [0], 0
    for pixel in flat:
        if pixel != inside:
            counts.append(0)
            inside = pixel
        counts[-1] += 1
    return {"size": [*SIZE], "counts": counts}


def change(random: np.random.Generator, content: dict[str, Any]) -> tuple[str, bytes, bool]:
    """What was done, the json that came of it, and whether it still means the same."""
    kind, marks = pick(random, [*KINDS]), content["annotations"]
    one = pick(random, marks)
    drawn = one["segmentation"]
    made: Any = content
    if kind == "segmentation":
        one["segmentation"] = pick(random, SEGMENTATIONS)
    elif kind == "number of an outline":
        numbers = pick(random, drawn) if isinstance(drawn, list) else drawn["counts"]
        if isinstance(numbers, str):
            place = int(random.integers(len(numbers)))
            drawn["counts"] = (
                numbers[:place] + pick(random, ["", "0", "P", "o", "~", "\u00e9", "/", "1"]) + numbers[place + 1 :]
            )
        else:
            numbers[int(random.integers(len(numbers)))] = pick(random, [*ODD[:27], -5, 29, 31, 45.5])
    elif kind == "size of runs":
        one["segmentation"] = segmentation(random, pick(random, ["runs", "text"]))
        one["segmentation"]["size"] = pick(
            random, [[30, 20], [20, 31], [20], [], "20", [20, 30.0], [True, 30], [600, 1]]
        )
    elif kind == "iscrowd":
        one["iscrowd"] = pick(random, ODD[:22])
    elif kind == "category":
        one["category_id"] = pick(random, [*CATEGORIES, 4, "3", 3.0, None, True, [3]])
    elif kind == "name of a category":
        names = ["background", "car", "", "a\nb", " ", "void", 3, None]
        pick(random, content["categories"])["name"] = pick(random, names)
    elif kind == "size":
        pick(random, content["images"]).update({pick(random, ["width", "height"]): pick(random, ODD[:30])})
    elif kind == "file_name":
        pick(random, content["images"])["file_name"] = pick(random, [o for o in ODD if isinstance(o, str)])
    elif kind == "double an annotation":
        marks.append(copy.deepcopy(one))
    elif kind == "many classes":
        content["categories"] += [{"id": 1000 + n, "name": f"c{n}"} for n in range(int(random.integers(248, 258)))]
    elif kind == "shuffle":
        chosen = content[pick(random, ["images", "annotations", "categories"])]
        chosen[:] = [chosen[index] for index in random.permutation(len(chosen))]
    elif kind == "other ids of annotations":
        for number, each in enumerate(marks):
            each["id"] = f"x{number}" if number % 2 else -number
    elif kind == "other boxes":
        one["bbox"], one["area"] = pick(random, ODD), pick(random, ODD)
    elif kind == "without iscrowd":
        for each in marks:
            each.pop("iscrowd") if not each["iscrowd"] else None
    elif kind in PLACE_KINDS:
        made = change_place(random, kind, content)
    return kind, written(random, kind, made), KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("segmentation", "number of an outline", "size of runs", "iscrowd", "category"), False),
    **dict.fromkeys(("name of a category", "size", "file_name", "double an annotation", "many classes"), False),
    **dict.fromkeys(("shuffle", "other ids of annotations", "other boxes", "without iscrowd"), True),
    **PLACE_KINDS,
    **TEXT_KINDS,
}


def ours(root: Path) -> Reading:
    files = find_segmentation("coco", "train", root)
    check_segmentation(files)
    dataset = SegmentationDataset(files)
    samples = [[dataset[at]["image"], dataset[at]["mask"]] for at in range(len(dataset))]
    return Reading([files.names, samples], files.notes)


def theirs(root: Path, coded: bytes) -> Reading:
    content = json.loads(coded)
    require(content, boxes=False)
    categories = sorted(content["categories"], key=lambda one: one["id"])
    names = ["background", *(one["name"] for one in categories if one["name"] != "background")]
    values = {one["id"]: names.index(one["name"]) for one in categories}
    if len(names) > 255:
        raise Refused("more classes than values")
    samples, notes = [], []
    for image in content["images"]:
        photo = Image.open(root / "train" / image["file_name"])
        size = (photo.height, photo.width)
        declared = [image.get(side) for side in ("height", "width")]
        if all(finite(side) and 0 < side < 2**31 and side == round(side) for side in declared):
            if tuple(declared) != size:
                raise Refused(f"{declared}")
        elif image.keys() & {"height", "width"}:
            notes.append("no size")
        mask, count = np.zeros(size, np.uint8), np.zeros(size, int)
        for one in content["annotations"]:
            if one["image_id"] == image["id"] and type(one["image_id"]) is type(image["id"]):
                inside = covered(one["segmentation"], size)
                mask[inside] = values[one["category_id"]]
                count += inside * (2 if one.get("iscrowd") else 1)
        mask[count > 1] = 255
        samples.append([np.array(photo.convert("RGB")), mask])
    if len({image["file_name"].removeprefix("./") for image in content["images"]}) < len(content["images"]):
        notes.append("one file for two images")
    return Reading([names, samples], notes)


def covered(given: Any, size: tuple[int, int]) -> np.ndarray:
    """Which pixels a segmentation covers, bool [H, W]."""
    if isinstance(given, list):
        if not given or not all(isinstance(polygon, list) and len(polygon) % 2 == 0 for polygon in given):
            raise Refused(f"{given}")
        if not all(finite(number) and abs(number) < 1e9 for polygon in given for number in polygon):
            raise Refused(f"{given}")
        polygons = [[float(number) for number in polygon] for polygon in given if len(polygon) >= 6]
        if not polygons:
            return np.zeros(size, bool)
        return coco_mask.decode(coco_mask.frPyObjects(polygons, *size)).any(2)
    if not isinstance(given["size"], list) or [*map(type, given["size"])] != [int, int] or given["size"] != [*size]:
        raise Refused(f"{given}")
    if isinstance(given["counts"], str):
        runs = {"size": given["size"], "counts": given["counts"].encode("ascii")}
        found = coco_mask.decode(runs)
        if coco_mask.area(runs) != found.sum() or coco_mask.encode(found)["counts"] != runs["counts"]:
            raise Refused("runs that are not what the pixels are")
        return found > 0
    counts = given["counts"]
    if not all(type(number) is int and number >= 0 for number in counts) or sum(counts) != size[0] * size[1]:
        raise Refused(f"{counts}")
    flat = [number % 2 == 1 for number, count in enumerate(counts) for _ in range(count)]
    return np.array(flat).reshape(size[::-1]).T
