"""What a classification split is: images with one label each, listed from class folders or held in memory."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.faults import DataError
from datasets.files import Colour, default_colours, is_image, walk

HELD_OUT = 10  # every tenth training image is for validation, where the data has no split of its own for it


@dataclass(frozen=True)
class ClassificationFiles:
    """One split, with an entry an image in `image_paths`, `labels` and `images`.

    Attributes:
        root: where the data is.
        split: its name.
        names: of the classes.
        image_paths: paths, or for images out of a larger file what they are called in messages.
        labels: int64 [N], indices into `names`.
        images: the images themselves, uint8 [N, H, W, 3] RGB, where all have one small size; None for the others,
            which are read from their paths when they are needed.
        flips: whether a mirrored image is of the same class, as digits are not.
        faults: what is wrong with the data, a line each; `check_classification` raises them.
    """

    root: Path
    split: str
    names: list[str]
    image_paths: list[str]
    labels: NDArray[np.int64]
    images: NDArray[np.uint8] | None = None
    faults: list[str] = field(default_factory=list)
    flips: bool = True

    @property
    def colours(self) -> list[Colour]:
        """Of the classes, for drawing."""
        return default_colours(len(self.names))

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of images that are held in memory."""
        return None if self.images is None else (self.images.shape[1], self.images.shape[2])

    def at(self, chosen: NDArray[np.int64]) -> "ClassificationFiles":
        """The images at indices, int64 [any]."""
        image_paths = [self.image_paths[index] for index in chosen]
        images = None if self.images is None else self.images[chosen]
        return replace(self, image_paths=image_paths, labels=self.labels[chosen], images=images)


def train_part(files: ClassificationFiles, split: str) -> ClassificationFiles:
    """The training images that `split` means.

    Args:
        files: all training images.
        split: "trainval" for all of them, "val" for every tenth, "train" for the others.
    """
    index = np.arange(len(files.image_paths))
    held = index % HELD_OUT == HELD_OUT - 1
    return replace(files if split == "trainval" else files.at(index[held == (split == "val")]), split=split)


def folder_classification(root: Path, split: str) -> ClassificationFiles:
    """A split of a tree in ImageNet's layout: root/<split>/<class>/, with images in any depth below the class.

    Raises:
        DataError: if there is no such split, or no class folder in it.
    """
    top = root / split
    if not top.is_dir():
        there = ", ".join(_folders(root)) if root.is_dir() else ""
        hint = f"there are {there}" if there else "class folders are expected in it: train/<class>/image.jpg"
        raise DataError(f"{top}: no such split; {hint}")
    names = _folders(top)
    if not names:
        raise DataError(f"{top}: no class folders in it; put the images of each class into {top / '<class>'}")
    images: list[str] = []
    counts = []
    for name in names:
        found = _images_below(top / name)
        images += found
        counts.append(len(found))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    faults = [f"{top / name}: no images of this class" for name in empty]
    labels = np.repeat(np.arange(len(names), dtype=np.int64), counts)
    return ClassificationFiles(root, split, names, images, labels, faults=faults)


def _folders(top: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(top) if os.path.isdir(entry) and not entry.name.startswith("."))


def _images_below(top: Path) -> list[str]:
    return sorted(os.path.join(folder, name) for folder, names in walk(top) for name in names if is_image(name))
