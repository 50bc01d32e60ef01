"""COCO's instances in json."""

import contextlib
import copy
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from datasets.detection.checks import check_detection
from datasets.detection.dataset import DetectionDataset
from datasets.detection.find import find_detection
from tests.fuzz.boxes import clean
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else
from tests.fuzz.json_text import ODD, TEXT_KINDS, written

SIZE = (20, 30)


def coco_json(random: np.random.Generator, root: Path, structural: bool) -> Case:
    return json_case(random, root, structural, instances, change, ours, theirs)


def json_case(
    random: np.random.Generator,
    root: Path,
    structural: bool,
    instances: Callable[[np.random.Generator], dict[str, Any]],
    change: Callable[[np.random.Generator, dict[str, Any]], tuple[str, bytes, bool]],
    ours: Callable[[Path], Reading],
    theirs: Callable[[Path, bytes], Reading],
) -> Case:
    """A tree with a json and two images, of which the json is mutated."""
    content = instances(random)
    for folder in ("annotations", "train"):
        (root / folder).mkdir()
    for name in ("a.png", "b.png"):
        pixels = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "train" / name)
    path = root / "annotations" / "instances_train.json"
    path.write_text(json.dumps(content))
    harmless = False
    if not structural:
        mutation, made = damage(random, path.read_bytes(), json.dumps(instances(random)).encode())
        path.write_bytes(made)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, made, harmless = change(random, content)
        path.write_bytes(made)
    return Case(mutation, [str(root)], lambda: ours(root), lambda: theirs(root, path.read_bytes()), harmless)


def instances(random: np.random.Generator) -> dict[str, Any]:
    annotations = []
    for number in range(int(random.integers(2, 7))):
        left, top = int(random.integers(25)), float(random.integers(60) / 4)
        box = [left, top, int(random.integers(1, 31 - left)), float(random.integers(1, 20)) / 4]
        one = {"id": number, "image_id": pick(random, [7, "b"]), "category_id": pick(random, [3, 5, 90]), "bbox": box}
        area = {"area": float(random.integers(1, 600)) / 2} if random.random() < 0.7 else {}
        annotations.append({**one, **area, "iscrowd": int(number % 3 == 2), "segmentation": [[1, 1, 5, 5, 1, 5]]})
    images = [{"id": 7, "file_name": "a.png", "width": 30, "height": 20}, {"id": "b", "file_name": "b.png"}]
    categories = [{"id": number, "name": name} for number, name in ((90, "brush"), (3, "car"), (5, "cat"))]
    return {"info": {"year": 2017}, "images": images, "annotations": annotations, "categories": categories}


def change(random: np.random.Generator, content: dict[str, Any]) -> tuple[str, bytes, bool]:
    """What was done, the json that came of it, and whether it still means the same."""
    lists = [content[key] for key in ("images", "annotations", "categories")]
    chosen = pick(random, lists)
    entry = pick(random, chosen)
    key = pick(random, [*entry])
    kind = pick(random, [*KINDS])
    made: Any = content
    if kind == "remove a key":
        del entry[key]
    elif kind == "odd value":
        entry[key] = pick(random, ODD)
    elif kind == "odd number in a box":
        one = pick(random, content["annotations"])
        one["bbox"][int(random.integers(4))] = pick(random, [*ODD[:27], -5, 29, 31, 45.5])
    elif kind == "odd entry":
        chosen[int(random.integers(len(chosen)))] = pick(random, ODD)
    elif kind == "odd list":
        content[pick(random, ["images", "annotations", "categories"])] = pick(random, ODD)
    elif kind == "remove an entry":
        chosen.remove(entry)
    elif kind == "remove a list":
        del content[pick(random, ["images", "annotations", "categories"])]
    elif kind == "double":
        chosen.append(copy.deepcopy(entry))
    elif kind == "another entry's value":
        entry[key] = copy.deepcopy(pick(random, chosen).get(key))
    elif kind == "another key's value":
        entry[key] = copy.deepcopy(entry[pick(random, [*entry])])
    elif kind == "file_name":
        pick(random, content["images"])["file_name"] = pick(random, [o for o in ODD if isinstance(o, str)])
    elif kind == "iscrowd":
        pick(random, content["annotations"])["iscrowd"] = pick(random, ODD[:22])
    elif kind == "size":
        pick(random, content["images"]).update({pick(random, ["width", "height"]): pick(random, ODD[:30])})
    elif kind == "swap lists":
        content["images"], content["annotations"] = content["annotations"], content["images"]
    elif kind == "wrap":
        made = pick(random, [[content], {"instances": content}, content["annotations"], None, 5, "text", True])
    elif kind == "shuffle":
        chosen[:] = [chosen[index] for index in random.permutation(len(chosen))]
    elif kind == "more keys":
        entry["remark"] = pick(random, ODD[:14])
        content["licenses"] = pick(random, ODD[:14])
    elif kind == "other ids of annotations":
        for number, one in enumerate(content["annotations"]):
            one["id"] = f"x{number}" if number % 2 else -number
    coded = written(random, kind, made)
    if kind == "a key twice":
        coded = coded.replace(b'"iscrowd": 0', b'"iscrowd": 1, "iscrowd": 0')
    elif kind == "long integer":
        coded = coded.replace(b'"area": ', b'"area": ' + b"9" * int(random.integers(300, 6000)), 1)
    return kind, coded, KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("remove a key", "odd number in a box", "odd entry", "odd list", "remove an entry"), False),
    **dict.fromkeys(("odd value", "remove a list", "double", "another entry's value", "another key's value"), False),
    **dict.fromkeys(("file_name", "iscrowd", "size", "swap lists", "wrap", "long integer"), False),
    **dict.fromkeys(("shuffle", "more keys", "other ids of annotations", "a key twice"), True),
    **TEXT_KINDS,
}


