"""labelme's json files, one an image, read for boxes or for masks."""

import base64
import io
import json
import math
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datasets.detection.checks import check_detection
from datasets.detection.dataset import DetectionDataset
from datasets.detection.find import find_detection
from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.fuzz.boxes import clean
from tests.fuzz.coco_json import finite
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else
from tests.fuzz.json_text import ODD, PLACE_KINDS, TEXT_KINDS, change_place, written
from tests.fuzz.outlines import drawn, placed, round_points

NAMES = ["cat", "dog"]
SIZE = (20, 30)
KINDS_OF_SHAPES = [
    "rectangle",
    "polygon",
    "circle",
    "oriented_rectangle",
    "mask",
    "line",
    "point",
    "points",
    "linestrip",
]
LABELS = [
    "__ignore__",
    "_background_",
    "background",
    "elk",
    " cat ",
    "Cat",
    "",
    "cat\n",
    "cat dog",
    "x" * 3000,
    "\u200bcat",
]
PATHS = [
    *("b.png", "./a.png", "../train/a.png", "..\\train\\a.png", "sub/a.png", "/etc/a.png", "../../a.png", "c.png", ""),
    *(
        "a.json",
        "a",
        ".",
        "..",
        "a.png/",
        "A.PNG",
        "a.png\0",
        "\ud800.png",
        "x" * 5000 + ".png",
        "../other.png",
        "C:\\a.png",
    ),
]
COORDINATES: list[Any] = [*ODD[:27], -5, 29, 31, 45.5, -0.5, 1e9, -1e9, 999999999.5, 30, 20]


def labelme(random: np.random.Generator, root: Path, structural: bool) -> Case:
    masks = random.random() < 0.4
    (root / "train").mkdir()
    (root / "labels.txt").write_text("\n".join(NAMES))
    for stem in "ab":
        pixels = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "train" / f"{stem}.png")
        (root / "train" / f"{stem}.json").write_text(json.dumps(annotation(random, stem)))
    Image.fromarray(pixels[::-1]).save(root / "other.png")
    path, harmless = root / "train" / "a.json", False
    if not structural:
        mutation, content = damage(random, path.read_bytes(), (root / "train" / "b.json").read_bytes())
        path.write_bytes(content)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, content, harmless = change(random, json.loads(path.read_text()))
        path.write_bytes(content)
    read = of_masks if masks else of_boxes
    return Case(mutation, [str(root)], lambda: read(root), lambda: theirs(root, masks), harmless)


def annotation(random: np.random.Generator, stem: str) -> dict[str, Any]:
    shapes = [shape(random, pick(random, KINDS_OF_SHAPES[:5])) for _ in range(random.integers(1, 6))]
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{stem}.png", "imageData": None}
    return content | {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}


def shape(random: np.random.Generator, kind: str) -> dict[str, Any]:
    count = {"polygon": int(random.integers(3, 7)), "oriented_rectangle": 4}.get(kind, 2)
    points = [[float(random.integers(120)) / 4, float(random.integers(80)) / 4] for _ in range(count)]
    if kind != "polygon" and points[0][0] == points[1][0]:
        points[1][0] += 1  # which is more than nothing
    if kind != "polygon" and points[0][1] == points[1][1]:
        points[1][1] += 1
    group = pick(random, [None, None, 1, 2])
    one = {"label": pick(random, NAMES), "points": points, "group_id": group, "description": "", "shape_type": kind}
    return one | {"flags": {}, "mask": brushed(random, points) if kind == "mask" else None}


