"""Trees with an export of CVAT's, "CVAT for images 1.1": one annotations.xml for all images."""

import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from datasets.brushes import RunsBrush
from datasets.detection.coco_json import read_size
from datasets.detection.drawn import (
    DrawnImage,
    DrawnSplit,
    Points,
    Shape,
    ellipse,
    rectangle,
    require_finite,
    turned,
)
from datasets.detection.files import read_names
from datasets.detection.voc import parse_xml
from datasets.faults import CONTROL, DataError, counted, one_line
from datasets.files import is_inside, refuse_doubles
from datasets.grouping import VALIDATION, hold_out, own_split

OPEN = ("polyline", "points", "cuboid", "skeleton")  # shapes that are left out
CLOSED = ("box", "polygon", "ellipse", "mask")
SUBSETS = {"train": ("train", "training"), "val": VALIDATION, "test": ("test",)}


def cvat_split(root: Path, split: str, group_by: str | None = None) -> DrawnSplit:
    """A split of a tree with annotations.xml and images/, as CVAT exports it, or of one such tree a split.

    Splits are the subsets of a project's images (Train, Validation, Test) where the XML has any, or sub-folders with an
    annotations.xml each; otherwise every fifth image or group is "val" (see `hold_out`). Classes are those of
    labels.txt in the tree, or else the labels that the XML lists. Boxes, polygons, ellipses and masks are objects;
    polylines, points, cuboids and skeletons are left out, and so are tags of images.

    Raises:
        DataError: if the XML, the split or the names are missing, or it is another format of CVAT's. Faults of single
            images are in theirs.
    """
    path, inside = root / "annotations.xml", None
    if not path.is_file():
        inside = own_split(root, split, group_by)
        path = (inside or root) / "annotations.xml"
    tree = parse_xml(path)
    _require_format(path, tree)
    entries = tree.findall("image")
    names = [entry.get("name", "") for entry in entries]
    subsets = [entry.get("subset", "") for entry in entries]
    outside = [one_line(name) for name in names + subsets if not is_inside(name)]
    outside += ["" for name in names if not name]
    if outside:
        raise DataError(f"{path}: image name {outside[0]!r} leads out of the tree ({len(outside)} such); write it anew")
    twice = [str(name) for name, count in Counter(map(PurePosixPath, names)).items() if count > 1]  # a and ./a are one
    if twice:
        raise DataError(f"{path}: {counted(twice, 'image', 'images', 'listed more than once')[0]}")
    chosen = {*_choose(entries, names, split, group_by, path, inside is not None)}
    open_shapes: list[str] = []
    drawn = [_read(path, entry, open_shapes) for entry in entries if entry.get("name") in chosen]
    if not drawn:
        raise DataError(f'{path}: split "{split}" is empty: no images belong to it')
    notes = counted(open_shapes, "shape", "shapes", f"other than {', '.join(CLOSED)} left out")
    known = root / "labels.txt"
    if known.exists():
        return DrawnSplit(drawn, read_names(known), known, notes)
    return DrawnSplit(drawn, _labels(path, tree), path, notes)


def _require_format(path: Path, tree: Element) -> None:
    """Refuse another format, and images and shapes that lie where nothing would read them.

    Raises:
        DataError: if so.
    """
    tags = Counter(element.tag for element in tree.iter())
    if tree.tag != "annotations" or tree.find("track") is not None or any("}" in tag for tag in tags):
        raise DataError(f'{path}: is not of the format "CVAT for images 1.1"; export it anew in that format')
    for tag, place in (("image", "image"), *((tag, f"image/{tag}") for tag in CLOSED)):
        if len(tree.findall(place)) < tags[tag]:
            raise DataError(f"{path}: has <{tag}> elsewhere than in <annotations>/{place}; put each into its place")


def _choose(
    entries: list[Element], names: list[str], split: str, group_by: str | None, path: Path, divided: bool
) -> list[str]:
    """Names of the images of a split."""
    subsets = [entry.get("subset", "").lower() for entry in entries]
    there = sorted({*subsets} - {"", "default"})
    if divided or not there:
        return names if divided else hold_out(names, split, group_by, path)
    if group_by is not None:
        raise DataError(f"{path}: has subsets, {', '.join(map(one_line, there))}; leave out --group-by")
    wanted = SUBSETS.get(split, (split.lower(),))
    chosen = [name for name, subset in zip(names, subsets, strict=True) if subset in wanted]
    if not chosen:
        raise DataError(f"{path}: no such split, {split}; there are {', '.join(map(one_line, there))}")
    return chosen


