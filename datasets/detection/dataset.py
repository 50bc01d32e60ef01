"""Detection data: which files belong to a split (Shapes, VOC trees, COCO json), and samples read from them."""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datasets.detection.augment import Augmented, DetectionAugmentation
from datasets.detection.coco import coco_detection
from datasets.detection.files import DetectionFiles, Objects, size_fault
from datasets.detection.voc import voc_0712, voc_detection
from datasets.download import download_voc2007, download_voc2012
from datasets.files import DataError, read_image
from datasets.ranges import COUNT, check_options
from datasets.shapes import write_shapes

DETECTION_DATASETS = ("shapes", "voc", "coco")


class DetectionTransform(Protocol):
    """What may be done to an image and its boxes, with nothing else to depend on."""

    def __call__(
        self,
        image: NDArray[np.uint8],
        boxes: NDArray[np.float32],
        labels: NDArray[np.int64],
        epoch: int,
        index: int,
        /,
    ) -> Augmented:
        """Transform uint8 [H, W, 3] and float32 [n, 4]; `labels` int64 [n] are for transforms that go by class."""


def find_detection(
    dataset: str,
    split: str,
    data_root: Path | None = None,
    download: bool = False,
    annotations: Path | None = None,
) -> DetectionFiles:
    """The files of one split of a dataset, with all that is wrong with its annotations in `faults`.

    Args:
        dataset: "shapes" (written on first use), "voc" (VOC 07+12, or any tree in the VOC layout with a labels.txt) or
            "coco" (annotations/instances_<split>.json and images).
        split: "train", "val", "test" or any other that the tree has.
        data_root: the tree; by default data/shapes or data/VOCdevkit. For VOC 07+12, the folder with VOC2007 and
            VOC2012, where "train" is trainval of both, and "val" and "test" are the test split of VOC2007.
        download: fetch VOC2007 and VOC2012 if they are not there.
        annotations: a COCO json that is not in the tree's folder annotations.

    Raises:
        DataError: if the dataset, the tree or the split is missing, or a json is none of COCO's.
    """
    if annotations is not None and dataset != "coco":
        raise DataError(f"{annotations}: only --dataset coco reads a json, and --dataset is {dataset}")
    if dataset == "shapes":
        root = data_root or Path("data/shapes")
        write_shapes(root)
        return coco_detection(root, split)
    if dataset == "voc":
        return _find_voc(data_root or Path("data/VOCdevkit"), split, download)
    if dataset == "coco":
        if data_root is None:
            raise DataError("--dataset coco needs --data-root DIR, where DIR holds annotations/ and the images")
        return coco_detection(data_root, split, annotations)
    near = difflib.get_close_matches(dataset, DETECTION_DATASETS, 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    raise DataError(f'there is no dataset "{dataset}"{hint} (there are {", ".join(DETECTION_DATASETS)})')


def _find_voc(root: Path, split: str, download: bool) -> DetectionFiles:
    if (root / "ImageSets").is_dir():
        return voc_detection(root, split)
    years = root / "VOC2007", root / "VOC2012"
    if download:
        download_voc2007(years[0])
        download_voc2012(years[1])
    if root.name == "VOCdevkit" or any(year.is_dir() for year in years):
        return voc_0712(root, split)
    return voc_detection(root, split)


class DetectionDataset(Dataset[dict[str, object]]):
    """Samples of one split.

    `dataset[epoch, index]` is {"image": uint8 [H, W, 3] RGB, "boxes": float32 [n, 4] corners in its pixels, "labels":
    int64 [n], "difficult" and "crowd": bool [n], "file": str, "id": as in `files.ids`, "size": (H, W) as on disk,
    "tiny": how many boxes the transform dropped for being too small}; `dataset[index]` is epoch 0.

    Args:
        files: what to read.
        transform: what to do with an image and its boxes, or None. A `DetectionAugmentation` with mosaic is handed the
            other images that it asks for.
        keep_crowds: keep the crowd regions among the boxes.

    Raises:
        DataError: on reading a sample, if its image cannot be read or has not the size that its annotation declares.
    """

    def __init__(
        self, files: DetectionFiles, transform: DetectionTransform | None = None, keep_crowds: bool = False
    ) -> None:
        self.files, self.transform, self.keep_crowds = files, transform, keep_crowds

    def __len__(self) -> int:
        return len(self.files.image_paths)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, object]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        image, objects = self._read(index)
        size = image.shape[:2]
        result = Augmented(image, objects.boxes, np.arange(len(objects)))
        if isinstance(self.transform, DetectionAugmentation):
            others = [self._read(other) for other in self.transform.partners(len(self), epoch, index)]
            beside = [(image_path, there.boxes) for image_path, there in others]
            result = self.transform(image, objects.boxes, objects.labels, epoch, index, beside)
            objects = objects.joined([there for _, there in others])
        elif self.transform is not None:
            result = self.transform(image, objects.boxes, objects.labels, epoch, index)
        objects = objects.at(result.kept)
        return {
            "image": result.image,
            "boxes": result.boxes,
            "labels": objects.labels,
            "difficult": objects.difficult,
            "crowd": objects.crowd,
            "file": str(self.files.image_paths[index]),
            "id": self.files.ids[index],
            "size": size,
            "tiny": result.tiny,
        }

    def _read(self, index: int) -> tuple[NDArray[np.uint8], Objects]:
        image_path, objects = self.files.image_paths[index], self.files.objects[index]
        image = read_image(image_path)
        fault = size_fault(image_path, self.files.sizes[index], image.shape[:2])
        if fault:
            raise DataError(fault)
        return image, objects.at(~objects.crowd | self.keep_crowds)


def limit_detection(files: DetectionFiles, most: int | None) -> DetectionFiles:
    """The first `most` images of a split, or all of them for None; faults and notes stay those of the whole split."""
    check_options(max_images=(most, *COUNT))
    return replace(
        files,
        image_paths=files.image_paths[:most],
        objects=files.objects[:most],
        ids=files.ids[:most],
        sizes=files.sizes[:most],
        unsound=files.unsound[:most],
    )
