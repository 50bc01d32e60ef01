"""Detection trees with YOLO's labels: a text file an image, one object a line in shares of its width and height."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from datasets.detection.drawn import DrawnImage, DrawnSplit, Points, Shape, rectangle
from datasets.detection.files import DetectionFiles, Rows
from datasets.faults import CONTROL, DataError, counted, one_line
from datasets.files import LONGEST, files_below, is_image, read_bytes, read_lines, refuse_doubles
from datasets.grouping import hold_out, own_split
from datasets.images import Size, upright_size

SLACK = 0.001  # by which shares leave 0 to 1 once they are rounded
LARGEST = 1_000_000  # bytes of a data.yaml, and characters of a line


@dataclass
class YoloSplit:
    """What the label files of a split say.

    Args:
        names: of the classes.
        image_paths: of its images.
        files: the label file of each, from the folder of labels on.
        sizes: height and width of each upright image; None if it cannot be read.
        objects: of each image, classes and corners in pixels, float64 [n, 2]: two of a box, more of a polygon.
        notes: what was left out, a line each.
        faults: a line each that names the file.
    """

    names: list[str]
    image_paths: list[Path]
    files: list[str]
    sizes: list[Size | None]
    objects: list[list[tuple[int, Points]]]
    notes: list[str]
    faults: list[str]


def yolo_split(root: Path, split: str, group_by: str | None = None) -> YoloSplit:
    """A split of a tree with images/<split> and labels/<split>, or <split>/images and <split>/labels.

    Without such sub-folders, every fifth image or group is "val" (see `hold_out`). A label file has its image's name
    and place, and lines "class cx cy width height", or "class x1 y1 x2 y2 x3 y3 ..." for a polygon. An image without a
    label file has no objects, and that is a note. Names of the classes are in data.yaml ("names", a list or numbers
    from 0 on, as many as "nc" if that is there), classes.txt, labels/classes.txt or labels.txt; paths in data.yaml are
    not read.

    Raises:
        DataError: if a folder, the split or the names are missing. Faults of single files are in `faults`.
    """
    names = _read_names(root)
    images, labels, divided = _folders(root, split, group_by)
    listed = [name for name in files_below(images) if is_image(PurePosixPath(name).name)]
    chosen = listed if divided else hold_out(listed, split, group_by, images)
    files = [f"{PurePosixPath(name).with_suffix('')}.txt" for name in chosen]
    twice = [name for name, count in Counter(files).items() if count > 1]
    faults = [f"{labels}: {line}" for line in counted(twice, "label file", "label files", "for several images")]
    image_paths = [images / name for name in chosen]
    sizes = [upright_size(path) for path in image_paths]
    objects: list[list[tuple[int, Points]]] = [[] for _ in files]
    bare = []
    for index, (name, size) in enumerate(zip(files, sizes, strict=True)):
        if not os.path.lexists(labels / name):
            bare.append(chosen[index])
            continue
        try:
            objects[index], wrong = _read(labels / name, len(names), size or (1, 1))
            faults += wrong
        except DataError as error:
            faults.append(str(error))
    notes = counted(bare, "image", "images", "without a label file, taken to be without objects")
    imaged = {f"{PurePosixPath(name).with_suffix('')}.txt" for name in listed} | {"classes.txt"}
    stray = [name for name in files_below(labels) if name.endswith(".txt") and name not in imaged]
    notes += counted(stray, "label file", "label files", "without an image left out")
    return YoloSplit(names, image_paths, files, sizes, objects, notes, faults)


def yolo_detection(root: Path, split: str, group_by: str | None = None) -> DetectionFiles:
    """The boxes of `yolo_split`, and those around its polygons.

    Raises:
        DataError: see there.
    """
    found, rows = yolo_split(root, split, group_by), Rows()
    for index, drawn in enumerate(found.objects):
        for label, points in drawn:
            first, last = points if len(points) == 2 else (points.min(0), points.max(0))
            rows.add(index, label, (*first.tolist(), *last.tolist()))
    corners = rows.numbers()
    spans = corners[:, 2:] - corners[:, :2]
    objects, more, unsound = rows.objects(corners, spans, found.sizes, found.files, found.names)
    ids: list[int | str] = [name.removesuffix(".txt") for name in found.files]
    categories = list(range(1, len(found.names) + 1))
    sizes: list[Size | None] = [None] * len(ids)
    notes, faults = found.notes + more, found.faults
    return DetectionFiles(
        root, split, found.names, found.image_paths, objects, ids, categories, sizes, faults, notes, unsound
    )


def yolo_shapes(root: Path, split: str, group_by: str | None = None) -> DrawnSplit:
    """The polygons of `yolo_split`, to draw masks of; boxes beside them are rectangles, and a note.

    Raises:
        DataError: see there, and if all of its objects are boxes.
    """
    found = yolo_split(root, split, group_by)
    images, boxed = [], list[str]()
    for path, file, size, objects in zip(found.image_paths, found.files, found.sizes, found.objects, strict=True):
        boxed += [file for _, points in objects if len(points) == 2]
        outlines = [rectangle(*points.ravel()) if len(points) == 2 else points for _, points in objects]
        shapes = [Shape(found.names[label], outline) for (label, _), outline in zip(objects, outlines, strict=True)]
        images.append(DrawnImage(file.removesuffix(".txt"), path, str(path), size, shapes))
    if boxed and len(boxed) == sum(map(len, found.objects)) and not found.faults:
        raise DataError(f"{root}: split {split} has boxes and no polygons to draw masks of; train_det reads boxes")
    names = [name for name in found.names if name != "background"]
    notes = found.notes + counted(boxed, "box", "boxes", "among polygons, whose whole rectangles are masks")
    return DrawnSplit(images, names, root, notes, found.faults)


def _folders(root: Path, split: str, group_by: str | None) -> tuple[Path, Path, bool]:
    """The folders of a split's images and labels, and whether the tree has splits."""
    if (root / "images").is_dir():
        inside = own_split(root / "images", split, group_by)
        images, labels = inside or root / "images", root / "labels" / (inside.name if inside else "")
    else:
        inside = own_split(root, split, group_by)
        images, labels = (inside or root) / "images", (inside or root) / "labels"
    for place in (images, labels):
        if not place.is_dir():
            raise DataError(f"{place}: no such folder; a YOLO tree has images/ and labels/")
    return images, labels, inside is not None


