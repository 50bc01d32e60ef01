"""CVAT's "CVAT for images 1.1", read for boxes or for masks."""

import copy
import itertools
import math
import posixpath
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from datasets.detection.checks import check_detection
from datasets.detection.dataset import DetectionDataset
from datasets.detection.find import find_detection
from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.fuzz.boxes import clean
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else
from tests.fuzz.outlines import Points, drawn, placed, round_points
from tests.fuzz.xml_text import ENTITIES, NUMBERS, TEXTS, plain, written

NAMES = ["cat", "dog", "traffic light"]
SIZE = (20, 30)
IMAGES = ["a.png", "s/b.png"]
OPEN = ("polyline", "points", "cuboid", "skeleton", "tag")
NUMERIC = {
    "box": ("xtl", "ytl", "xbr", "ybr"),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "mask": ("left", "top", "width", "height"),
    "polygon": ("points",),
}
POINTS = [
    *(
        "",
        "1,1",
        "1,1;2,2",
        "1,1;2,2;3",
        "1,1;2,2;3,3,3",
        "1,1;9,2;3,9;",
        "1,1;9,2;nan,9",
        "1,1 9,2 3,9",
        "1,1;9,2;3,9",
    ),
    *(
        "1;1;9;2;3;9",
        "1,1;1,1;1,1",
        "-50,1;9,2;3,9",
        "1,1;9,2;3,1e4",
        "1,1;9,2;3,1e400",
        "1,1;5,1;9,1",
        "\u0661,1;9,2;3,9",
    ),
    *("1.25,1.25; 9.75,2.25 ;3.25,9.75", "x", "[(1,1),(9,2),(3,9)]", "1_0,1;9,2;3,9", "40,5;50,5;50,9", ";" * 2000),
]
PATHS = [
    *(
        "",
        "/a.png",
        "../a.png",
        "s/../a.png",
        "./a.png",
        "s//b.png",
        "b.png",
        "a.PNG",
        "a",
        "images/a.png",
        "annotations.xml",
    ),
    *("s", "a.png ", "x" * 3000, "\\a.png", "s\\b.png", "s/./b.png", "a.png/", "*.png", "~"),
]
SUBSETS = ["", "train", "Training", "Validation", "Default", "TRAIN", "..", "/tmp", "x/../..", "Train ", "test"]


def cvat(random: np.random.Generator, root: Path, structural: bool) -> Case:
    masks, divided = random.random() < 0.4, random.random() < 0.5
    top = root / "train" if divided else root
    for name in IMAGES:
        (top / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(top / "images" / name)
    path, harmless = top / "annotations.xml", False
    path.write_bytes(ElementTree.tostring(export(random, divided), "utf-8"))
    if not structural:
        other = ElementTree.tostring(export(random, divided), "utf-8")
        mutation, content = damage(random, path.read_bytes(), other)
        path.write_bytes(content)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, content, harmless = change(random, path.read_bytes())
        path.write_bytes(content)
    read = of_masks if masks else of_boxes
    return Case(mutation, [str(root)], lambda: read(root), lambda: theirs(top, masks, divided), harmless)


def export(random: np.random.Generator, divided: bool) -> ElementTree.Element:
    tree = ElementTree.Element("annotations")
    ElementTree.SubElement(tree, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(tree, "meta"), "task")
    ElementTree.SubElement(task, "name").text = "things"
    labels = ElementTree.SubElement(task, "labels")
    for name in NAMES:
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "color").text = "#c06060"
    for number, name in enumerate(IMAGES):
        image = ElementTree.SubElement(tree, "image", {"id": str(number), "name": name})
        image.attrib |= {"subset": "Train"} if not divided else {}
        image.attrib |= {"width": str(SIZE[1]), "height": str(SIZE[0])}
        for _ in range(int(random.integers(1, 5))):
            shape(random, image, pick(random, ["box", "polygon", "ellipse", "mask"]))
    return tree


