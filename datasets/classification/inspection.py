"""What is looked for in images with one label each."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from datasets.classification.files import ClassificationFiles
from datasets.inspection import FAULTY, TURNED, Finding, Inspected, Kind, Look


class InspectedClassification(Inspected):
    """A split of images with one label each."""

    turned = Kind("note", TURNED.what, "It is read upright, as viewers show it.")

    def __init__(self, files: ClassificationFiles, size: tuple[int, int] | None = None) -> None:
        super().__init__(files.root, files.split, files.names, files.image_paths)
        self.files = files
        self.columns = {"images": np.bincount(files.labels, minlength=len(files.names))}

    def read(self, index: int) -> NDArray[np.uint8]:
        return super().read(index) if self.files.images is None else self.files.images[index]

    def label(self, index: int) -> str:
        return self.names[self.files.labels[index]]

    def examine(self, index: int, image: NDArray[np.uint8]) -> Look:
        return Look(label=self.label(index).encode(errors="surrogateescape"))

    def conclude(self) -> Iterator[Finding]:
        for fault in self.files.faults:
            yield Finding(FAULTY, fault, self.split)
