"""What a detection split is once its annotations are read: images, objects, faults, and boxes that were put right."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.faults import DataError, counted, one_line
from datasets.files import Colour, default_colours, read_label_lines, refuse_doubles, split_colour
from datasets.images import Size, read_header

NAMED = 10


@dataclass(frozen=True)
class Objects:
    """What one image holds, in the order of its annotation.

    Args:
        boxes: float32 [n, 4] corners x1, y1, x2, y2 in continuous pixels: an image spans 0 to width and 0 to height,
            so that VOC's xmin, ymin, xmax, ymax, which count pixels from 1, are xmin - 1, ymin - 1, xmax, ymax.
        labels: int64 [n], index into the names of the classes, which have no background.
        difficult: bool [n], as VOC has it.
        truncated: bool [n], as VOC has it.
        crowd: bool [n], as COCO has it: a region with several objects.
        area: float32 [n], COCO's area of the object where given, otherwise the box's.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    area: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def none(cls) -> "Objects":
        """Of an image without any."""
        flags = np.zeros(0, dtype=bool)
        boxes, area = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return cls(boxes, np.zeros(0, np.int64), flags, flags, flags, area)

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Objects":
        """The objects under a mask, bool [n], or at indices, int64 [any]."""
        return Objects(*(getattr(self, entry.name)[chosen] for entry in fields(self)))

    def joined(self, others: Sequence["Objects"]) -> "Objects":
        """These objects and then those of `others`, in order."""
        parts = [self, *others]
        return Objects(*(np.concatenate([getattr(part, entry.name) for part in parts]) for entry in fields(self)))


@dataclass(frozen=True)
class Unsound:
    """A box that was dropped or clipped.

    Args:
        label: index into the names of the classes.
        corners: x1, y1, x2, y2 in continuous pixels, before clipping; NaN where the file has no finite number.
        what: was wrong and done, as notes have it.
        place: file, class and numbers as the file has them.
    """

    label: int
    corners: tuple[float, ...]
    what: str
    place: str


