"""Augmentation of images with boxes: SSD's expand and crop in one resize, flip, colour, mosaic; and plain resizing.

As in augment.py, a sample is a function of (seed, epoch, index) alone.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.detection.augment_options import DetectionAugmentation
from datasets.detection.boxes import box_iou
from datasets.files import IGNORE
from datasets.images import MEAN, resize_image, resize_mask
from datasets.ranges import SIDE, check_options

OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
TRIALS = 50
Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]


class Augmented(NamedTuple):
    """What a transform makes of an image: uint8 [H, W, 3], and its boxes, float32 [n, 4] corners in pixels.

    `kept` int64 [n] holds the index that each box had before; `tiny` is how many were dropped for being too small;
    `mask` uint8 [H, W] is the image's, where it has one.
    """

    image: Image
    boxes: Boxes
    kept: NDArray[np.int64]
    tiny: int = 0
    mask: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Resize:
    """The transform of evaluation: an image and its boxes stretched to `size`, height and width in pixels."""

    size: tuple[int, int]

    def __call__(self, image: Image, boxes: Boxes, labels: NDArray[np.int64], epoch: int, index: int) -> Augmented:
        """Stretch uint8 [H, W, 3] and float32 [n, 4]; no box is lost."""
        (height, width), (rows, columns) = image.shape[:2], self.size
        scale = np.array([columns / width, rows / height] * 2)
        return Augmented(resize_image(image, self.size), (boxes * scale).astype(np.float32), np.arange(len(boxes)))


class SampleWindow(A.DualTransform):
    """SSD's expand and crop (arXiv 1512.02325, Sections 2.2 and 3.6), and the resize to the network's input, in one.

    Expand puts the image at random on a larger canvas of the mean colour. The crop is a patch of 0.3 to 1 of the
    canvas's width and of its height, with an aspect ratio between 1/2 and 2, that overlaps at least one object by 0.1,
    0.3, 0.5, 0.7 or 0.9 (Jaccard), or anyhow; where 50 trials find none, the whole canvas stays. The window so chosen
    is stretched to `size` in one resize of the part of the image that it shows. Boxes whose centre it shows are kept
    and clipped to it; an image without boxes counts as one object.

    Args:
        size: height and width of the result.
        iou_crop: probability of the crop.
        expand: probability of the canvas.
        expand_ratio: its greatest side, in sides of the image.
    """

    def __init__(self, size: tuple[int, int], iou_crop: float, expand: float, expand_ratio: float) -> None:
        super().__init__(p=1.0)
        self.size, self.iou_crop, self.expand, self.expand_ratio = size, iou_crop, expand, expand_ratio

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        height, width = params["shape"][:2]
        boxes = data["bboxes"][:, :4] * [width, height, width, height]
        window = self._choose(np.array([width, height]), boxes)
        left, top, right, bottom = (int(side) for side in window)
        return {
            "window": window,
            "columns": _place(left, right, width, self.size[1]),
            "rows": _place(top, bottom, height, self.size[0]),
        }

    def _choose(self, sides: NDArray[np.int64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The window as whole pixels x1, y1, x2, y2, which may lie outside the image; float64 [4]."""
        draw = self.random_generator
        canvas = np.array([0, 0, *sides], dtype=np.float64)
        if draw.random() < self.expand:
            larger = np.round(sides * draw.uniform(1, self.expand_ratio))
            start = np.round(draw.uniform(0, 1, 2) * (sides - larger))
            canvas = np.concatenate([start, start + larger])
        if draw.random() >= self.iou_crop:
            return canvas
        least = draw.choice(OVERLAPS)
        whole = canvas[2:] - canvas[:2]
        spans = np.maximum(1, np.round(whole * draw.uniform(0.3, 1, (TRIALS, 2))))
        starts = canvas[:2] + np.round((whole - spans) * draw.uniform(0, 1, (TRIALS, 2)))
        windows = np.concatenate([starts, starts + spans], axis=1)
        aspect = spans[:, 0] / spans[:, 1]
        objects = boxes if len(boxes) else np.array([[0, 0, *sides]])
        shared = np.where(_shows(windows, objects), box_iou(windows[:, None], objects), -1.0)
        fits = (aspect >= 0.5) & (aspect <= 2) & (shared.max(1) >= least)
        return windows[fits.argmax()] if fits.any() else canvas

    def apply(self, img: Image, columns: Any, rows: Any, **_: Any) -> Image:
        return self._resample(img, columns, rows, resize_image, MEAN)

    def apply_to_mask(self, mask: NDArray[np.uint8], columns: Any, rows: Any, **_: Any) -> NDArray[np.uint8]:
        return self._resample(mask, columns, rows, resize_mask, IGNORE)

    def _resample(self, array: NDArray[np.uint8], columns: Any, rows: Any, resize: Any, fill: Any) -> NDArray[np.uint8]:
        (left, right, x, end), (top, bottom, y, below) = columns, rows
        part: NDArray[np.uint8] = resize(array[top:bottom, left:right], (below - y, end - x))
        if part.shape[:2] == self.size:
            return part
        result = np.full((*self.size, *array.shape[2:]), fill, dtype=np.uint8)
        result[y:below, x:end] = part
        return result

    def apply_to_bboxes(
        self, bboxes: NDArray[np.float64], window: NDArray[np.float64], columns: Any, rows: Any, shape: Any, **_: Any
    ) -> NDArray[np.float64]:
        result = bboxes.copy()  # in shares of width and height, and a column that says which box it is
        for axis, (start, stop, place, end) in enumerate((columns, rows)):
            pixels = bboxes[:, [axis, axis + 2]] * shape[1 - axis]
            wanted = self.size[1 - axis]
            moved = (pixels - start) * ((end - place) / (stop - start)) + place
            result[:, [axis, axis + 2]] = moved.clip(0, wanted) / wanted
        pixels = bboxes[:, :4] * np.tile(shape[1::-1], 2)
        return result[_shows(window[None], pixels)[0]]


