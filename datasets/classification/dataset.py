"""Classification data: samples and batches of a split."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.classification.augment import AugmentClassification, CentreCrop, RandomCrop
from datasets.classification.augment_options import ClassificationAugmentation
from datasets.classification.files import ClassificationFiles
from datasets.images import read_image
from datasets.samples import Samples

Transform = Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]]


class ClassificationDataset(Samples):
    """Samples of one split, one by one or a batch at a time.

    `dataset[epoch, index]` is {"image": uint8 [H, W, 3] RGB, "label": int, "file": str}, with the transform but without
    the augmentation; `dataset[index]` is epoch 0. A loader reads batches of keys with `__getitems__`.

    Args:
        files: what to read.
        transform: what to do with an image, given epoch and index; None for images in memory, which have one size.
        augmentation: what to do with a batch, or None.
    """

    eval_batch = 64

    def __init__(
        self,
        files: ClassificationFiles,
        transform: Transform | None = None,
        augmentation: AugmentClassification | None = None,
    ) -> None:
        self.files, self.transform, self.augmentation = files, transform, augmentation
        self.labels = torch.from_numpy(files.labels)
        self.held = files.images is not None and transform is None
        self.images = torch.from_numpy(files.images) if files.images is not None and self.held else None

    def __len__(self) -> int:
        return len(self.files.image_paths)

    @property
    def paths(self) -> list[str]:
        return self.files.image_paths

    def to(self, device: torch.device) -> None:
        """Move images that are held in memory to a device, where batches are then made."""
        if self.images is not None:
            self.images, self.labels = self.images.to(device), self.labels.to(device)

    @staticmethod
    def collate(samples: Any) -> dict[str, Any]:
        """A batch that `__getitems__` made whole."""
        batch: dict[str, Any] = samples
        return batch

    def __getitem__(self, key: int | tuple[int, ...]) -> dict[str, Any]:
        epoch, index, *drawn = key if isinstance(key, tuple) else (0, key)
        (image,) = self.decoded(index)
        if self.transform is not None:
            image = self.transform(image, epoch, self.number(index, *drawn))
        return {"image": image, "label": int(self.files.labels[index]), "file": self.files.image_paths[index]}

    def read(self, index: int) -> tuple[NDArray[np.uint8]]:
        held = self.files.images
        return (read_image(Path(self.files.image_paths[index])) if held is None else held[index],)

    def __getitems__(self, keys: Sequence[tuple[int, ...]]) -> dict[str, Any]:
        """A batch of one epoch.

        Returns:
            "image": [N, 3, H, W] in channels_last memory, uint8, or float32 with values 0 to 255 once mixed; "label":
            int64 [N]; "target": float32 [N, classes], only with an augmentation; "file": a list of str.
        """
        epoch, index = keys[0][0], np.array([key[1] for key in keys])
        place = torch.from_numpy(index).to(self.labels.device)
        if self.images is not None:
            images = self.images[place]
        else:
            images = torch.from_numpy(np.stack([self[key]["image"] for key in keys]))
        images, labels = images.permute(0, 3, 1, 2), self.labels[place]
        batch = {"image": images, "label": labels, "file": [self.files.image_paths[item] for item in index]}
        if self.augmentation is not None:
            classes, numbers = len(self.files.names), np.array([self.number(*key[1:]) for key in keys])
            batch["image"], batch["target"] = self.augmentation(images, labels, classes, epoch, numbers)
        return batch


def training_samples(
    files: ClassificationFiles, size: tuple[int, int], augmentation: ClassificationAugmentation
) -> ClassificationDataset:
    """Images as they are trained on: shifted where they are held in memory, cropped at random where they are read.

    Args:
        files: a split.
        size: height and width of the samples.
        augmentation: what is done to them.
    """
    if augmentation.flip is None:
        augmentation = replace(augmentation, flip=0.5 if files.flips else 0.0)
    if files.images is not None:
        return ClassificationDataset(files, None, AugmentClassification(augmentation))
    crop = RandomCrop(size, augmentation.crop_area, augmentation.seed)
    return ClassificationDataset(files, crop.sample, AugmentClassification(replace(augmentation, shift=0)))


def evaluation_samples(files: ClassificationFiles, size: tuple[int, int], crop_ratio: float) -> ClassificationDataset:
    """Images as they are evaluated: the middle of each, and those in memory as they are.

    Args:
        files: a split.
        size: height and width of the samples.
        crop_ratio: see `CentreCrop`.
    """
    if files.size == size and crop_ratio == 1:
        return ClassificationDataset(files)
    return ClassificationDataset(files, CentreCrop(size, crop_ratio))
