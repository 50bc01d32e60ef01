"""Which images belong to a classification split: CIFAR-10, MNIST, class folders, the objects of Shapes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.classification.cifar import cifar10
from datasets.classification.files import ClassificationFiles, folder_classification, train_part
from datasets.classification.mnist import mnist
from datasets.detection.coco import coco_detection
from datasets.download import download_cifar10, download_mnist
from datasets.faults import DataError, unknown_dataset
from datasets.grouping import refuse_unread
from datasets.images import read_image, resize_image
from datasets.ranges import COUNT, check_options
from datasets.shapes import write_shapes

DATASETS = ("shapes", "cifar10", "mnist", "folder")
SPLITS = ("train", "val", "trainval", "test")
SHAPE_SIDE, LEAST_SIDE = 32, 16  # Shapes' objects are classified at this size, and told apart from this side up


def find_files(
    dataset: str,
    splits: Sequence[str],
    data_root: Path | None = None,
    download: bool = False,
    group_by: str | None = None,
    classes: str | None = None,
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
        group_by: for other tasks.
        classes: for segmentation.

    Raises:
        DataError: if the dataset, its folder or a split is missing.
    """
    if dataset not in DATASETS:
        raise unknown_dataset(dataset, DATASETS)
    refuse_unread(dataset, group_by, classes)
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
    return [found["test"] if split == "test" else train_part(found["train"], split) for split in splits]


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


def limit_classification(files: ClassificationFiles, most: int | None) -> ClassificationFiles:
    """`most` images from all over a split, or all of them for None; images often lie sorted by class."""
    check_options(max_images=(most, *COUNT))
    count = len(files.image_paths)
    if most is None or count <= most:
        return files
    return files.at(np.linspace(0, count - 1, most).round().astype(np.int64))