def brushed(random: np.random.Generator, points: list[list[float]]) -> str:
    """Pixels for a mask of two points, which are sorted and made whole as labelme has them."""
    points[:] = [[float(int(number)) for number in sorted(side)] for side in zip(*points, strict=True)]
    points[:] = [[*point] for point in zip(*points, strict=True)]
    width, height = (int(last - first) + 1 for first, last in zip(*points, strict=True))
    pixels = (random.random((height, width)) < 0.7).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels * pick(random, [1, 255])).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def change(random: np.random.Generator, content: dict[str, Any]) -> tuple[str, bytes, bool]:
    """What was done, the json that came of it, and whether it still means the same."""
    kind, shapes = pick(random, [*KINDS]), content["shapes"]
    one = pick(random, shapes)
    key = pick(random, [*one])
    made: Any = content
    if kind == "key of a shape":
        one[key] = pick(random, ODD)
    elif kind == "remove a key of a shape":
        del one[key]
    elif kind == "coordinate":
        pick(random, one["points"])[int(random.integers(2))] = pick(random, COORDINATES)
    elif kind == "a point less":
        one["points"].pop()
    elif kind == "a point more":
        one["points"].append(pick(random, [[5, 5], [1, 2, 3], [1], [], 5, None, "5", {"x": 5, "y": 5}, [40, 50]]))
    elif kind == "no area":
        side = int(random.integers(2))
        for point in one["points"]:
            point[side] = 5
    elif kind == "outside":
        one["points"] = [[x + pick(random, [0, 15, 40, 1000]), y] for x, y in one["points"]]
    elif kind == "kind of shape":
        one["shape_type"] = pick(random, [*KINDS_OF_SHAPES, "Rectangle", "blob", "", None, 3, ["polygon"]])
    elif kind == "label":
        one["label"] = pick(random, LABELS)
    elif kind == "group":
        for each in shapes:
            each["group_id"] = pick(random, [1, "1", 1.0, True, None, [1], {}, -1, 10**40])
    elif kind == "double":
        shapes.append(json.loads(json.dumps(one)))
    elif kind == "no shapes":
        content["shapes"] = []
    elif kind == "size":
        content[pick(random, ["imageHeight", "imageWidth"])] = pick(random, [*ODD[:30], 20, 30, 20.0, 30.0])
    elif kind == "swap sides":
        content["imageHeight"], content["imageWidth"] = SIZE[1], SIZE[0]
    elif kind == "imagePath":
        content["imagePath"] = pick(random, PATHS)
    elif kind == "corners swapped":
        for each in shapes:
            each["points"] = each["points"][::-1] if each["shape_type"] != "circle" else each["points"]
    elif kind == "more keys":
        one["remark"] = content["remark"] = pick(random, ODD[:14])
    elif kind == "keys in another order":
        made = {key: content[key] for key in sorted(content, reverse=True)}
    elif kind in PLACE_KINDS:
        made = change_place(random, kind, content)
    coded = written(random, kind, made)
    if kind == "a key twice":
        coded = coded.replace(b'"label": ', b'"label": "elk", "label": ')
    return kind, coded, KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("key of a shape", "remove a key of a shape", "coordinate", "a point less", "a point more"), False),
    **dict.fromkeys(
        ("no area", "outside", "kind of shape", "label", "group", "size", "swap sides", "imagePath"), False
    ),
    **dict.fromkeys(("no shapes", "double", "more keys", "keys in another order", "a key twice"), True),
    **dict.fromkeys(("corners swapped",), True),
    **PLACE_KINDS,
    **TEXT_KINDS,
}


def of_boxes(root: Path) -> Reading:
    files = find_detection("labelme", "train", root)
    check_detection(files)
    dataset = DetectionDataset(files)
    kept = ("id", "image", "boxes", "labels")
    return Reading([{key: dataset[at][key] for key in kept} for at in range(len(dataset))], files.notes)


def of_masks(root: Path) -> Reading:
    files = find_segmentation("labelme", "train", root)
    check_segmentation(files)
    dataset = SegmentationDataset(files)
    return Reading([[dataset[at]["image"], dataset[at]["mask"]] for at in range(len(dataset))], files.notes)


def theirs(root: Path, masks: bool) -> Reading:
    samples, notes, used = [], [], []
    for stem in "ab":
        path = root / "train" / f"{stem}.json"
        if (not path.exists() and not path.is_symlink()) or path.is_dir():
            notes.append("no json")
            continue
        content = json.loads(path.read_bytes())
        used.append(image_of(root, stem, content))
        photo = np.array(Image.open(used[-1]))
        declared = [content.get(side) for side in ("imageHeight", "imageWidth")]
        if not all(finite(side) and 0 < side < 2**31 and side == round(side) for side in declared):
            notes.append("no size")
        elif tuple(declared) != photo.shape[:2]:
            raise Refused(f"{declared}")
        found = [(one, outline(one, notes)) for one in content["shapes"]]
        shapes = [shape for _, shape in found if shape]
        if masks:
            layers = [
                (value(shape[0]), pixels(one) if shape[3] == "mask" else shape[1]) for one, shape in found if shape
            ]
            samples.append([photo, drawn(layers, SIZE)])
        else:
            boxes, labels = bounds(shapes, notes)
            samples.append({"id": stem, "image": photo, "boxes": boxes, "labels": labels})
    if len({*used}) < len(used):
        raise Refused("one image for both")
    return Reading(samples, notes)


