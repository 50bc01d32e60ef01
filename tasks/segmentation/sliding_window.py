"""Masks of large images from overlapping windows, with little more in memory than one row of windows."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heads import arg_max_mask

Image = NDArray[np.uint8]
Scores = Callable[[Image], Tensor]
UNIT = 32  # the largest stride of any network; multiples of it lie between cells of the logits
WIDE = 1024  # of a strip, pixels whose classes are found at a time, at least


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
    whole = np.empty((0, 0), dtype=np.uint8)
    for strip in _strips(scores, image, sides, rows, columns):
        stride = (columns[-1] + sides[1]) // strip.shape[3]
        # pixels from centre to centre of the cells lie between two rows of them, of which the first may be the last
        # one of the strip before
        mask = _arg_max([*above, strip], stride).cpu().numpy()
        if not whole.size:
            whole = np.empty((height, width), dtype=mask.dtype)
        cells += strip.shape[2]
        first, start = cells * stride - len(mask), stop
        stop = height if cells * stride >= height else cells * stride - stride // 2
        whole[start:stop] = mask[start - first : stop - first, :width]
        above = [strip[:, :, -1:].clone()]
    return whole


def _arg_max(strips: list[Tensor], stride: int) -> Tensor:
    """The mask of strips below each other, [H, W], from columns of cells that overlap by one."""
    width = strips[0].shape[3]
    count = max(1, width * stride // WIDE)
    masks = []
    for left, right in pairwise(width * index // count for index in range(count + 1)):
        start = max(0, left - 1)
        part = torch.cat([strip[..., start : right + 1] for strip in strips], 2)
        mask = arg_max_mask(part, (part.shape[2] * stride, part.shape[3] * stride))[0]
        masks.append(mask[:, (left - start) * stride : (right - start) * stride])
    return torch.cat(masks, 1)


def _strips(scores: Scores, image: Image, sides: list[int], rows: list[int], columns: list[int]) -> Iterator[Tensor]:
    """Averaged scores from the top down, [1, classes, n, w]: all rows of cells that no later window reaches.

    Each is overwritten by the next.
    """
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
            del found  # it does not stay while the next window is looked at
        complete = (following - top) // stride
        yield total[:, :, :complete].div_(count[:, :, :complete])
        for part in (total, count):  # what is left moves up, without a second one of the largest tensor that there is
            for row in range(0, part.shape[2], complete):
                below = part[:, :, row + complete : row + 2 * complete]
                part[:, :, row : row + below.shape[2]] = below
            part[:, :, part.shape[2] - complete :] = 0


def _round_up(length: int) -> int:
    return -(-length // UNIT) * UNIT


def _starts(length: int, side: int) -> list[int]:
    """Where windows begin: half a window apart, the last one such that it covers the end."""
    last = _round_up(length) - side
    return [*range(0, last, max(UNIT, side // 2 // UNIT * UNIT)), last]
