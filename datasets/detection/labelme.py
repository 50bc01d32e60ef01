"""Trees with labelme's annotations: a json beside each image."""

import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from datasets.brushes import PngBrush
from datasets.detection.coco_json import load_json, read_size
from datasets.detection.drawn import (
    NO_OBJECT,
    DrawnImage,
    DrawnSplit,
    Points,
    Shape,
    ellipse,
    rectangle,
)
from datasets.detection.files import read_names
from datasets.faults import DataError, counted, one_line
from datasets.files import files_below, is_image
from datasets.grouping import hold_out, own_split

OPEN = ("line", "linestrip", "point", "points")  # kinds of shapes that bound nothing
OUTLINED = ("polygon", "oriented_rectangle", "", None)


def labelme_split(root: Path, split: str, group_by: str | None = None) -> DrawnSplit:
    """A split of a tree with a json of labelme's for each image, and labels.txt with the names of the classes.

    Splits are sub-folders (train, val, test) where there are any; otherwise every fifth image or group is "val" (see
    `hold_out`). An image is looked for where its json says (imagePath), beside the json by that name, and by the json's
    own. Images without a json are left out, as nobody said that they hold nothing: for those, save a json without
    shapes. Rectangles, polygons, circles and brushed masks are objects, those of one label and group_id one object
    together; lines and points are left out.

    Raises:
        DataError: if the folder, the split or labels.txt is missing. Faults of single files are in those of the result.
    """
    inside = own_split(root, split, group_by)
    folder = inside or root
    found = files_below(folder)
    listed = [name for name in found if name.endswith(".json")]
    if not listed:
        raise DataError(f'{folder}: split "{split}" is empty: no json of labelme\'s in it')
    faults, open_shapes, drawn = [], list[str](), []
    for name in listed if inside else hold_out(listed, split, group_by, root):
        try:
            drawn.append(_read(root, folder, folder / name, open_shapes))
        except DataError as error:
            faults.append(str(error))
    twice = [str(path) for path, count in Counter(image.path for image in drawn).items() if count > 1]
    faults += [f"{folder}: {line}" for line in counted(twice, "image", "images", "that several json are for")]
    read, jsons = {image.path for image in drawn}, {*listed}
    bare = [name for name in found if is_image(PurePosixPath(name).name) and folder / name not in read]
    bare = [name for name in bare if str(PurePosixPath(name).with_suffix(".json")) not in jsons]
    notes = counted(bare, "image", "images", "without a json left out")
    notes += counted(open_shapes, "line or point", "lines and points", "left out")
    sizeless = [image.name for image in drawn if image.size is None]
    notes += counted(sizeless, "json", "json", "without imageWidth and imageHeight above 0, which are not compared")
    labels = root / "labels.txt"
    return DrawnSplit(drawn, _read_names(labels, drawn), labels, notes, faults)


def _read_names(path: Path, drawn: list[DrawnImage]) -> list[str]:
    """Names of labels.txt, but for labelme's own of background and void."""
    if not path.exists():
        there = sorted({shape.label for image in drawn for shape in image.shapes} - {*NO_OBJECT})
        known = f", such as {one_line(', '.join(there))}" if there else ""
        raise DataError(f"{path}: no such file; write one class name a line, without background{known}")
    names = [name for name in read_names(path) if name not in NO_OBJECT]
    if not names:
        raise DataError(f"{path}: no class names in it; write one a line, without background")
    return names


def _read(root: Path, folder: Path, path: Path, open_shapes: list[str]) -> DrawnImage:
    """The shapes of one json; `open_shapes` is told where some were left out.

    Raises:
        DataError: if it is none of labelme's, or its image is missing.
    """
    content = load_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise DataError(f'{path}: has no list "shapes"; is it another program\'s?')
    given, name = content.get("imagePath"), path.relative_to(folder).with_suffix("").as_posix()
    found = _find_image(root, path, given if isinstance(given, str) else "")
    size = read_size({"height": content.get("imageHeight"), "width": content.get("imageWidth")})
    image = DrawnImage(name, found, str(path), size)
    for number, entry in enumerate(content["shapes"], start=1):
        try:
            shape = _shape(entry)
        except ValueError as error:
            image.faults.append(f"shape {number} {error}; draw it anew")
            continue
        if shape is None:
            open_shapes.append(path.name)
        else:
            image.shapes.append(shape)
    return image


def _find_image(root: Path, path: Path, given: str) -> Path:
    """The image of a json, inside of the tree."""
    name = given.replace("\\", "/")
    told = Path(os.path.normpath(path.parent / name))
    places = [told] if name and Path(os.path.normpath(root)) in told.parents else []
    places += [path.parent / PurePosixPath(name).name] if name else []
    places += [path.with_suffix(suffix) for suffix in (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")]
    found = next((place for place in places if is_image(place.name) and os.path.isfile(place)), None)
    if found is None:
        raise DataError(f"{path}: its image {one_line(name or path.stem)} is not beside it, and imageData is not read")
    return found


def _shape(entry: Any) -> Shape | None:
    """One shape, or None for one that bounds nothing.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("label"), str) or not entry["label"].strip():
        raise ValueError("has no label")
    kind, group = entry.get("shape_type"), entry.get("group_id")
    if kind in OPEN:
        return None
    if type(group) not in (int, str, type(None)):
        raise ValueError(f"has group_id {one_line(group, 40)}, which is no number")
    points = _points(entry.get("points"))
    label = entry["label"].strip()
    if kind == "rectangle" and len(points) in (2, 4):
        return Shape(label, rectangle(*points.min(0), *points.max(0)), group)
    if kind == "mask" and len(points) in (2, 4):
        first, last = points.min(0), points.max(0) + 1  # the second point is the last pixel, and not beyond it
        return Shape(label, rectangle(*first, *last), group, _brush(entry.get("mask"), first, last))
    if kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        return Shape(label, ellipse(float(points[0, 0]), float(points[0, 1]), radius, radius), group)
    if kind in OUTLINED and len(points) >= 3:
        return Shape(label, points, group)
    raise ValueError(f"is a {one_line(kind, 40)} of {len(points)} points, which bound nothing")


def _brush(text: Any, first: Points, last: Points) -> PngBrush:
    (left, top), (right, bottom) = first.astype(int).tolist(), last.astype(int).tolist()  # as labelme has it
    return PngBrush(top, left, (bottom - top, right - left), text if isinstance(text, str) else "")


def _points(given: Any) -> Points:
    pairs = given if isinstance(given, list) else [None]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(number) in (int, float) for number in pair):
            raise ValueError("has points that are not lists of x and y")
        if not all(-1e9 < number < 1e9 for number in pair):  # before NumPy, which takes no integer beyond all floats
            raise ValueError("has coordinates that are no numbers, or beyond reason")
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)