def image_of(root: Path, stem: str, content: dict[str, Any]) -> Path:
    """Where the json says that its image is, beside it by that name, or beside it by its own; inside of the tree."""
    given = content.get("imagePath")
    given = given.replace("\\", "/") if isinstance(given, str) else ""
    within = posixpath.normpath(posixpath.join("train", given))
    tries = [within, "train/" + given.rstrip("/").split("/")[-1], f"train/{stem}.png"]
    return next(root / name for name in tries if name in ("train/a.png", "train/b.png", "other.png"))


def outline(one: Any, notes: list[str]) -> tuple[str, Sequence[Sequence[float]], Any, str] | None:
    """Label, corners, group and kind of a shape; None for one that bounds nothing."""
    label, points, group, kind = one["label"].strip(), one["points"], one.get("group_id"), one.get("shape_type")
    kind = kind or "polygon"
    if kind in ("line", "linestrip", "point", "points"):
        notes.append(kind)
        return None
    if label not in (*NAMES, "__ignore__", "_background_", "background") or type(group) not in (int, str, type(None)):
        raise Refused(f"{one}")
    for x, y in points:
        if not (finite(x) and finite(y) and abs(x) < 1e9 and abs(y) < 1e9):
            raise Refused(f"{points}")
    if kind == "circle":
        (x, y), edge = points
        return label, round_points(x, y, *[math.dist((x, y), edge)] * 2), group, kind
    if kind in ("polygon", "oriented_rectangle") and len(points) >= 3:
        return label, points, group, kind
    if kind in ("rectangle", "mask") and len(points) in (2, 4):
        more = kind == "mask"  # labelme slices [y1 : y2 + 1, x1 : x2 + 1]
        (left, right), (top, bottom) = ((min(side), max(side) + more) for side in zip(*points, strict=True))
        return label, [(left, top), (right, top), (right, bottom), (left, bottom)], group, kind
    raise Refused(f"{one}")


def pixels(one: Any) -> np.ndarray:
    """What a brush covered, where labelme puts it."""
    (left, *_, right), (top, *_, bottom) = (sorted(map(int, side)) for side in zip(*one["points"], strict=True))
    try:
        image = Image.open(io.BytesIO(base64.b64decode(one["mask"])))
        image.load()
    except (TypeError, ValueError, OSError, SyntaxError):
        raise Refused("no image") from None
    if image.size != (right - left + 1, bottom - top + 1):
        raise Refused("another size")
    covered = np.asarray(image.convert("RGB")).max(2) > 0
    return placed(covered.tolist(), left, top, SIZE)


def bounds(shapes: list[Any], notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of objects, whose parts share a label and a group, and their classes."""
    objects: dict[Any, list[Any]] = {}
    for number, (label, points, group, _) in enumerate(shapes):
        if label in NAMES:
            key = (label, number, "alone") if group is None else (label, group, type(group).__name__)
            objects.setdefault(key, []).extend(points)
        else:
            notes.append(label)
    boxes, labels = [], []
    for (label, *_), points in objects.items():
        across, down = zip(*points, strict=True)
        corners = [float(number) for number in (min(across), min(down), max(across), max(down))]
        box, why = clean(corners, [corners[2] - corners[0], corners[3] - corners[1]], SIZE)
        notes += [why] if why else []
        if box is not None:
            boxes.append(box)
            labels.append(NAMES.index(label))
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(labels)


def value(label: str) -> int:
    """What a label is in a mask."""
    return 255 if label == "__ignore__" else NAMES.index(label) + 1 if label in NAMES else 0
