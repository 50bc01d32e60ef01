"""What is looked for in masks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.faults import DataError
from datasets.files import IGNORE
from datasets.images import read_header
from datasets.inspection import FAULTY, TURNED, Finding, Inspected, Kind, Look, Sample, digest
from datasets.segmentation.checks import binary_fault, void_fault
from datasets.segmentation.dataset import pair_fault, read_values
from datasets.segmentation.files import SegmentationFiles

UNUSABLE = Kind(
    "error", "mask cannot be read", "Training stops at it: save the mask anew, or give its colours in labels.txt."
)
MISFIT = Kind(
    "error",
    "mask and image differ in size",
    "Training stops at it: save both at one size. An image that EXIF turns counts as it is once upright.",
)
BEYOND = Kind(
    "error",
    "mask values that are no class",
    "Training stops at it: add the classes to labels.txt, or draw these pixels anew. They are magenta here.",
)
TURN = Kind(
    "error",
    "image and mask turned differently",
    "Training stops at it: by EXIF the image is turned in a way that its mask does not tell of. Save it upright.",
)
FAULTS = {"size": MISFIT, "values": BEYOND, "turn": TURN}
VOID = Kind("warning", "mask without any label", "Every pixel is void (255): nothing is learned from the image.")
OTHER = Kind("note", "of the annotations", "What readers leave out.")
EMPTY = Kind("note", "mask with background only", "Good if there is nothing to see; not if it was yet to be labelled.")


class InspectedSegmentation(Inspected):
    """A split of masks.

    Attributes:
        values: under "images" and "pixels", how many of them have each mask value, int64 [256].
        void: share of void pixels of every mask that could be read.
    """

    turned = Kind("note", TURNED.what, "It is read upright, as viewers show it.")

    def __init__(self, files: SegmentationFiles, size: tuple[int, int] | None = None) -> None:
        super().__init__(files.root, files.split, files.names, [image for image, _ in files.pairs])
        self.files, self.colours = files, files.colours
        self.values = {name: np.zeros(256, dtype=np.int64) for name in ("images", "pixels")}
        self.columns = {name: values[: len(files.names)] for name, values in self.values.items()}
        self.void: list[float] = []

    def sample(self, index: int) -> Sample:
        image = self.read(index)
        try:
            values, _ = read_values(self.files, self.files.pairs[index][1], 1, image.shape[:2])
            return Sample(image, self.files.classes(values))
        except DataError:
            return Sample(image)

    def examine(self, index: int, image: NDArray[np.uint8]) -> Look:
        image_path, drawn = self.files.pairs[index]
        header = read_header(image_path)
        orientation = header[1] if header else 1
        try:
            values, turned = read_values(self.files, drawn, orientation, image.shape[:2])
        except DataError as error:
            return Look(findings=[self.find(UNUSABLE, index, str(error))])
        mask = self.files.classes(values)
        pixels = np.bincount(mask.ravel(), minlength=256)
        findings = []
        fault = pair_fault(self.files, image_path, drawn, values, image.shape[:2], (orientation, turned))
        if fault:
            findings.append(self.find(FAULTS[fault[0]], index, fault[1]))
        there = np.flatnonzero(pixels[:IGNORE])
        if not len(there):
            findings.append(self.find(VOID, index, f"{drawn}: void everywhere"))
        elif there.tolist() == [0] and self.names[0] == "background":
            findings.append(self.find(EMPTY, index, f"{drawn}: background alone"))
        return Look(label=digest(mask), findings=findings, counts=pixels)

    def add(self, look: Look) -> None:
        pixels: Any = look.counts
        if pixels is not None:
            self.values["images"] += pixels > 0
            self.values["pixels"] += pixels
            self.void.append(float(pixels[IGNORE] / pixels.sum()))
            self.unlabelled += not pixels[:IGNORE].any()

    def conclude(self) -> Iterator[Finding]:
        pixels = self.values["pixels"]
        void = void_fault(self.files, pixels) if self.void else []
        for note in self.files.notes:
            yield Finding(OTHER, note, self.split)
        for fault in [*binary_fault(self.files, pixels), *void]:
            yield Finding(FAULTY, fault, self.split)