def shape(random: np.random.Generator, image: ElementTree.Element, kind: str) -> None:
    attributes = {"label": pick(random, NAMES), "source": "manual", "occluded": str(random.integers(2))}
    left, top = random.integers(25) + 0.25, random.integers(15) + 0.75
    width, height = random.integers(1, 30 - int(left)), random.integers(1, 20 - int(top))
    numbers = {"box": (left, top, left + width, top + height), "mask": (int(left), int(top), width, height)}
    numbers["ellipse"] = (left, top, width / 2, height / 2)
    if kind == "polygon":
        corners = random.integers(0, [4 * SIZE[1], 4 * SIZE[0]], (int(random.integers(3, 7)), 2)) / 4
        attributes["points"] = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners)
    else:
        attributes |= dict(zip(NUMERIC[kind], map(str, numbers[kind]), strict=True))
    if kind == "mask":
        pixels = (random.random(width * height) < 0.7).tolist()
        runs = [len([*run]) for _, run in itertools.groupby(pixels)]
        attributes["rle"] = ", ".join(map(str, ([0] if pixels[0] else []) + runs))
    if kind in ("box", "ellipse") and random.random() < 0.3:
        # none whose sine is a half, as points would lie where rounding decides about a pixel
        attributes["rotation"] = pick(random, ["33.3", "17", "123.4", "0.0"])
    one = ElementTree.SubElement(image, kind, attributes | {"z_order": str(random.integers(-1, 3))})
    if random.random() < 0.3:
        ElementTree.SubElement(one, "attribute", {"name": "colour"}).text = "red"


def change(random: np.random.Generator, content: bytes) -> tuple[str, bytes, bool]:
    """What was done, the XML that came of it, and whether it still means the same."""
    tree = ElementTree.fromstring(content)
    every = list(tree.iter())
    above = {child: parent for parent in every for child in parent}
    one, other = pick(random, every[1:]), pick(random, every)
    image = pick(random, tree.findall("image"))
    thing = pick(random, [child for child in image if child.tag in NUMERIC])
    key = pick(random, [*thing.attrib])
    kind = pick(random, [*KINDS])
    if kind == "remove":
        above[one].remove(one)
    elif kind == "double":
        above[one].insert(list(above[one]).index(one), copy.deepcopy(one))
    elif kind == "double a label's name":
        label = pick(random, list(tree.iter("label")))
        ElementTree.SubElement(label, "name").text = pick(random, ["elk", *NAMES])
    elif kind == "move":
        above[one].remove(one)
        (tree if one in other.iter() or other in one.iter() else other).append(one)
    elif kind == "number":
        side = pick(random, [side for side in (*NUMERIC[thing.tag], "rotation", "z_order") if side != "points"])
        thing.set(side, pick(random, [*NUMBERS, "-90", "5e0", "1.5", "29.99", "12.5"]))
    elif kind == "points":
        thing.attrib = {"label": thing.get("label", ""), "points": pick(random, POINTS)}
        thing.tag = "polygon"
    elif kind == "remove an attribute":
        del thing.attrib[key]
    elif kind == "swap attributes":
        again = pick(random, [*thing.attrib])
        thing.attrib[key], thing.attrib[again] = thing.attrib[again], thing.attrib[key]
    elif kind == "attribute's text":
        thing.set(key, pick(random, TEXTS))
    elif kind == "label":
        thing.set("label", pick(random, [*TEXTS, "background", "__ignore__"]))
    elif kind == "text":
        pick(random, list(tree.iter("name"))).text = pick(random, TEXTS)
    elif kind == "name":
        image.set("name", pick(random, [*PATHS, *IMAGES]))
    elif kind == "subset":
        image.set("subset", pick(random, SUBSETS))
    elif kind == "size":
        image.set(pick(random, ["width", "height"]), pick(random, [*NUMBERS, "20", "30", "20.0"]))
    elif kind == "remove an attribute of the image":
        del image.attrib[pick(random, [*image.attrib])]
    elif kind == "rename":
        tags = [
            one.tag.upper(),
            one.tag.title(),
            one.tag + "s",
            "x",
            "image",
            "track",
            "box",
            "polyline",
            "tag",
            "label",
        ]
        one.tag = pick(random, tags)
    elif kind == "wrap":
        outer = ElementTree.Element(pick(random, ["annotations", "data"]))
        outer.append(tree)
        tree = outer
    elif kind == "namespace":
        one.tag = "{http://example.org/cvat}" + one.tag
    elif kind == "namespace everywhere":
        tree.set("xmlns", "http://example.org/cvat")
    elif kind == "a track":
        track = ElementTree.SubElement(tree, "track", {"id": "0", "label": "cat"})
        ElementTree.SubElement(
            track, "box", {"frame": "0", "outside": "0", "xtl": "1", "ytl": "1", "xbr": "5", "ybr": "5"}
        )
    elif kind == "open shapes":
        open_shape(random, image)
    elif kind == "shuffle attributes":
        keys = [[*thing.attrib][place] for place in random.permutation(len(thing.attrib))]
        thing.attrib = {name: thing.attrib[name] for name in keys}
    elif kind == "more attributes":
        thing.set(pick(random, ["group_id", "outside", "hidden", "keyframe"]), pick(random, ["0", "1", "x"]))
        image.set("task_id", "7")
    elif kind == "spaces around numbers":
        for side in NUMERIC[thing.tag]:
            thing.set(side, f" {thing.get(side)} ")
    made = ElementTree.tostring(tree, "utf-8")
    if kind == "comments":
        made = made.replace(b"<image", b"<!-- <image> --><image").replace(b"<box", b"<?x y?><box")
    elif kind == "entities":
        made = ENTITIES + made.replace(b'xtl="', b'xtl="&b;')
    elif kind == "spaces":
        made = made.replace(b"><", b">\r\n\t<")
    else:
        made = written(random, kind, made)
    return kind, made, KINDS[kind]


