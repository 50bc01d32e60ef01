"""COCO's panoptic annotations: a PNG of segment ids an image, and a json of their categories."""

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.fuzz.coco_json import finite, require
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else
from tests.fuzz.json_text import ODD, PLACE_KINDS, TEXT_KINDS, change_place, written
from tests.fuzz.pixels import encode, opened

SIZE = (6, 9)
CATEGORIES = {200: "rug", 1: "person", 7: "car"}


def panoptic(random: np.random.Generator, root: Path, structural: bool) -> Case:
    folder = root / "annotations" / "panoptic_train"
    folder.mkdir(parents=True)
    (root / "train").mkdir()
    marks, images = [], []
    for number, stem in enumerate("ab", start=1):
        pixels = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "train" / f"{stem}.png")
        ids = [1, 2, 300, 70_000, 2**24 - 1][: int(random.integers(1, 6))]
        segments = [{"id": segment, "category_id": pick(random, [*CATEGORIES]), "iscrowd": 0} for segment in ids]
        segments[0]["iscrowd"] = int(number == 2 and len(ids) > 1)
        (folder / f"{stem}.png").write_bytes(encode(coloured(random.choice([0, *ids], SIZE)), "PNG"))
        marks.append({"image_id": number, "file_name": f"{stem}.png", "segments_info": segments})
        images.append({"id": number, "file_name": f"{stem}.png", "width": SIZE[1], "height": SIZE[0]})
    categories = [{"id": number, "name": name, "isthing": 1} for number, name in CATEGORIES.items()]
    content = {"info": {"year": 2017}, "images": images, "annotations": marks, "categories": categories}
    path, harmless = folder.with_suffix(".json"), False
    path.write_text(json.dumps(content))
    of_pixels = random.random() < 0.4
    path = folder / "a.png" if of_pixels else path
    if not structural:
        mutation, made = damage(random, path.read_bytes(), (folder / "b.png").read_bytes())
        path.write_bytes(made)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    elif of_pixels:
        mutation, made, harmless = change_pixels(random, path.read_bytes())
        path.write_bytes(made)
    else:
        mutation, made, harmless = change(random, content)
        path.write_bytes(made)
    return Case(f"{path.name}: {mutation}", [str(root)], lambda: ours(root), lambda: theirs(root), harmless)


def coloured(ids: np.ndarray) -> Image.Image:
    """Ids as R + 256 G + 256^2 B."""
    return Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8))


def change_pixels(random: np.random.Generator, content: bytes) -> tuple[str, bytes, bool]:
    """What was done to a PNG, its bytes, and whether it still means the same."""
    image, kind = opened(content)[0], pick(random, [*PIXEL_KINDS])
    if kind == "pixel":
        image.putpixel((3, 2), pick(random, [(9, 9, 9), (0, 0, 1), (0, 0, 0), (1, 0, 0), (255, 255, 255)]))
    elif kind == "size":
        image = image.resize(pick(random, [(9, 7), (6, 9), (1, 1), (18, 12)]), Image.Resampling.NEAREST)
    elif kind == "mode":
        image = image.convert(pick(random, ["L", "P", "1", "LA"]))
    elif kind == "alpha":
        image = image.convert("RGBA")
    elif kind == "format":
        return kind, encode(image, pick(random, ["JPEG", "BMP", "TIFF"])), False
    elif kind == "orientation":
        return kind, encode(image, "PNG", int(random.integers(1, 9))), False
    return kind, encode(image, "PNG"), PIXEL_KINDS[kind]


PIXEL_KINDS = {  # and whether they are harmless
    **dict.fromkeys(("pixel", "size", "mode", "format", "orientation"), False),
    **dict.fromkeys(("alpha", "written anew"), True),
}


