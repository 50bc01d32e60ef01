"""Segmentation data: samples read from a split's files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.faults import DataError
from datasets.files import IGNORE
from datasets.images import read_image, read_upright
from datasets.samples import Samples
from datasets.segmentation.files import Drawn, SegmentationFiles
from datasets.segmentation.masks import read_upright_mask

Transform = Callable[..., tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def read_pair(
    files: SegmentationFiles, image_path: Path, drawn: Path | Drawn
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image as uint8 [H, W, 3] RGB and its mask as uint8 [H, W] of class indices and 255, both upright.

    Some tools show an image turned upright by its EXIF orientation while masks are drawn, and some do not. A turn by a
    quarter is told by the sides of the mask, if they differ; where they do not tell, an image whose orientation its
    mask has not too is a fault.

    Raises:
        DataError: if either cannot be read, their sides or orientations differ, or the mask has a value that is neither
            a class nor 255.
    """
    image, turned = read_upright(image_path)
    values, mask_turned = read_values(files, drawn, turned, image.shape[:2])
    fault = pair_fault(files, image_path, drawn, values, image.shape[:2], (turned, mask_turned))
    if fault:
        raise DataError(fault[1])
    return image, files.classes(values)


def read_values(
    files: SegmentationFiles, drawn: Path | Drawn, turned: int, size: tuple[int, ...]
) -> tuple[NDArray[np.uint8], int]:
    """What a mask's file holds, uint8 [H, W], before `files.classes`; and its EXIF orientation.

    Outlines are for the upright image, as the programs that draw them show it: they have the image's own orientation.

    Args:
        files: the split.
        drawn: the mask.
        turned: EXIF orientation of the image.
        size: height and width of the upright image.

    Raises:
        DataError: if it cannot be read, or outlines are for an image of another size.
    """
    if isinstance(drawn, Path):
        return read_upright_mask(drawn, files.mask_colours)
    return drawn.read((size[0], size[1])), turned


def pair_fault(
    files: SegmentationFiles,
    image: Path,
    drawn: Path | Drawn,
    values: NDArray[np.uint8],
    size: tuple[int, ...],
    turned: tuple[int, int],
) -> tuple[str, str] | None:
    """What `read_pair` refuses in a mask that can be read: "size", "turn" or "values", and the message.

    Args:
        files: the split.
        image: of the mask.
        drawn: the mask.
        values: of its file, uint8 [H, W].
        size: height and width of the image.
        turned: EXIF orientation of the image and of the mask.
    """
    height, width = size
    if values.shape != (height, width):
        other = f"{values.shape[1]}x{values.shape[0]}"
        return "size", f"{drawn}: {other}, but its image {image.name} is {width}x{height} once upright"
    told = turned[1] == 1 and turned[0] >= 5 and height != width
    if turned[0] != turned[1] and not told:
        return "turn", (
            f"{image}: EXIF orientation {turned[0]}, and its mask {Path(str(drawn)).name} has {turned[1]}, so that "
            "nothing tells whether the mask is for the upright image; save the image upright, without EXIF orientation"
        )
    # 255 becomes 0; most masks are sound, and pass in one look
    if (files.classes(values) + np.uint8(1)).max() > len(files.names):
        pixels = np.bincount(values.ravel(), minlength=256)
        classes = files.classes(np.arange(256, dtype=np.uint8))
        beyond = np.flatnonzero((pixels > 0) & (classes >= len(files.names)) & (classes < IGNORE))
        found = ", ".join(f"{value} on {pixels[value]:,} pixels" for value in beyond[:3])
        known = f"classes are 0 {files.names[0]} to {len(files.names) - 1} {files.names[-1]}, and 255 for void"
        if files.label_map is not None:
            known = "the label map has no class for it"
        return "values", f"{drawn}: mask value {found}; {known}"
    return None


class SegmentationDataset(Samples):
    """Samples of one split.

    `dataset[epoch, index]` is {"image": uint8 [H, W, 3] RGB, "mask": uint8 [H, W], "file": str, "size": (H, W) as on
    disk}; `dataset[index]` is epoch 0. The transform gets (image, mask, epoch, number), and the class that a sample is
    drawn for, and nothing else to depend on.
    What `read_pair` refuses is an error on reading a sample.

    Unlabelled images come behind the others, with a mask that is all void.

    Args:
        files: what to read.
        transform: what to do with an image and its mask, or None.
    """

    def __init__(self, files: SegmentationFiles, transform: Transform | None = None) -> None:
        self.files, self.transform = files, transform
        self.images = [image for image, _ in files.pairs] + files.unlabelled

    def __len__(self) -> int:
        return len(self.images)

    @property
    def paths(self) -> list[str]:
        return [*map(str, self.images)]

    def __getitem__(self, key: int | tuple[int, ...]) -> dict[str, Any]:
        epoch, index, *drawn = key if isinstance(key, tuple) else (0, key)
        image, mask = self.decoded(index)
        size = image.shape[:2]
        if self.transform is not None:
            image, mask = self.transform(image, mask, epoch, self.number(index, *drawn), *drawn[1:])
        return {"image": image, "mask": mask, "file": str(self.images[index]), "size": size}

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if index < len(self.files.pairs):
            return read_pair(self.files, *self.files.pairs[index])
        image = read_image(self.images[index])
        return image, np.full(image.shape[:2], IGNORE, dtype=np.uint8)

    @staticmethod
    def collate(samples: Any) -> dict[str, Any]:
        """`Samples.collate`, with "mask" uint8 [N, H, W]."""
        batch = Samples.collate(samples)
        batch["mask"] = torch.from_numpy(np.stack(batch["mask"]))
        return batch
