"""Outlines that people drew in labelme or CVAT, or exported for YOLO, read for boxes or for masks."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.brushes import Brush
from datasets.detection.files import DetectionFiles, Rows, unlisted
from datasets.faults import counted
from datasets.images import Size, upright_size

NO_OBJECT = {"background": 0, "_background_": 0, "__ignore__": 255}  # labels, and what they are in masks
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """What is drawn around one object, or a part of one.

    Args:
        label: its class.
        outline: corners in pixels, float64 [n, 2].
        group: what the parts of one object have in common; None for an object of one part.
        brush: the pixels, where it was drawn with a brush; the outline only bounds them then.
    """

    label: str
    outline: Points
    group: Any = None
    brush: Brush | None = None


@dataclass
class DrawnImage:
    """The shapes of one image.

    Args:
        name: of the image, from the tree on.
        path: of the image.
        source: file and entry, for messages.
        size: height and width that the annotation declares, or None.
        shapes: in its order.
        faults: of the annotation, each a part of a line.
    """

    name: str
    path: Path
    source: str
    size: Size | None
    shapes: list[Shape] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass
class DrawnSplit:
    """A split of drawn images.

    Args:
        images: with all that can be read.
        names: of the classes, without background.
        listed: the file that has the names.
        notes: what was left out, a line each.
        faults: of what cannot be read, a line each that names the file.
    """

    images: list[DrawnImage]
    names: list[str]
    listed: Path
    notes: list[str]
    faults: list[str] = field(default_factory=list)

    def all_faults(self) -> list[str]:
        """The faults of the split, and that of labels which are not listed."""
        counts = Counter(shape.label for image in self.images for shape in image.shapes)
        for name in (*self.names, *NO_OBJECT):
            counts.pop(name, None)
        return self.faults + unlisted(self.listed, counts)


def drawn_detection(root: Path, split: str, drawn: DrawnSplit) -> DetectionFiles:
    """The boxes around the shapes, where the parts of one object have one box."""
    rows, names = Rows(), drawn.names
    labels = {name: index for index, name in enumerate(names)}
    ignored = []
    faults = [f"{image.source}: {fault}" for image in drawn.images for fault in image.faults]
    faults += drawn.all_faults()
    for index, image in enumerate(drawn.images):
        for label, outline in _objects(image.shapes):
            if label in labels:
                rows.add(index, labels[label], (*outline.min(0).tolist(), *outline.max(0).tolist()))
            elif label in NO_OBJECT:
                ignored.append(image.name)
    notes = drawn.notes + counted(ignored, "shape", "shapes", "labelled background or __ignore__ left out")
    sizes = [image.size for image in drawn.images]
    limits = [image.size or upright_size(image.path) for image in drawn.images]
    corners = rows.numbers()
    ids: list[int | str] = [image.name for image in drawn.images]
    sources = [image.name for image in drawn.images]
    objects, more, unsound = rows.objects(corners, corners[:, 2:] - corners[:, :2], limits, sources, names)
    paths, categories = [image.path for image in drawn.images], list(range(1, len(names) + 1))
    return DetectionFiles(root, split, names, paths, objects, ids, categories, sizes, faults, notes + more, unsound)


def _objects(shapes: Sequence[Shape]) -> list[tuple[str, Points]]:
    """Label and corners of every object, in the order of their first parts."""
    parts: dict[Any, list[Points]] = defaultdict(list)
    for number, shape in enumerate(shapes):
        key = (shape.label, number, None) if shape.group is None else (shape.label, None, shape.group)
        parts[key].append(shape.outline)
    return [(key[0], np.concatenate(outlines)) for key, outlines in parts.items()]


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """The corners of a box, float64 [4, 2]."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)


def ellipse(x: float, y: float, width: float, height: float) -> Points:
    """Points around a centre at half a width and half a height, its outermost ones among them; float64 [64, 2]."""
    angles = np.arange(64) * (2 * np.pi / 64)
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


def turned(points: Points, degrees: float) -> Points:
    """Points turned clockwise, as images have it, around the middle of their bounds."""
    middle, angle = (points.min(0) + points.max(0)) / 2, np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    return (points - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle


def require_finite(points: Points) -> Points:
    """Refuse coordinates beyond reason.

    Raises:
        ValueError: if one is not between a thousand million below and above 0.
    """
    if not (np.abs(points) < 1e9).all():
        raise ValueError("has coordinates that are no numbers, or beyond reason")
    return points
