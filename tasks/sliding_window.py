"""Masks of large images from overlapping windows, with little more in memory than one row of windows."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from heads import arg_max_mask

Image = NDArray[np.uint8]
Scores = Callable[[Image], Tensor]
UNIT = (
    32  # the largest stride of any network; what starts and ends on multiples of it lies on whole cells of the logits
)


def slide(scores: Scores, image: Image, window: tuple[int, int]) -> Image:
    """The mask of an image from scores that are averaged where windows overlap, which they do by half.

    Windows start on multiples of 32, and their sides are rounded up to such. The last ones may reach up to 31 pixels
    beyond the lower and right edge, where the image's last pixels are repeated.

    Args:
        scores: of a window, uint8 [h, w, 3] whose sides are multiples of 32 -> float32 [1, classes, h / s, w / s], with
            the same stride s, a power of two up to 32, for all windows.
        image: uint8 [H, W, 3] RGB.
        window: height and width of a window.

    Returns:
        uint8 [H, W] of class indices (int64 for more than 256 classes), the classes with the highest averages resized
        by s.
    """
    height, width = image.shape[:2]
    sides = [min(_round_up(side), _round_up(length)) for side, length in zip(window, (height, width), strict=True)]
    rows, columns = (_starts(length, side) for length, side in zip((height, width), sides, strict=True))
    stop, cells = 0, 0  # rows of pixels that are done, and of cells
    above: list[Tensor] = []
    masks = []
    for strip in _strips(scores, image, sides, rows, columns):
        stride = (columns[-1] + sides[1]) // strip.shape[3]
        # pixels from centre to centre of the cells lie between two rows of them, of which the first may be the last
        # one of the strip before
        part = torch.cat([*above, strip], 2)
        above = [strip[:, :, -1:].clone()]
        cells += strip.shape[2]
        first, start = (cells - part.shape[2]) * stride, stop
        stop = height if cells * stride >= height else cells * stride - stride // 2
        mask = arg_max_mask(part, (part.shape[2] * stride, part.shape[3] * stride))[0]
        masks.append(mask[start - first : stop - first, :width].cpu().numpy())
    return np.concatenate(masks)


def _strips(scores: Scores, image: Image, sides: list[int], rows: list[int], columns: list[int]) -> Iterator[Tensor]:
    """Averaged scores from the top down, [1, classes, n, w]: all rows of cells that no later window reaches."""
    total = count = torch.empty(0)
    for top, following in pairwise([*rows, rows[-1] + sides[0]]):
        for left in columns:
            patch = image[top : top + sides[0], left : left + sides[1]]
            beyond = [(0, side - length) for side, length in zip(sides, patch.shape[:2], strict=True)]
            found = scores(np.pad(patch, [*beyond, (0, 0)], mode="edge"))
            stride = sides[0] // found.shape[2]
            if not total.numel():
                shape = (found.shape[2], (columns[-1] + sides[1]) // stride)
                total, count = found.new_zeros(1, found.shape[1], *shape), found.new_zeros(1, 1, *shape)
            within = slice(left // stride, left // stride + found.shape[3])
            total[..., within] += found
            count[..., within] += 1
        complete = (following - top) // stride
        yield total[:, :, :complete] / count[:, :, :complete]
        total, count = (F.pad(part[:, :, complete:], (0, 0, 0, complete)) for part in (total, count))


def _round_up(length: int) -> int:
    return -(-length // UNIT) * UNIT


def _starts(length: int, side: int) -> list[int]:
    """Where windows begin: half a window apart, the last one such that it covers the end."""
    last = _round_up(length) - side
    return [*range(0, last, max(UNIT, side // 2 // UNIT * UNIT)), last]
