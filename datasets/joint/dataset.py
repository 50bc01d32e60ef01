"""Joint data: samples with a mask, boxes or both, read from a split's files."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.detection.augment import AugmentDetection, Resize
from datasets.detection.dataset import DetectionDataset
from datasets.detection.files import Objects
from datasets.files import IGNORE
from datasets.images import read_image
from datasets.joint.files import JointFiles
from datasets.samples import Samples
from datasets.segmentation.dataset import read_pair


class JointDataset(Samples):
    """Samples of one split.

    `dataset[epoch, index]` is that of a `DetectionDataset` without "id", and "mask": uint8 [H, W] of class indices, all
    of it 255 where the image has none; "boxed": whether the boxes are known, without which there are none.

    An epoch has every image once, in the order of `files.images`; with a share, every image with a mask once, and as
    many of those with boxes alone as make up the share, on from where the last epoch ended.

    Args:
        files: what to read.
        transform: of training, or of evaluation, which stretches the image and leaves the mask at its own size.

    Raises:
        DataError: on reading a sample, as of a `SegmentationDataset` and a `DetectionDataset`.
    """

    eval_batch = 8

    def __init__(self, files: JointFiles, transform: AugmentDetection | Resize) -> None:
        self.files, self.transform = files, transform
        self.boxes = DetectionDataset(files.boxes)
        self.images = files.images  # those with a mask first
        self.first = sum(image.mask is not None for image in self.images)
        self.others = self.extra = len(self.images) - self.first
        if files.share is not None and self.others:
            self.extra = round(self.first * files.share / (1 - files.share))

    def __len__(self) -> int:
        return self.first + self.extra

    @property
    def paths(self) -> list[str]:
        return [str(image.path) for image in self.images]

    @property
    def sources(self) -> int:
        return len(self.images)

    def __getitem__(self, key: int | tuple[int, ...]) -> dict[str, Any]:
        epoch, index, *drawn = key if isinstance(key, tuple) else (0, key)
        at, number = self._at(epoch, index), self.number(index, *drawn)
        image, boxes, mask, objects = self.decoded(at)
        boxed = self.images[at].boxes is not None
        if isinstance(self.transform, AugmentDetection):
            beside = [self._at(epoch, other) for other in self.transform.partners(len(self), epoch, number)]
            others = [self.decoded(other) for other in beside]
            boxed = boxed and all(self.images[other].boxes is not None for other in beside)
            parts = [other[:3] for other in others]
            result = self.transform(image, boxes, objects.labels, epoch, number, parts, mask)
            objects = objects.joined([other[3] for other in others])
        else:
            result = self.transform(image, boxes, objects.labels, epoch, number)._replace(mask=mask)
        objects = objects.at(result.kept)
        return {
            "image": result.image,
            "boxes": result.boxes if boxed else result.boxes[:0],
            "labels": objects.labels if boxed else objects.labels[:0],
            "difficult": objects.difficult,
            "crowd": objects.crowd,
            "mask": result.mask,
            "boxed": boxed,
            "file": str(self.images[at].path),
            "size": image.shape[:2],
            "tiny": result.tiny,
        }

    def _at(self, epoch: int, index: int) -> int:
        if index < self.first or self.files.share is None:
            return index
        return self.first + (epoch * self.extra + index - self.first) % self.others

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8], Objects]:
        """Image, boxes, mask and objects; of what is not labelled, no boxes and a mask of void."""
        image, objects = self.images[index], Objects.none()
        if image.boxes is not None:
            pixels, objects = self.boxes.read(image.boxes)
        if image.mask is not None:
            pixels, mask = read_pair(self.files.masks, *self.files.masks.pairs[image.mask])
        else:
            if image.boxes is None:
                pixels = read_image(image.path)
            mask = np.full(pixels.shape[:2], IGNORE, dtype=np.uint8)
        return pixels, objects.boxes, mask, objects

    @staticmethod
    def collate(samples: Any) -> dict[str, Any]:
        """`DetectionDataset.collate`, with "mask" uint8 [N, H, W] where all have one size."""
        batch = DetectionDataset.collate(samples)
        if len({mask.shape for mask in batch["mask"]}) == 1:
            batch["mask"] = torch.from_numpy(np.stack(batch["mask"]))
        return batch
