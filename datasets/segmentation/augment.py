"""Augmentation with albumentations: scale, crop, flip, colour, blur, as a function of (seed, epoch, index) alone."""

import os
import random
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would otherwise ask the internet for a newer one

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.files import IGNORE
from datasets.ranges import SIDE, check_options
from datasets.segmentation.augment_options import SegmentationAugmentation

cv2.setNumThreads(0)  # loader workers are the parallelism; OpenCV's own threads would fight over the same cores


class ScaleCrop(A.DualTransform):
    """Scale the image by a random factor and cut a crop out of it, in one resize of the part that is kept.

    Where the scaled image is smaller than the crop, it is placed at random on mid-grey, void in the mask.

    Args:
        crop: height and width of the result.
        scale: range of the factor, drawn evenly.

    Attributes:
        aim: row and column of a pixel that the crop must hold, or None.
    """

    aim: tuple[int, int] | None = None

    def __init__(self, crop: tuple[int, int], scale: tuple[float, float]) -> None:
        super().__init__(p=1.0)
        self.crop, self.scale = crop, scale

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        factor = self.py_random.uniform(*self.scale)
        windows = []
        for axis, (side, wanted) in enumerate(zip(params["shape"][:2], self.crop, strict=True)):
            taken = min(side, max(1, round(wanted / factor)))
            given = wanted if taken < side else min(wanted, max(1, round(side * factor)))
            first, last = 0, side - taken
            if self.aim is not None:
                first, last = max(first, self.aim[axis] - taken + 1), min(last, self.aim[axis])
            start, place = self.py_random.randint(first, last), self.py_random.randint(0, wanted - given)
            windows.append((start, taken, place, given))
        return {"windows": windows}

    def apply(self, img: NDArray[np.uint8], windows: Any, **_: Any) -> NDArray[np.uint8]:
        shrinks = windows[0][3] < windows[0][1]
        return self._resample(img, windows, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR, 127)

    def apply_to_mask(self, mask: NDArray[np.uint8], windows: Any, **_: Any) -> NDArray[np.uint8]:
        result = self._resample(mask, windows, cv2.INTER_NEAREST_EXACT, IGNORE)
        if self.aim is not None:  # which the nearest of a small object may not be, where it is made smaller
            (row, column), ((top, high, y, rows), (left, wide, x, columns)) = self.aim, windows
            result[y + (row - top) * rows // high, x + (column - left) * columns // wide] = mask[row, column]
        return result

    def _resample(self, array: NDArray[np.uint8], windows: Any, how: int, fill: int) -> NDArray[np.uint8]:
        (top, high, y, rows), (left, wide, x, columns) = windows
        part: Any = cv2.resize(array[top : top + high, left : left + wide], (columns, rows), interpolation=how)
        if (rows, columns) == self.crop:
            return part
        result = np.full((*self.crop, *array.shape[2:]), fill, dtype=array.dtype)
        result[y : y + rows, x : x + columns] = part
        return result


class AugmentSegmentation:
    """The transform of training.

    Args:
        options: what is done.
        crop: height and width of what the network sees, in pixels.
    """

    def __init__(self, options: SegmentationAugmentation, crop: tuple[int, int]) -> None:
        check_options(crop=(crop, *SIDE))
        self.seed = options.seed
        self.scale_crop = ScaleCrop(crop, options.scale)
        steps: list[Any] = [self.scale_crop]
        if options.flip:
            steps.append(A.HorizontalFlip(p=options.flip))
        if options.vertical_flip:
            steps.append(A.VerticalFlip(p=options.vertical_flip))
        if options.colour:
            jitter = (max(0.0, 1 - options.colour), 1 + options.colour)
            steps.append(A.ColorJitter(jitter, jitter, jitter, (-options.colour / 10, options.colour / 10), p=0.8))
        if options.blur:
            steps.append(A.GaussianBlur(blur_limit=(3, 5), p=options.blur))
        self.compose = A.Compose(steps)

    def __call__(
        self, image: NDArray[np.uint8], mask: NDArray[np.uint8], epoch: int, index: int, label: int | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Augment uint8 [H, W, 3] and uint8 [H, W] into the crop's size.

        With a label, the crop holds a pixel of that class, which the mask must have.
        """
        state = np.random.SeedSequence((self.seed, epoch, index)).generate_state(3)
        aim = None if label is None else _pixel(mask == label, np.random.default_rng(state[2]))
        self.scale_crop.aim = aim
        # one shared stream: seeding every step alike, as set_random_seed does, would tie their draws together
        self.compose.set_random_state(np.random.default_rng(state[0]), random.Random(int(state[1])))
        result = self.compose(image=image, mask=mask)
        return result["image"], result["mask"]


def _pixel(chosen: NDArray[np.bool_], random: np.random.Generator) -> tuple[int, int]:
    """Row and column of one of the pixels chosen, bool [H, W]."""
    row, column = divmod(int(random.choice(np.flatnonzero(chosen))), chosen.shape[1])
    return row, column
