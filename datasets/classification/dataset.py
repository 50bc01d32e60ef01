"""Classification data: which images belong to a split (CIFAR-10, MNIST, class folders, Shapes), and their batches."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datasets.classification.augment import CentreCrop, ClassificationAugmentation, RandomCrop
from datasets.classification.cifar import cifar10
from datasets.classification.files import ClassificationFiles, folder_classification, hold_out
from datasets.classification.mnist import mnist
from datasets.detection.augment import resize_image
from datasets.detection.coco import coco_detection
from datasets.download import download_cifar10, download_mnist
from datasets.files import DataError, read_image
from datasets.shapes import write_shapes

CLASSIFICATION_DATASETS = ("shapes", "cifar10", "mnist", "folder")
SPLITS = ("train", "val", "trainval", "test")
SHAPE_SIDE, LEAST_SIDE = 32, 16  # Shapes' objects are classified at this size, and told apart from this side up
Transform = Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]]


def find_classification(
    dataset: str, splits: Sequence[str], data_root: Path | None = None, download: bool = False
) -> list[ClassificationFiles]:
    """The images of some splits of a dataset, with all that is wrong with them in `faults`.

    Args:
        dataset: "shapes" (the objects of the Shapes set, written on first use), "cifar10" (class folders of small
            images, the original batches, or an archive of either), "mnist" (IDX files) or "folder" (ImageNet's
            layout: <split>/<class>/).
        splits: their names. CIFAR-10 and MNIST have "trainval" (all training images), "val" (every tenth of them),
            "train" (the others) and "test".
        data_root: where the data is; by default data/ and the dataset's name.
        download: fetch CIFAR-10 or MNIST if it is not there.

    Raises:
        DataError: if the dataset, its folder or a split is missing.
    """
    if dataset not in CLASSIFICATION_DATASETS:
        near = difflib.get_close_matches(dataset, CLASSIFICATION_DATASETS, 1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise DataError(f'there is no dataset "{dataset}"{hint} (there are {", ".join(CLASSIFICATION_DATASETS)})')
    if dataset == "folder":
        if data_root is None:
            raise DataError("--dataset folder needs --data-root DIR, where DIR holds train/<class>/ and val/<class>/")
        return [folder_classification(data_root, split) for split in splits]
    root = data_root or Path("data") / dataset
    if dataset == "shapes":
        write_shapes(root)
        return [shapes_objects(root, split) for split in splits]
    for split in splits:
        if split not in SPLITS:
            raise DataError(f"{root}: no split {split}; {dataset} has {', '.join(SPLITS)}")
    if download:
        (download_cifar10 if dataset == "cifar10" else download_mnist)(root)
    sources = {split: "test" if split == "test" else "train" for split in splits}
    if dataset == "cifar10":
        found = cifar10(root, set(sources.values()))
    else:
        found = {source: mnist(root, source) for source in set(sources.values())}
    return [found["test"] if split == "test" else hold_out(found["train"], split) for split in splits]


def shapes_objects(root: Path, split: str) -> ClassificationFiles:
    """The objects of a Shapes tree, each cut out by its box and stretched to one size."""
    files = coco_detection(root, split)
    images, labels, image_paths = [], [], []
    for path, objects in zip(files.image_paths, files.objects, strict=True):
        image = read_image(path)
        for number, (box, label) in enumerate(zip(objects.boxes.round().astype(int), objects.labels, strict=True)):
            left, top, right, bottom = box
            if min(right - left, bottom - top) >= LEAST_SIDE:
                images.append(resize_image(image[top:bottom, left:right], (SHAPE_SIDE, SHAPE_SIDE)))
                labels.append(int(label))
                image_paths.append(f"{path}#{number}")
    return ClassificationFiles(root, split, files.names, image_paths, np.array(labels), np.array(images))


class ClassificationDataset(Dataset[dict[str, Any]]):
    """Samples of one split, one by one or a batch at a time.

    `dataset[epoch, index]` is {"image": uint8 [H, W, 3] RGB, "label": int, "file": str}, with the transform but without
    the augmentation; `dataset[index]` is epoch 0. A loader reads batches of keys with `__getitems__`.

    Args:
        files: what to read.
        transform: what to do with an image, given epoch and index; None for images in memory, which have one size.
        augmentation: what to do with a batch, or None.
    """

    def __init__(
        self,
        files: ClassificationFiles,
        transform: Transform | None = None,
        augmentation: ClassificationAugmentation | None = None,
    ) -> None:
        self.files, self.transform, self.augmentation = files, transform, augmentation
        self.labels = torch.from_numpy(files.labels)
        held = files.images is not None and transform is None
        self.images = torch.from_numpy(files.images) if held else None

    def __len__(self) -> int:
        return len(self.files.image_paths)

    def to(self, device: torch.device) -> None:
        """Move images that are held in memory to a device, where batches are then made."""
        if self.images is not None:
            self.images, self.labels = self.images.to(device), self.labels.to(device)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        held = self.files.images
        image = read_image(Path(self.files.image_paths[index])) if held is None else held[index]
        if self.transform is not None:
            image = self.transform(image, epoch, index)
        return {"image": image, "label": int(self.files.labels[index]), "file": self.files.image_paths[index]}

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """A batch of one epoch.

        Returns:
            "image": [N, 3, H, W] in channels_last memory, uint8, or float32 with values 0 to 255 once mixed; "label":
            int64 [N]; "target": float32 [N, classes], only with an augmentation; "file": a list of str.
        """
        epoch, index = keys[0][0], np.array([index for _, index in keys])
        place = torch.from_numpy(index).to(self.labels.device)
        if self.images is not None:
            images = self.images[place]
        else:
            images = torch.from_numpy(np.stack([self[key]["image"] for key in keys]))
        images, labels = images.permute(0, 3, 1, 2), self.labels[place]
        batch = {"image": images, "label": labels, "file": [self.files.image_paths[item] for item in index]}
        if self.augmentation is not None:
            classes = len(self.files.names)
            batch["image"], batch["target"] = self.augmentation(images, labels, classes, epoch, index)
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
    if files.images is not None:
        return ClassificationDataset(files, None, augmentation)
    crop = RandomCrop(size, augmentation.crop_area, augmentation.seed)
    return ClassificationDataset(files, crop.sample, replace(augmentation, shift=0))


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