def _place(start: int, stop: int, side: int, wanted: int) -> tuple[int, int, int, int]:
    """Along one axis: the part of the image that a window shows, and where it comes to lie in the result."""
    first, last = max(0, start), min(side, stop)
    scale = wanted / (stop - start)
    place = min(round((first - start) * scale), wanted - 1)
    return first, last, place, max(place + 1, round((last - start) * scale))


def _shows(windows: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each window has the centre of each box: bool [windows, boxes]."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.all((centres > windows[:, None, :2]) & (centres < windows[:, None, 2:]), axis=2)


class AugmentDetection:
    """The transform of training.

    Args:
        options: what is done.
        size: height and width of what the network sees, in pixels.
    """

    def __init__(self, options: DetectionAugmentation, size: tuple[int, int]) -> None:
        check_options(size=(size, *SIDE))
        self.options, self.size = options, size
        grid = (2 * size[0], 2 * size[1])
        fill = {"fill": MEAN, "fill_mask": IGNORE}
        mosaic = A.Mosaic((2, 2), grid, size, fit_mode="contain", interpolation=cv2.INTER_AREA, **fill, p=1.0)
        self.single, self.mosaic = self._steps([], options.expand), self._steps([mosaic], 0.0)

    def _steps(self, first: list[Any], expand: float) -> A.Compose:
        options = self.options
        steps = [*first, SampleWindow(self.size, options.iou_crop, expand, options.expand_ratio)]
        if options.flip:
            steps.append(A.HorizontalFlip(p=options.flip))
        if options.vertical_flip:
            steps.append(A.VerticalFlip(p=options.vertical_flip))
        if options.colour:
            jitter = (max(0.0, 1 - options.colour), 1 + options.colour)
            steps.append(A.ColorJitter(jitter, jitter, jitter, (-options.colour / 10, options.colour / 10), p=0.8))
        return A.Compose(steps, bbox_params=A.BboxParams("albumentations"))

    def partners(self, images: int, epoch: int, index: int) -> list[int]:
        """Which of the dataset's images to lay beside this one: three, or none where there is no mosaic."""
        draw = np.random.default_rng((self.options.seed, epoch, index, 1))
        return draw.integers(images, size=3).tolist() if draw.random() < self.options.mosaic else []

    def __call__(
        self,
        image: Image,
        boxes: Boxes,
        labels: NDArray[np.int64],
        epoch: int,
        index: int,
        others: Sequence[tuple[Any, ...]] = (),
        mask: NDArray[np.uint8] | None = None,
    ) -> Augmented:
        """Augment uint8 [H, W, 3], float32 [n, 4] and a mask, uint8 [H, W], if there is one, into `size`.

        `others` are the images, boxes and masks of `partners`; `kept` counts their boxes on from those of the image.
        """
        compose = self.mosaic if others else self.single
        state = np.random.SeedSequence((self.options.seed, epoch, index)).generate_state(2)
        # one shared stream: seeding every step alike, as set_random_seed does, would tie their draws together
        compose.set_random_state(np.random.default_rng(state[0]), random.Random(int(state[1])))
        parts, count = [], 0
        for beside, corners, *drawn in [(image, boxes, *([] if mask is None else [mask])), *others]:
            shares = corners / np.tile(np.array(beside.shape[1::-1], dtype=np.float64), 2)
            numbers = np.arange(count, count + len(corners), dtype=np.float64)[:, None]
            parts.append({"image": beside, "bboxes": np.concatenate([shares, numbers], axis=1)})
            parts[-1] |= {"mask": drawn[0]} if drawn else {}
            count += len(corners)
        result = compose(**parts[0], **({"mosaic_metadata": parts[1:]} if others else {}))
        rows = np.asarray(result["bboxes"], dtype=np.float64).reshape(-1, 5)
        moved = rows[:, :4] * np.tile(self.size[::-1], 2)
        large = (moved[:, 2:] - moved[:, :2] >= self.options.min_size).all(1)
        kept = rows[large, 4].astype(np.int64)
        tiny = int((~large).sum())
        return Augmented(result["image"], moved[large].astype(np.float32), kept, tiny, result.get("mask"))