def open_shape(random: np.random.Generator, image: ElementTree.Element) -> None:
    """One more shape that bounds nothing."""
    tag = pick(random, OPEN)
    one = ElementTree.Element(tag, {"label": "cat", "points": "1,1;2,2"})
    if tag == "skeleton":
        ElementTree.SubElement(one, "points", {"label": "1", "outside": "1", "points": "1,1"})
    image.insert(int(random.integers(len(image) + 1)), one)


KINDS = {  # and whether they are harmless
    **dict.fromkeys(
        ("remove", "double", "double a label's name", "move", "number", "points", "swap attributes"), False
    ),
    **dict.fromkeys(("remove an attribute", "attribute's text", "label", "text", "name", "subset", "size"), False),
    **dict.fromkeys(("remove an attribute of the image", "rename", "wrap", "namespace", "namespace everywhere"), False),
    **dict.fromkeys(("a track", "entities", "wrong encoding", "deep", "two documents"), False),
    **dict.fromkeys(("shuffle attributes", "more attributes", "open shapes", "spaces around numbers"), True),
    **dict.fromkeys(("comments", "spaces", "doctype", "encoding"), True),
}


def of_boxes(root: Path) -> Reading:
    files = find_detection("cvat", "train", root)
    check_detection(files)
    dataset = DetectionDataset(files)
    kept = ("id", "image", "boxes", "labels")
    samples = [{key: dataset[at][key] for key in kept} for at in range(len(dataset))]
    return Reading([files.names, samples], files.notes)


def of_masks(root: Path) -> Reading:
    files = find_segmentation("cvat", "train", root)
    check_segmentation(files)
    dataset = SegmentationDataset(files)
    samples = [[dataset[at]["image"], dataset[at]["mask"]] for at in range(len(dataset))]
    return Reading([files.names[1:], samples], files.notes)


def theirs(top: Path, masks: bool, divided: bool) -> Reading:
    tree = ElementTree.fromstring((top / "annotations.xml").read_bytes())
    require(tree)
    names = [label.find("name").text.strip() for label in next(tree.iter("labels")).findall("label")]
    names = [name for name in names if name != "background"]
    if not all(names) or len({*names}) < len(names) or any(ord(letter) < 32 for name in names for letter in name):
        raise Refused(f"{names}")
    samples: list[Any] = []
    notes: list[str] = []
    subsets = [image.get("subset", "").lower() for image in tree.iter("image")]
    for image, subset in zip(tree.iter("image"), subsets, strict=True):
        if not divided and subset not in ("train", "training"):
            continue
        photo = np.array(Image.open(image_of(top, image)))
        if [image.get(side) for side in ("height", "width")] != [str(side) for side in photo.shape[:2]]:
            raise Refused(f"{image.attrib}")
        shapes = []
        for one in sorted(
            (child for child in image if child.tag != "tag"), key=lambda one: int(one.get("z_order", "0"))
        ):
            notes += [one.tag] if one.tag in OPEN else []
            if one.tag not in OPEN:
                points = outline(one)  # refuses what is no shape, of masks too
                shapes.append((one.attrib["label"].strip(), pixels(one) if masks and one.tag == "mask" else points))
        known = {"background": 0, "_background_": 0, "__ignore__": 255, **{n: at for at, n in enumerate(names, 1)}}
        if any(label not in known for label, _ in shapes):
            raise Refused(f"{shapes}")
        if masks:
            samples.append([photo, drawn([(known[label], points) for label, points in shapes], SIZE)])
            continue
        boxes, labels = [], []
        for label, points in shapes:
            (left, right), (low, high) = ((min(side), max(side)) for side in zip(*points, strict=True))
            box, why = clean([left, low, right, high], [right - left, high - low], SIZE)
            notes += [label] if label not in names else [why] if why else []
            if box is not None and label in names:
                boxes.append(box)
                labels.append(names.index(label))
        sample = {"id": image.get("name"), "image": photo, "boxes": np.array(boxes, np.float32).reshape(-1, 4)}
        samples.append(sample | {"labels": np.array(labels)})
    return Reading([names, samples], notes)


