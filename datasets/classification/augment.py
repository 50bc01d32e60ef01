"""Augmentation of images with a class: crops on reading, and whole batches in tensors on their own device.

Crop, shift, flip and erasing of an image are functions of (seed, epoch, index) alone, as in augment.py. What images
share with others of their batch (RandAugment's draws, the partners of mixup and cutmix) depends on the batch as well.
"""

import math
import random
from dataclasses import dataclass
from typing import Any

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from datasets.classification.augment_options import ClassificationAugmentation
from datasets.images import MEAN, resize_image

GROUP = 8  # images that share RandAugment's draws
DRAWS = 9  # random numbers an image: two for the shift, the flip, five for the erased window, the vertical flip


class RandomCrop(A.RandomResizedCrop):
    """A random part of an image stretched to one size (arXiv 1409.4842, Section 6).

    Args:
        size: height and width of the result.
        scale: range of the part's share of the image's area; its aspect ratio is between 3/4 and 4/3.
        seed: of all random choices.
    """

    def __init__(self, size: tuple[int, int], scale: tuple[float, float], seed: int) -> None:
        super().__init__(size, scale, p=1.0)
        self.seed = seed

    def sample(self, image: NDArray[np.uint8], epoch: int, index: int) -> NDArray[np.uint8]:
        """The crop of uint8 [H, W, 3] for that epoch and image."""
        state = np.random.SeedSequence((self.seed, epoch, index)).generate_state(2)
        self.set_random_state(np.random.default_rng(state[0]), random.Random(int(state[1])))
        return self(image=image)["image"]

    def apply(self, img: NDArray[np.uint8], crop_coords: tuple[int, int, int, int], **_: Any) -> NDArray[np.uint8]:
        left, top, right, bottom = crop_coords
        return resize_image(img[top:bottom, left:right], self.size)


@dataclass(frozen=True)
class CentreCrop:
    """The transform of evaluation: the middle of an image stretched to one size.

    Args:
        size: height and width of the result.
        crop_ratio: of the sides of the largest window with that aspect ratio, what is kept. With 1, an image that has
            the size already stays as it is.
    """

    size: tuple[int, int]
    crop_ratio: float = 1.0

    def __call__(self, image: NDArray[np.uint8], epoch: int = 0, index: int = 0) -> NDArray[np.uint8]:
        """Crop uint8 [H, W, 3]; it is the same in every epoch."""
        (height, width), size = image.shape[:2], self.size
        scale = self.crop_ratio * min(height / size[0], width / size[1])
        rows, columns = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        top, left = (height - rows) // 2, (width - columns) // 2
        return resize_image(image[top : top + rows, left : left + columns], size)


@dataclass(frozen=True)
class AugmentClassification:
    """What training does to batches.

    Args:
        options: what is done.
    """

    options: ClassificationAugmentation

    def __call__(
        self, images: Tensor, labels: Tensor, classes: int, epoch: int, index: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: uint8 [N, 3, H, W] on any device, best in channels_last memory.
            labels: int64 [N] on the same device.
            classes: how many there are.
            epoch: of training.
            index: int64 [N], the images' numbers in their split.

        Returns:
            The images, uint8 or, once mixed, float32 with values 0 to 255, and targets, float32 [N, classes].
        """
        draws = torch.from_numpy(draw(self.options.seed, epoch, index, DRAWS)).to(images.device)
        flip = 0.5 if self.options.flip is None else self.options.flip
        if self.options.shift or flip:
            images = shift_and_flip(images, draws[:, :3], self.options.shift, flip)
        if self.options.vertical_flip:
            turned = draws[:, 8] < self.options.vertical_flip
            images = torch.where(turned[:, None, None, None], images.flip(2), images)
        with torch.random.fork_rng(devices=[]):
            state = np.random.SeedSequence((self.options.seed, epoch, *index.tolist())).generate_state(1)
            torch.default_generator.manual_seed(int(state[0]))  # torch.manual_seed would seed the GPU's dropout too
            if self.options.randaugment:
                transform = v2.RandAugment(self.options.randaugment, self.options.magnitude, fill=list(MEAN))
                images = torch.cat([transform(group) for group in images.split(GROUP)])
            if self.options.erasing:
                images = erase(images, draws[:, 3:8], self.options.erasing)
            mixers = [(v2.MixUp, self.options.mixup), (v2.CutMix, self.options.cutmix)]
            chosen = [mixer(alpha=alpha, num_classes=classes) for mixer, alpha in mixers if alpha]
            if chosen:
                return v2.RandomChoice(chosen)(images.float(), labels)
        return images, F.one_hot(labels, classes).float()


def draw(seed: int, epoch: int, index: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """Random numbers in [0, 1) that depend on nothing but seed, epoch and image, float32 [N, count]."""
    return np.stack([np.random.default_rng((seed, epoch, one)).random(count, np.float32) for one in index.tolist()])


def shift_and_flip(images: Tensor, draws: Tensor, shift: int, flip: float) -> Tensor:
    """Move and mirror each image by its own draws, in one look-up of all pixels.

    Args:
        images: [N, C, H, W].
        draws: float32 [N, 3] in [0, 1): down, right, and whether it is mirrored.
        shift: pixels at most; what comes in from beyond an edge is the image mirrored there.
        flip: probability of the mirroring.
    """
    count, channels, height, width = images.shape
    moved = (draws[:, :2] * (2 * shift + 1)).long() - shift
    rows = _mirrored(torch.arange(height, device=images.device) + moved[:, :1], height)
    columns = _mirrored(torch.arange(width, device=images.device) + moved[:, 1:], width)
    columns = torch.where(draws[:, 2:] < flip, columns.flip(1), columns)
    first = torch.arange(count, device=images.device)[:, None, None] * (height * width)
    places = first + rows[:, :, None] * width + columns[:, None, :]
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, places.flatten())
    return pixels.view(count, height, width, channels).permute(0, 3, 1, 2)


def _mirrored(place: Tensor, length: int) -> Tensor:
    """Places beyond 0 and length - 1 reflected back, without repeating the edge."""
    return ((length - 1) - ((length - 1) - place.abs()).abs()).clamp(min=0)


def erase(images: Tensor, draws: Tensor, probability: float) -> Tensor:
    """Blot out a window of each image that is drawn: 0.02 to 0.33 of its area, 0.3 to 3.3 as high as wide.

    Args:
        images: [N, 3, H, W] with values 0 to 255.
        draws: float32 [N, 5] in [0, 1): whether, area, aspect ratio, and place.
        probability: of an image to be drawn.
    """
    height, width = images.shape[2:]
    area, aspect = 0.02 + draws[:, 1] * 0.31, torch.exp((2 * draws[:, 2] - 1) * math.log(10 / 3))
    inside = (draws[:, :1] < probability)[:, :, None]
    for axis, (length, side) in enumerate(((height, area * aspect), (width, area / aspect))):
        span = (side.sqrt() * length).round().clamp(1, length)
        start = (draws[:, 3 + axis] * (length - span + 1)).floor()
        place = torch.arange(length, device=images.device)
        hit = (place >= start[:, None]) & (place < (start + span)[:, None])
        inside = inside & (hit[:, :, None] if axis == 0 else hit[:, None, :])
    colour = torch.tensor(MEAN, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return torch.where(inside[:, None], colour, images)
