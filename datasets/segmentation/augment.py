"""Augmentation with albumentations: scale, crop, flip, colour, blur, as a function of (seed, epoch, index) alone."""

import os
import random
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would otherwise ask the internet for a newer one

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.files import IGNORE, DataError
from datasets.ranges import SEED, SIDE, check_fields

RANGES = {"crop": SIDE, "scale": (0.1, 10), "flip": (0, 1), "colour": (0, 1), "blur": (0, 1), "seed": SEED}
cv2.setNumThreads(0)  # loader workers are the parallelism; OpenCV's own threads would fight over the same cores


class ScaleCrop(A.DualTransform):
    """Scale the image by a random factor and cut a crop out of it, in one resize of the part that is kept.

    Where the scaled image is smaller than the crop, it is placed at random on mid-grey, void in the mask.

    Args:
        crop: height and width of the result.
        scale: range of the factor, drawn evenly.
    """

    def __init__(self, crop: tuple[int, int], scale: tuple[float, float]) -> None:
        super().__init__(p=1.0)
        self.crop, self.scale = crop, scale

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        factor = self.py_random.uniform(*self.scale)
        windows = []
        for side, wanted in zip(params["shape"][:2], self.crop, strict=True):
            taken = min(side, max(1, round(wanted / factor)))
            given = wanted if taken < side else min(wanted, max(1, round(side * factor)))
            start, place = self.py_random.randint(0, side - taken), self.py_random.randint(0, wanted - given)
            windows.append((start, taken, place, given))
        return {"windows": windows}

    def apply(self, img: NDArray[np.uint8], windows: Any, **_: Any) -> NDArray[np.uint8]:
        shrinks = windows[0][3] < windows[0][1]
        return self._resample(img, windows, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR, 127)

    def apply_to_mask(self, mask: NDArray[np.uint8], windows: Any, **_: Any) -> NDArray[np.uint8]:
        return self._resample(mask, windows, cv2.INTER_NEAREST_EXACT, IGNORE)

    def _resample(self, array: NDArray[np.uint8], windows: Any, how: int, fill: int) -> NDArray[np.uint8]:
        (top, high, y, rows), (left, wide, x, columns) = windows
        part: Any = cv2.resize(array[top : top + high, left : left + wide], (columns, rows), interpolation=how)
        if (rows, columns) == self.crop:
            return part
        result = np.full((*self.crop, *array.shape[2:]), fill, dtype=array.dtype)
        result[y : y + rows, x : x + columns] = part
        return result


@dataclass(frozen=True)
class Augmentation:
    """What training does to an image and its mask. Strengths of 0 switch a part off.

    Args:
        crop: height and width of what the network sees, in pixels.
        scale: range of the random scale.
        flip: probability of a left-right flip.
        colour: strength of brightness, contrast and saturation jitter; hue moves by a tenth of it.
        blur: probability of a slight Gaussian blur.
        seed: of all random choices.

    Raises:
        DataError: for a value outside its range.
    """

    crop: tuple[int, int] = (512, 512)
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    colour: float = 0.4
    blur: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, RANGES)
        if self.scale[0] > self.scale[1]:
            raise DataError(f"--scale {self.scale[0]} {self.scale[1]}: give the smaller one first")
        steps: list[Any] = [ScaleCrop(self.crop, self.scale)]
        if self.flip:
            steps.append(A.HorizontalFlip(p=self.flip))
        if self.colour:
            jitter = (max(0.0, 1 - self.colour), 1 + self.colour)
            steps.append(A.ColorJitter(jitter, jitter, jitter, (-self.colour / 10, self.colour / 10), p=0.8))
        if self.blur:
            steps.append(A.GaussianBlur(blur_limit=(3, 5), p=self.blur))
        object.__setattr__(self, "_compose", A.Compose(steps))

    def __call__(
        self, image: NDArray[np.uint8], mask: NDArray[np.uint8], epoch: int, index: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Augment uint8 [H, W, 3] and uint8 [H, W] into the crop's size."""
        compose: A.Compose = self._compose  # type: ignore[attr-defined]
        state = np.random.SeedSequence((self.seed, epoch, index)).generate_state(2)
        # one shared stream: seeding every step alike, as set_random_seed does, would tie their draws together
        compose.set_random_state(np.random.default_rng(state[0]), random.Random(int(state[1])))
        result = compose(image=image, mask=mask)
        return result["image"], result["mask"]