def _labels(path: Path, tree: Element) -> list[str]:
    """Names of the labels that an XML lists, background apart."""
    labels = next(tree.iter("labels"), None)
    found = [] if labels is None else [label.findall("name") for label in labels.findall("label")]
    texts = [(name[0].text or "").strip() if len(name) == 1 and not len(name[0]) else "" for name in found]
    names = [name for name in texts if name != "background"]
    if not names or not all(names) or any(CONTROL.search(name) for name in names):
        raise DataError(f"{path}: lists no labels, or some without one name; write them into labels.txt, a line each")
    refuse_doubles(path, names)
    return names


def _read(path: Path, entry: Element, open_shapes: list[str]) -> DrawnImage:
    """The shapes of one image; `open_shapes` is told where some were left out."""
    name = entry.get("name", "")
    places = [folder / name for folder in (path.parent / "images" / entry.get("subset", ""), path.parent)]
    places.insert(0, path.parent / "images" / name)
    image = next((place for place in places if os.path.isfile(place)), places[0])
    numbers = {side: _whole(entry.get(side, "")) for side in ("height", "width")}
    drawn = DrawnImage(name, image, f"{path}, image {one_line(name)}", read_size(numbers))
    if drawn.size is None:
        drawn.faults.append("has no width and height")
    shapes = [child for child in entry if child.tag != "tag"]
    order = [_whole(child.get("z_order", "0")) for child in shapes]
    if None in order:
        drawn.faults.append("has a z_order that is no whole number")
    for at in sorted(range(len(shapes)), key=lambda at: order[at] or 0):  # later ones are in front of others
        child = shapes[at]
        if child.tag in OPEN:
            open_shapes.append(name)
            continue
        try:
            drawn.shapes.append(_shape(child))
        except ValueError as error:
            drawn.faults.append(f"{one_line(child.tag, 40)} {at + 1} {error}; draw it anew")
    return drawn


def _shape(child: Element) -> Shape:
    """One shape.

    Raises:
        ValueError: saying what is wrong with it.
    """
    label = child.get("label", "").strip()
    if child.tag not in CLOSED or not label:
        raise ValueError("has no label" if child.tag in CLOSED else "is no shape of CVAT's")
    width = height = 0.0
    brush = None
    if child.tag == "polygon":
        outline = _polygon(child.get("points", ""))
    elif child.tag == "ellipse":
        x, y, width, height = _numbers(child, "cx", "cy", "rx", "ry")
        outline = ellipse(x, y, width, height)
    elif child.tag == "box":
        left, top, right, bottom = _numbers(child, "xtl", "ytl", "xbr", "ybr")
        width, height = right - left, bottom - top
        outline = rectangle(left, top, right, bottom)
    else:
        left, top, width, height = _numbers(child, "left", "top", "width", "height")
        outline = rectangle(left, top, left + width, top + height)
        brush = RunsBrush(int(top), int(left), (int(height), int(width)), child.get("rle", ""))
    rotation = _number(child.get("rotation", "0"))
    if rotation and child.tag not in ("box", "ellipse"):
        raise ValueError("has a rotation, which boxes and ellipses alone have")
    outline = require_finite(turned(outline, rotation) if rotation else outline)
    if min(width, height) < 0:
        raise ValueError("has a width or height below 0")
    return Shape(label, outline, brush=brush)


def _polygon(text: str) -> Points:
    pairs = [pair.split(",") for pair in text.split(";")]
    if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
        raise ValueError("has no three points or more, such as 1,2;3,4;5,6")
    return np.array([[_number(number) for number in pair] for pair in pairs])


def _numbers(child: Element, *names: str) -> list[float]:
    return [_number(child.get(name, "")) for name in names]


def _number(text: str) -> float:
    """A number as CVAT writes it.

    Raises:
        ValueError: for anything else.
    """
    if not re.fullmatch(r"\s*-?[0-9]{1,12}(\.[0-9]{0,30})?(e-?[0-9]{1,2})?\s*", text):
        raise ValueError(f"has {one_line(text, 40)!r} where a number is wanted")
    return float(text)


def _whole(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?[0-9]{1,10}", text) else None
