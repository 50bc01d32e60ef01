"""What is looked for in boxes."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.detection.augment import DetectionAugmentation
from datasets.detection.boxes import box_iou
from datasets.detection.files import DetectionFiles, Objects, size_fault
from datasets.files import default_colours
from datasets.inspection import FAULTY, Finding, Inspected, Kind, Look, Sample, digest

SAME = 0.95  # intersection over union from which two boxes are taken for one
LIMITS = (32**2, 96**2)  # areas in pixels between COCO's small, medium and large objects

MISFIT = Kind("error", "annotation for another size", "Training stops at it: its boxes are for another image.")
DROPPED = "Training leaves the box out, and the object counts as background: draw it anew, or remove it."
UNSOUND = {
    "with NaN or infinite numbers dropped": Kind("warning", "box with NaN or infinite numbers", DROPPED),
    "with inverted corners dropped": Kind("warning", "box with inverted corners", DROPPED),
    "without area dropped": Kind("warning", "box without area", DROPPED),
    "wholly outside the image dropped": Kind("warning", "box outside its image", DROPPED),
    "reaching out of the image clipped": Kind(
        "warning", "box reaching out of its image", "It is clipped. If it is far out, it may be another image's."
    ),
}
TINY = Kind(
    "warning",
    "tiny box at the input size",
    "Training drops it, as there is next to nothing to see: enlarge --size, or cut the images into tiles; if it was "
    "drawn by accident, remove it.",
)
TWICE = Kind("warning", "box drawn twice", "It counts twice in training, and a miss twice in scores: remove one.")
TWO_CLASSES = Kind("warning", "box with two classes", "One of them is likely false.")
EMPTY = Kind("note", "image without boxes", "Good if there is nothing to see; not if it was yet to be labelled.")
OTHER = Kind("note", "of the annotations", "What readers put right or leave out.")


class InspectedDetection(Inspected):
    """A split of boxes; crowds are left out of everything, as in training.

    Args:
        files: the split.
        size: height and width that training resizes images to.

    Attributes:
        crowds: how many crowd regions there are.
    """

    def __init__(self, files: DetectionFiles, size: tuple[int, int]) -> None:
        super().__init__(files.root, files.split, files.names, files.image_paths)
        self.files, self.size = files, size
        self.colours = default_colours(len(files.names) + 1)[1:]
        headings = ("images", "boxes", "small", "medium", "large")
        self.columns = {name: np.zeros(len(files.names), dtype=np.int64) for name in headings}
        self.crowds = 0
        for objects in files.objects:
            self._count(objects)

    def _count(self, objects: Objects) -> None:
        classes = len(self.names)
        boxes = objects.at(~objects.crowd)
        counts = np.bincount(boxes.labels, minlength=classes)
        self.columns["images"] += counts > 0
        self.columns["boxes"] += counts
        for place, heading in enumerate(("small", "medium", "large")):
            inside = np.digitize(boxes.area, LIMITS) == place
            self.columns[heading] += np.bincount(boxes.labels[inside], minlength=classes)
        self.crowds += int(objects.crowd.sum())
        self.unlabelled += not len(boxes)

    def objects(self, index: int) -> Objects:
        """What training is given of an image's objects."""
        objects = self.files.objects[index]
        return objects.at(~objects.crowd)

    def sample(self, index: int) -> Sample:
        objects = self.objects(index)
        return Sample(self.read(index), None, objects.boxes, objects.labels)

    def examine(self, index: int, image: NDArray[np.uint8]) -> Look:
        objects, path, size = self.objects(index), self.files.image_paths[index], image.shape[:2]
        fault = size_fault(path, self.files.sizes[index], (size[0], size[1]))
        findings = [self.find(MISFIT, index, fault)] if fault else []
        findings += self._tiny(index, objects, size) + self._twice(index, objects)
        if not len(objects):
            findings.append(self.find(EMPTY, index, f"{path}: no boxes"))
        rows = np.concatenate([objects.labels[:, None].astype(np.float32), objects.boxes], axis=1)
        return Look(label=digest(rows[np.lexsort(rows.T)]), findings=findings)

    def knows_turn(self, index: int, orientation: int) -> bool:
        declared = self.files.sizes[index]
        return orientation >= 5 and declared is not None and declared[0] != declared[1]

    def _tiny(self, index: int, objects: Objects, size: Sequence[int]) -> list[Finding]:
        sides = (objects.boxes[:, 2:] - objects.boxes[:, :2]) * (self.size[1] / size[1], self.size[0] / size[0])
        least = DetectionAugmentation.min_size
        tiny = np.flatnonzero((sides < least).any(1))
        if not len(tiny):
            return []
        told = [f"{self.names[objects.labels[at]]} {sides[at, 0]:.1f}x{sides[at, 1]:.1f}" for at in tiny[:5]]
        rest = f" and {len(tiny) - 5} more" if len(tiny) > 5 else ""
        text = f"{self.images[index]}: under {least:g} pixels at {self.size[1]}x{self.size[0]}: {', '.join(told)}{rest}"
        return [self.find(TINY, index, text, objects.boxes[tiny].tolist(), len(tiny))]

    def _twice(self, index: int, objects: Objects) -> list[Finding]:
        boxes = objects.boxes
        alike = np.argwhere(np.triu(box_iou(boxes[:, None], boxes) >= SAME, 1))
        findings = []
        for one, other in alike.tolist():
            names = list(dict.fromkeys(self.names[objects.labels[at]] for at in (one, other)))
            place = ",".join(f"{number:.5g}" for number in boxes[one])
            text = f"{self.images[index]}: {' and '.join(names)} {place}"
            findings.append(self.find(TWICE if len(names) == 1 else TWO_CLASSES, index, text, [boxes[one]]))
        return findings

    def conclude(self) -> Iterator[Finding]:
        for fault in self.files.faults:
            yield Finding(FAULTY, fault, self.split)
        for index, unsound in enumerate(self.files.unsound):
            for box in unsound:
                corners = [box.corners] if np.isfinite(box.corners).all() else []
                yield self.find(UNSOUND[box.what], index, box.place, corners)
        for note in self.files.notes:
            if not any(f" {what}: " in note for what in UNSOUND):  # those are told box by box above
                yield Finding(OTHER, note, self.split)