def change(random: np.random.Generator, content: dict[str, Any]) -> tuple[str, bytes, bool]:
    """What was done to the json, what came of it, and whether it still means the same."""
    kind, marks = pick(random, [*KINDS]), content["annotations"]
    segments = pick(random, marks)["segments_info"]
    segment = pick(random, segments)
    made: Any = content
    if kind == "key of a segment":
        segment[pick(random, [*segment])] = pick(random, [*ODD, 2, 300, 7])
    elif kind == "remove a segment":
        segments.remove(segment)
    elif kind == "double a segment":
        segments.append(copy.deepcopy(segment))
    elif kind == "one more segment":
        segments.append({"id": pick(random, [0, 5, 2**24, -1, 300, 1.0, "7", True]), "category_id": 7})
    elif kind == "key of an annotation":
        one = pick(random, marks)
        one[pick(random, [*one])] = pick(random, [*ODD, 1, 2, "a.png"])
    elif kind == "size":
        pick(random, content["images"]).update({pick(random, ["width", "height"]): pick(random, ODD[:30])})
    elif kind == "categories":
        content["categories"] += [{"id": 1000 + n, "name": f"c{n}"} for n in range(int(random.integers(248, 258)))]
    elif kind == "shuffle":
        chosen = pick(random, [segments, marks, content["images"], content["categories"]])
        chosen[:] = [chosen[index] for index in random.permutation(len(chosen))]
    elif kind == "more keys":
        segment["area"], segment["bbox"] = pick(random, ODD), pick(random, ODD)
    elif kind in PLACE_KINDS:
        made = change_place(random, kind, content)
    return kind, written(random, kind, made), KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("key of a segment", "remove a segment", "double a segment", "one more segment"), False),
    **dict.fromkeys(("key of an annotation", "size", "categories"), False),
    **dict.fromkeys(("shuffle", "more keys"), True),
    **PLACE_KINDS,
    **TEXT_KINDS,
}


def ours(root: Path) -> Reading:
    files = find_segmentation("coco-panoptic", "train", root)
    check_segmentation(files)
    dataset = SegmentationDataset(files)
    samples = [[dataset[at]["image"], dataset[at]["mask"]] for at in range(len(dataset))]
    return Reading([files.names, samples], files.notes)


def theirs(root: Path) -> Reading:
    folder = root / "annotations"
    content = json.loads((folder / "panoptic_train.json").read_bytes())
    require({**content, "annotations": []})
    marks = content["annotations"]
    categories = sorted(content["categories"], key=lambda one: one["id"])
    order = [one["id"] for one in categories]
    ids = [image["id"] for image in content["images"]]
    if len(order) > 255 or any(type(mark["image_id"]) not in (int, str) for mark in marks):
        raise Refused(f"{len(order)} classes")
    if Counter(mark["image_id"] for mark in marks) != Counter(ids):
        raise Refused("not one annotation an image")
    samples, notes = [], []
    for image in content["images"]:
        photo = np.array(Image.open(root / "train" / image["file_name"]))
        declared = [image.get(side) for side in ("height", "width")]
        if all(finite(side) and 0 < side < 2**31 and side == round(side) for side in declared):
            if tuple(declared) != photo.shape[:2]:
                raise Refused(f"{declared}")
        elif image.keys() & {"height", "width"}:
            notes.append("no size")
        (mark,) = (mark for mark in marks if mark["image_id"] == image["id"])
        name = mark["file_name"]
        if name.startswith("/") or ".." in name.split("/"):
            raise Refused(name)
        pixels = segments_of((folder / "panoptic_train" / name).read_bytes())
        if pixels.shape != photo.shape[:2]:
            raise Refused(f"{pixels.shape}")
        classes = {0: 255}
        for segment in mark["segments_info"]:
            number, crowd = segment["id"], segment.get("iscrowd", 0)
            if type(number) is not int or number in classes or crowd not in (0, 1, None) or not 0 < number < 2**24:
                raise Refused(f"{segment}")
            if type(segment["category_id"]) is not int:
                raise Refused(f"{segment}")
            classes[number] = 255 if crowd else order.index(segment["category_id"])
        samples.append([photo, np.array([[classes[int(pixel)] for pixel in row] for row in pixels])])
    if len({image["file_name"].removeprefix("./") for image in content["images"]}) < len(ids):
        notes.append("one file for two images")
    return Reading([[one["name"] for one in categories], samples], notes)


def segments_of(content: bytes) -> np.ndarray:
    """The ids of a PNG's pixels, int [H, W]."""
    image, turn = opened(content)
    if image.format == "JPEG" or image.mode not in ("RGB", "RGBA") or turn != 1:
        raise Refused(f"{image.format} {image.mode} {turn}")
    return np.asarray(image).astype(int)[..., :3] @ [1, 256, 65536]
