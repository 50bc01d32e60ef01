"""Detection data: samples read from a split's files."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.detection.augment import AugmentDetection, Augmented
from datasets.detection.files import DetectionFiles, Objects, size_fault
from datasets.faults import DataError
from datasets.images import read_image
from datasets.samples import Samples


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


class DetectionDataset(Samples):
    """Samples of one split.

    `dataset[epoch, index]` is {"image": uint8 [H, W, 3] RGB, "boxes": float32 [n, 4] corners in its pixels, "labels":
    int64 [n], "difficult" and "crowd": bool [n], "boxed": whether boxes are known, without which there are none,
    "file": str, "id": as in `files.ids`, "size": (H, W) as on disk, "tiny": how many boxes the transform dropped for
    being too small}; `dataset[index]` is epoch 0. Unlabelled images come behind the others.

    Args:
        files: what to read.
        transform: what to do with an image and its boxes, or None. An `AugmentDetection` with mosaic is handed the
            other images that it asks for.
        keep_crowds: keep the crowd regions among the boxes.

    Raises:
        DataError: on reading a sample, if its image cannot be read or has not the size that its annotation declares.
    """

    eval_batch = 8

    def __init__(
        self, files: DetectionFiles, transform: DetectionTransform | None = None, keep_crowds: bool = False
    ) -> None:
        self.files, self.transform, self.keep_crowds = files, transform, keep_crowds
        self.labelled = len(files.image_paths)
        self.images = files.image_paths + files.unlabelled

    def __len__(self) -> int:
        return len(self.images)

    @property
    def paths(self) -> list[str]:
        return [*map(str, self.images)]

    def __getitem__(self, key: int | tuple[int, ...]) -> dict[str, Any]:
        epoch, index, *drawn = key if isinstance(key, tuple) else (0, key)
        image, objects = self.decoded(index)
        number, size = self.number(index, *drawn), image.shape[:2]
        result, boxed = Augmented(image, objects.boxes, np.arange(len(objects))), index < self.labelled
        if isinstance(self.transform, AugmentDetection):
            partners = self.transform.partners(len(self), epoch, number)
            boxed = boxed and all(other < self.labelled for other in partners)
            others = [self.decoded(other) for other in partners]
            beside = [(other, there.boxes) for other, there in others]
            result = self.transform(image, objects.boxes, objects.labels, epoch, number, beside)
            objects = objects.joined([there for _, there in others])
        elif self.transform is not None:
            result = self.transform(image, objects.boxes, objects.labels, epoch, number)
        objects = objects.at(result.kept)
        return {
            "image": result.image,
            "boxes": result.boxes if boxed else result.boxes[:0],
            "labels": objects.labels if boxed else objects.labels[:0],
            "boxed": boxed,
            "difficult": objects.difficult,
            "crowd": objects.crowd,
            "file": str(self.images[index]),
            "id": self.files.ids[index] if index < self.labelled else None,
            "size": size,
            "tiny": result.tiny,
        }

    def read(self, index: int) -> tuple[NDArray[np.uint8], Objects]:
        if index >= self.labelled:
            return read_image(self.images[index]), Objects.none()
        image_path, objects = self.files.image_paths[index], self.files.objects[index]
        image = read_image(image_path)
        fault = size_fault(image_path, self.files.sizes[index], image.shape[:2])
        if fault:
            raise DataError(fault)
        return image, objects.at(~objects.crowd | self.keep_crowds)

    @staticmethod
    def collate(samples: Any) -> dict[str, Any]:
        """Stack samples of one size, with their boxes padded to the G of the image that has most, and to 1 at least.

        "image" is uint8 [N, 3, H, W] in channels_last memory; "boxes" float32 [N, G, 4] corners as shares of width and
        height, padded with 0; "labels" int64 [N, G], padded with -1; "boxed" bool [N]. Other entries become lists, an
        image an item.
        """
        batch = Samples.collate(samples)
        height, width = batch["image"].shape[2:]
        most = max(1, *(len(labels) for labels in batch["labels"]))
        boxes = np.zeros((len(samples), most, 4), dtype=np.float32)
        labels = np.full((len(samples), most), -1, dtype=np.int64)
        for row, sample in enumerate(samples):
            boxes[row, : len(sample["boxes"])] = sample["boxes"]
            labels[row, : len(sample["labels"])] = sample["labels"]
        batch["boxes"] = torch.from_numpy(boxes / np.array([width, height, width, height], dtype=np.float32))
        batch["labels"] = torch.from_numpy(labels)
        batch["boxed"] = torch.tensor(batch["boxed"])
        return batch