@dataclass(frozen=True)
class DetectionFiles:
    """One split as files, with an entry an image in `image_paths`, `objects`, `ids`, `sizes` and `unsound`.

    Args:
        root: the tree.
        split: its name.
        names: of the classes, without background.
        image_paths: where the images are; that they are there is for the check to say.
        objects: what they hold.
        ids: the image id as in the COCO json, or the VOC stem.
        category_ids: the id of every class in the COCO json; 1 to n for VOC.
        sizes: height and width that the annotation declares, or None.
        faults: of the annotations, a line each that names the file; `check_detection` raises them with its own.
        notes: what was put right or may surprise, counted, a line each.
        unsound: the boxes that were dropped or clipped.
        unlabelled: more images to train on, of whose boxes nothing is known.
    """

    root: Path
    split: str
    names: list[str]
    image_paths: list[Path]
    objects: list[Objects]
    ids: list[int | str]
    category_ids: list[int]
    sizes: list[Size | None]
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unsound: list[list[Unsound]] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)

    def at(self, chosen: Sequence[int]) -> "DetectionFiles":
        """The images at some indices; faults and notes stay those of the whole split."""
        per_image = ["image_paths", "objects", "ids", "sizes", *(["unsound"] if self.unsound else [])]
        kept: dict[str, Any] = {name: [getattr(self, name)[index] for index in chosen] for name in per_image}
        return replace(self, **kept)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which images have boxes of which classes, crowds apart, bool [images, classes]."""
        present = np.zeros((len(self.objects), len(self.names)), dtype=bool)
        for row, objects in zip(present, self.objects, strict=True):
            row[objects.labels[~objects.crowd]] = True
        return present

    @property
    def colours(self) -> list[Colour]:
        """Of the classes, for drawing; the first of VOC's colour map is background's."""
        return default_colours(len(self.names) + 1)[1:]


@dataclass
class Rows:
    """The objects of a split as its annotations have them, a row each, in any order.

    `written` holds the four numbers of a box as its file has them; `image` is the index of its image.
    """

    image: list[int] = field(default_factory=list)
    written: list[tuple[float, ...]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    area: list[float] = field(default_factory=list)

    def add(
        self,
        image: int,
        label: int,
        written: tuple[float, ...],
        difficult: bool = False,
        truncated: bool = False,
        crowd: bool = False,
        area: float = float("nan"),
    ) -> None:
        """One more object; an area of NaN stands for the box's."""
        self.image.append(image)
        self.labels.append(label)
        self.written.append(written)
        self.difficult.append(difficult)
        self.truncated.append(truncated)
        self.crowd.append(crowd)
        self.area.append(area)

    def numbers(self) -> NDArray[np.float64]:
        """`written` as float64 [n, 4], with NaN for infinities, as they are dropped alike."""
        numbers = np.array(self.written, dtype=np.float64).reshape(-1, 4)
        return np.where(np.isfinite(numbers), numbers, np.nan)

    def objects(
        self,
        corners: NDArray[np.float64],
        spans: NDArray[np.float64],
        limits: Sequence[Size | None],
        sources: Sequence[str],
        names: Sequence[str],
    ) -> tuple[list[Objects], list[str], list[list[Unsound]]]:
        """The rows as objects of every image, without boxes that bound nothing, notes of what was done, and to which.

        Boxes are clipped to their image, silently up to a pixel, as that is what tools disagree about.

        Args:
            corners: float64 [n, 4], x1, y1, x2, y2 of every row in continuous pixels.
            spans: float64 [n, 2], width and height as the file means them. VOC's xmin = xmax is a box without area
                here, although it would be a pixel wide by VOC's own reading: nobody means such a box.
            limits: height and width of every image, or None where nobody knows.
            sources: of every image, the name that notes call it by.
            names: of the classes.
        """
        image = np.array(self.image, dtype=np.int64)
        extents = np.array([limit[::-1] if limit else (np.inf, np.inf) for limit in limits]).reshape(-1, 2)[image]
        clipped = corners.clip(0, np.tile(extents, 2))
        boxes = clipped.astype(np.float32)
        finite = np.all(np.isfinite(corners), axis=1)
        inverted = finite & np.any(spans < 0, axis=1)
        empty = finite & ~inverted & np.any(spans == 0, axis=1)
        sound = finite & ~inverted & ~empty
        outside = sound & np.any((corners[:, 2:] <= 0) | (corners[:, :2] >= extents), axis=1)
        sound &= ~outside
        sliver = sound & np.any(boxes[:, 2:] <= boxes[:, :2], axis=1)  # too thin for float32
        sound &= ~sliver
        beyond = sound & np.any(np.abs(clipped - corners) > 1, axis=1)

        unsound: list[list[Unsound]] = [[] for _ in limits]

        def note(rows: NDArray[np.bool_], what: str) -> list[str]:
            chosen = np.flatnonzero(rows).tolist()
            places = [self._place(row, sources, names) for row in chosen]
            for row, place in zip(chosen, places, strict=True):
                box = Unsound(self.labels[row], tuple(corners[row].tolist()), what, place)
                unsound[self.image[row]].append(box)
            return counted(places, "box", "boxes", what)

        notes = [
            *note(~finite, "with NaN or infinite numbers dropped"),
            *note(inverted, "with inverted corners dropped"),
            *note(empty | sliver, "without area dropped"),
            *note(outside, "wholly outside the image dropped"),
            *note(beyond, "reaching out of the image clipped"),
        ]
        area = np.array(self.area, dtype=np.float32)
        columns: list[NDArray[Any]] = [
            boxes,
            np.array(self.labels, dtype=np.int64),
            np.array(self.difficult, dtype=bool),
            np.array(self.truncated, dtype=bool),
            np.array(self.crowd, dtype=bool),
            np.where(np.isnan(area), (boxes[:, 2:] - boxes[:, :2]).prod(1), area),
        ]
        kept = np.flatnonzero(sound)
        kept = kept[np.argsort(image[kept], kind="stable")]
        ends = np.bincount(image[kept], minlength=len(limits)).cumsum()[:-1]
        parts = [np.split(column[kept], ends) for column in columns]
        return [Objects(*part) for part in zip(*parts, strict=True)][: len(limits)], notes, unsound

    def _place(self, row: int, sources: Sequence[str], names: Sequence[str]) -> str:
        numbers = ",".join(f"{number:.10g}" for number in self.written[row])
        return f"{sources[self.image[row]]} ({names[self.labels[row]]} {numbers})"


def unlisted(source: Path, counts: Counter[str]) -> list[str]:
    """One fault for the classes that annotations have and `source` has not, with their numbers of boxes, or none."""
    if not counts:
        return []
    boxes = [f"{one_line(name)} ({n} {'box' if n == 1 else 'boxes'})" for name, n in counts.most_common(NAMED)]
    classes = ", ".join(boxes) + (f" and {len(counts) - NAMED} more" if len(counts) > NAMED else "")
    return [f"{source}: annotations have classes that are not listed: {classes}; add them to labels.txt or rename them"]


def read_names(path: Path) -> list[str]:
    """Class names of a labels.txt, a line each.

    A leading "background", colours and mask values ("name R G B = 7 8") are left out, so that a segmentation tree's
    labels.txt serves too.

    Raises:
        DataError: if the file is missing or empty, or names a class twice.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; write one class name a line, without background")
    names = [split_colour(line)[0] for line in read_label_lines(path).classes]
    if names[:1] == ["background"]:
        del names[0]
    if not names:
        raise DataError(f"{path}: no class names in it; write one a line, without background")
    refuse_doubles(path, names)
    return names


def size_fault(image: Path, declared: Size | None, actual: Size) -> str | None:
    """What is wrong if an annotation declares another height and width than its image has once upright."""
    if declared is None or declared == actual:
        return None
    header = read_header(image)
    if header is not None and header[1] != 1 and declared == header[0]:
        return (
            f"{image}: is {actual[1]}x{actual[0]} once turned upright by its EXIF orientation, but its boxes are for "
            f"the unrotated {declared[1]}x{declared[0]}; save the image without EXIF orientation, or draw the boxes "
            "anew"
        )
    return (
        f"{image}: is {actual[1]}x{actual[0]}, but its annotation is for an image of {declared[1]}x{declared[0]}; "
        "put the right image or the right annotation in place"
    )