def _read(path: Path, classes: int, size: Size) -> tuple[list[tuple[int, Points]], list[str]]:
    """The objects of a label file, and its faults."""
    objects, faults = [], []
    height, width = size
    for number, line in enumerate(read_lines(path, LARGEST), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            label, points = _object(fields, classes)
        except ValueError as error:
            faults.append(f"{path}: line {number} {error}; correct it or remove it")
            continue
        objects.append((label, points * [width, height]))
    return objects, faults


def _object(fields: list[str], classes: int) -> tuple[int, Points]:
    """The class of a line, and the corners of a polygon, or two of a box, as shares of the sides, float64 [n, 2].

    Raises:
        ValueError: saying what is wrong with the line.
    """
    if len(fields) != 5 and not (len(fields) >= 7 and len(fields) % 2):
        raise ValueError(f"has {len(fields)} numbers, and a box has 5: class cx cy width height")
    number = fields[0]
    if not number.isascii() or not number.isdigit() or len(number) > 9 or int(number) >= classes:
        raise ValueError(f"has class {one_line(number, 20)}, and classes are 0 to {classes - 1}")
    try:
        numbers = np.array([float(field) for field in fields[1:] if field.isascii() and "_" not in field])
    except ValueError:
        numbers = np.array([])
    if len(numbers) < len(fields) - 1:
        raise ValueError("has something else than numbers in it")
    if not np.all((numbers >= -SLACK) & (numbers <= 1 + SLACK)):
        raise ValueError("has numbers outside of 0 to 1, and boxes are shares of the image's width and height")
    points = numbers.reshape(-1, 2)
    if len(points) == 2:
        middle, sides = points
        points = np.array([middle - sides / 2, middle + sides / 2])
    return int(number), points


def _read_names(root: Path) -> list[str]:
    """Names of the classes.

    Raises:
        DataError: if no file has them, or it is faulty.
    """
    for path in (root / "data.yaml", root / "data.yml"):
        if path.exists():
            return _names_of_yaml(path)
    for path in (root / "classes.txt", root / "labels" / "classes.txt", root / "labels.txt"):
        if path.exists():
            names = [line.strip() for line in "\n".join(read_lines(path)).rstrip().split("\n")]
            return _sound_names(path, names)
    raise DataError(f"{root / 'data.yaml'}: no such file, nor classes.txt; write one with the names of the classes")


def _names_of_yaml(path: Path) -> list[str]:
    content = read_bytes(path)
    if len(content) > LARGEST:
        raise DataError(f"{path}: has {len(content):,} bytes; is this the right file?")
    try:
        top = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.SafeLoader)  # builds nothing of what it says
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not YAML ({one_line(' '.join(str(error).split()))})") from None
    entries = top.value if isinstance(top, yaml.MappingNode) else []
    found, counts = ([value for key, value in entries if key.value == word] for word in ("names", "nc"))
    if len(found) != 1 or not isinstance(found[0], yaml.CollectionNode):
        raise DataError(f'{path}: has no list "names" of the classes, or two')
    if isinstance(found[0], yaml.MappingNode):
        numbered = {str(key.value): value for key, value in found[0].value}
        nodes = [numbered.get(str(number)) for number in range(len(found[0].value))]
    else:
        nodes = found[0].value
    wrong = [one_line(count.value, 20) for count in counts if str(count.value).strip() != str(len(nodes))]
    if wrong:
        raise DataError(f"{path}: has names of {len(nodes)} classes, but nc is {wrong[0]}; correct either")
    names = [node.value.strip() if isinstance(node, yaml.ScalarNode) else "" for node in nodes]
    return _sound_names(path, names)


def _sound_names(path: Path, names: list[str]) -> list[str]:
    """The names, if there is one in each place, as a class is told by its place."""
    if not names or not all(names) or any(len(name) > LONGEST or CONTROL.search(name) for name in names):
        raise DataError(f"{path}: must have a name for each class from 0 on, and at least one")
    refuse_doubles(path, names)
    return names
