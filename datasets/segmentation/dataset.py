"""Segmentation data: samples read from a split's files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.faults import DataError
from datasets.files import IGNORE
from datasets.images import read_upright
from datasets.samples import Samples
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.masks import read_upright_mask

Transform = Callable[[NDArray[np.uint8], NDArray[np.uint8], int, int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def read_pair(files: SegmentationFiles, image_path: Path, drawn: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image as uint8 [H, W, 3] RGB and its mask as uint8 [H, W] of class indices and 255, both upright.

    Some tools show an image turned upright by its EXIF orientation while masks are drawn, and some do not. A turn by a
    quarter is told by the sides of the mask, if they differ; where they do not tell, an image whose orientation its
    mask has not too is a fault.

    Raises:
        DataError: if either cannot be read, their sides or orientations differ, or the mask has a value that is neither
            a class nor 255.
    """
    image, turned = read_upright(image_path)
    mask, mask_turned = read_upright_mask(drawn, files.mask_colours)
    fault = pair_fault(files, image_path, drawn, mask, image.shape[:2], (turned, mask_turned))
    if fault:
        raise DataError(fault[1])
    return image, mask


def pair_fault(
    files: SegmentationFiles,
    image: Path,
    drawn: Path,
    mask: NDArray[np.uint8],
    size: tuple[int, ...],
    turned: tuple[int, int],
) -> tuple[str, str] | None:
    """What `read_pair` refuses in a mask that can be read: "size", "turn" or "values", and the message.

    Args:
        files: the split.
        image: of the mask.
        drawn: the mask's file.
        mask: uint8 [H, W].
        size: height and width of the image.
        turned: EXIF orientation of the image and of the mask.
    """
    height, width = size
    if mask.shape != (height, width):
        other = f"{mask.shape[1]}x{mask.shape[0]}"
        return "size", f"{drawn}: {other}, but its image {image.name} is {width}x{height} once upright"
    told = turned[1] == 1 and turned[0] >= 5 and height != width
    if turned[0] != turned[1] and not told:
        return "turn", (
            f"{image}: EXIF orientation {turned[0]}, and its mask {drawn.name} has {turned[1]}, so that nothing "
            "tells whether the mask is for the upright image; save the image upright and without EXIF orientation"
        )
    if (mask + np.uint8(1)).max() > len(files.names):  # 255 becomes 0; most masks are sound, and pass in one look
        pixels = np.bincount(mask.ravel(), minlength=256)
        beyond = [value for value in np.flatnonzero(pixels) if len(files.names) <= value < IGNORE]
        values = ", ".join(f"{value} on {pixels[value]:,} pixels" for value in beyond[:3])
        classes = f"0 {files.names[0]} to {len(files.names) - 1} {files.names[-1]}"
        return "values", f"{drawn}: mask value {values}; classes are {classes}, and 255 for void"
    return None


class SegmentationDataset(Samples):
    """Samples of one split.

    `dataset[epoch, index]` is {"image": uint8 [H, W, 3] RGB, "mask": uint8 [H, W], "file": str, "size": (H, W) as on
    disk}; `dataset[index]` is epoch 0. The transform gets (image, mask, epoch, index) and nothing else to depend on.
    What `read_pair` refuses is an error on reading a sample.

    Args:
        files: what to read.
        transform: what to do with an image and its mask, or None.
    """

    def __init__(self, files: SegmentationFiles, transform: Transform | None = None) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files.pairs)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        image_path, drawn = self.files.pairs[index]
        image, mask = read_pair(self.files, image_path, drawn)
        size = image.shape[:2]
        if self.transform is not None:
            image, mask = self.transform(image, mask, epoch, index)
        return {"image": image, "mask": mask, "file": str(image_path), "size": size}

    @staticmethod
    def collate(samples: Any) -> dict[str, Any]:
        """`Samples.collate`, with "mask" uint8 [N, H, W]."""
        batch = Samples.collate(samples)
        batch["mask"] = torch.from_numpy(np.stack(batch["mask"]))
        return batch