def require(tree: ElementTree.Element) -> None:
    """Refuse another format, and what lies where the format has it not."""
    every = list(tree.iter())
    if tree.tag != "annotations" or any("}" in one.tag for one in every) or tree.find("track") is not None:
        raise Refused("another format")
    images = tree.findall("image")
    shapes = [one for image in images for one in image]
    if not all(one.tag in (*NUMERIC, *OPEN) for one in shapes) or sum(1 for _ in tree.iter("image")) > len(images):
        raise Refused(f"{[one.tag for one in shapes]}")
    if sum(one.tag in NUMERIC for one in every) > sum(one.tag in NUMERIC for one in shapes):
        raise Refused("a shape out of its image")
    names = [image.attrib["name"] for image in images]
    for name in (*names, *(image.get("subset", "") for image in images)):
        if name.startswith("/") or ".." in name.split("/"):
            raise Refused(name)
    if len({*map(posixpath.normpath, names)}) < len(names):
        raise Refused(f"{names}")
    for label in next(tree.iter("labels")).findall("label"):
        if len(label.findall("name")) != 1 or len(label.find("name")):
            raise Refused("a label of two names")


def image_of(top: Path, image: ElementTree.Element) -> Path:
    name = image.attrib["name"]
    tries = [top / "images" / name, top / "images" / image.get("subset", "") / name, top / name]
    return next(path for path in tries if path.is_file())


def outline(one: ElementTree.Element) -> Points:
    """The corners of a shape, turned if it is."""
    text = one.get("points", "").replace(";", ",") if one.tag == "polygon" else ""
    texts = text.split(",") if text else [one.attrib[side] for side in NUMERIC[one.tag]]
    texts = [number.strip() for number in (*texts, one.get("rotation", "0"))]
    if not all(map(plain, texts)):
        raise Refused(f"{one.attrib}")
    *numbers, turn = map(float, texts)
    if not all(abs(number) < 1e9 for number in numbers) or not math.isfinite(turn):
        raise Refused(f"{one.attrib}")
    if turn and one.tag in ("polygon", "mask"):
        raise Refused("a rotation of what has none")
    if one.tag == "polygon":
        points: Any = [tuple(float(number) for number in pair.split(",")) for pair in one.attrib["points"].split(";")]
        if len(points) < 3 or {*map(len, points)} != {2}:
            raise Refused(f"{points}")
        return points
    first, second, third, fourth = numbers
    if one.tag == "ellipse":
        if min(third, fourth) < 0:
            raise Refused("half a side below 0")
        middle, points = (first, second), round_points(first, second, third, fourth)
    else:
        right, bottom = (third, fourth) if one.tag == "box" else (first + third, second + fourth)
        if right < first or bottom < second:
            raise Refused("inverted")
        middle = (first + right) / 2, (second + bottom) / 2
        points = [(first, second), (right, second), (right, bottom), (first, bottom)]
    return turned(points, middle, math.radians(turn)) if turn else points


def pixels(one: ElementTree.Element) -> np.ndarray:
    """What a brush covered."""
    left, top, width, height = (int(float(one.attrib[side])) for side in NUMERIC["mask"])
    texts = [text.strip(" \t\r\n") for text in one.get("rle", "").split(",")]
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
        raise Refused("no runs")
    covered = [bool(at % 2) for at, text in enumerate(texts) for _ in range(min(int(text), 10**4))]
    if len(covered) != width * height or min(width, height) < 1:
        raise Refused("another size")
    return placed([covered[row * width : (row + 1) * width] for row in range(height)], left, top, SIZE)


def turned(points: Points, middle: tuple[float, float], angle: float) -> Points:
    """Points turned clockwise on a screen, whose y runs downwards."""
    sine, cosine = math.sin(angle), math.cos(angle)
    shifted = [(x - middle[0], y - middle[1]) for x, y in points]
    return [(middle[0] + x * cosine - y * sine, middle[1] + x * sine + y * cosine) for x, y in shifted]