def ours(root: Path) -> Reading:
    files = find_detection("coco", "train", root)
    check_detection(files)
    dataset = DetectionDataset(files, keep_crowds=True)
    kept = ("id", "image", "boxes", "labels", "crowd")
    samples = [{key: dataset[index][key] for key in kept} for index in range(len(dataset))]
    areas = [objects.area for objects in files.objects]
    return Reading([files.names, files.category_ids, samples, areas], files.notes)


def theirs(root: Path, coded: bytes) -> Reading:
    content = json.loads(coded)
    require(content)
    notes: list[str] = []
    coco = COCO()  # which looks annotations up by their ids, so that these have to be there
    coco.dataset = {**content, "annotations": [{**one, "id": n} for n, one in enumerate(content["annotations"], 1)]}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    categories = sorted(coco.loadCats(coco.getCatIds()), key=lambda one: one["id"])
    order = [one["id"] for one in categories]
    samples, areas = [], []
    for image in content["images"]:
        photo = Image.open(root / "train" / image["file_name"])
        size = (photo.height, photo.width)
        declared = [image.get(side) for side in ("height", "width")]
        counts = all(finite(side) and 0 < side < 2**31 and side == round(side) for side in declared)
        if counts and tuple(declared) != size:
            raise Refused(f"{declared}")
        boxes, labels, crowd, area = [], [], [], []
        for one in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
            left, top, width, height = (real(number) for number in one["bbox"])
            corners, why = clean([left, top, left + width, top + height], [width, height], size)
            notes += [why] if why else []
            given = one.get("area")
            sound = finite(given) and 0 <= given < 3e38
            notes += ["area"] if given is not None and not sound else []
            if corners is not None:
                boxes.append(corners)
                labels.append(order.index(one["category_id"]))
                crowd.append(one.get("iscrowd") == 1)
                own = np.float32(corners[2] - corners[0]) * np.float32(corners[3] - corners[1])
                area.append(np.float32(given) if sound else own)
        image_id, pixels = image["id"], np.array(photo.convert("RGB"))
        samples.append({"id": image_id, "image": pixels, "boxes": np.array(boxes, np.float32).reshape(-1, 4)})
        samples[-1] |= {"labels": np.array(labels), "crowd": np.array(crowd)}
        areas.append(np.array(area, np.float32))
    return Reading([[one["name"] for one in categories], order, samples, areas], notes)


def require(content: Any, boxes: bool = True) -> None:
    """Refuse what COCO's format does not allow; `boxes` says whether annotations must have them."""
    for image in content["images"]:
        name = image["file_name"]
        if type(image["id"]) not in (int, str) or not isinstance(name, str):
            raise Refused(f"{image}")
        if name.startswith("/") or ".." in name.split("/"):
            raise Refused(f"{name}")
    for one in content["categories"]:
        if type(one["id"]) is not int or not one["name"].strip() or not one["name"].isprintable():
            raise Refused(f"{one}")
    ids = [one["id"] for one in content["images"]], [one["id"] for one in content["categories"]]
    named = [one.get("id") for one in content["annotations"] if type(one.get("id")) in (int, str)]
    for values in (*ids, [one["name"] for one in content["categories"]], named):
        if max(Counter(values).values(), default=1) > 1:
            raise Refused("given twice")
    for one in content["annotations"]:
        if type(one["image_id"]) not in (int, str) or type(one["category_id"]) is not int:
            raise Refused(f"{one}")
        if one["image_id"] not in ids[0] or one["category_id"] not in ids[1]:
            raise Refused("unknown")
        box = one["bbox"] if boxes else [0] * 4
        if len(box) != 4 or not all(type(number) in (int, float) for number in box):
            raise Refused(f"{one}")
        if one.get("iscrowd", 0) not in (0, 1, None):
            raise Refused(f"{one}")


def finite(number: Any) -> bool:
    return type(number) in (int, float) and abs(number) < float("inf")


def real(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")
