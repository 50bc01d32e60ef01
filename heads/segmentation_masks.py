"""From raw logits to a mask at the image's size, exactly as resize-then-arg-max gives it, in little memory."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from heads.lraspp import resize

SMALL = 128  # on sides that add up to no more pixels, torch's CPU kernel rounds by a channel's place among the channels


def arg_max_mask(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The class with the largest resized logit at every pixel.

    Equal, bit for bit, to `resize(logits.contiguous(), size).argmax(1)`, but no tensor of [N, classes, *size] is made:
    tile by tile, classes are resized one at a time against the best so far, and those that cannot win in the tile are
    not resized at all.

    Args:
        logits: float32 [N, classes, h, w].
        size: height and width of the mask.

    Returns:
        uint8 [N, height, width] (int64 for more than 256 classes).
    """
    logits = logits.float().contiguous()
    kind = torch.uint8 if logits.shape[1] <= 256 else torch.int64
    if sum(size) <= SMALL:
        return resize(logits, size).argmax(1).to(kind)
    possible = _contenders(logits).any(0)
    mask = torch.empty(len(logits), *size, dtype=kind, device=logits.device)
    tiled = logits.device.type == "cpu"  # for its caches; a GPU would wait for every tile
    for row in _spans(logits.shape[2], size[0], tiled):
        for column in _spans(logits.shape[3], size[1], tiled):
            classes = possible[:, row.corners, column.corners].any(2).any(1).nonzero()[:, 0].tolist()
            patch = _arg_max(logits[:, :, row.cells, column.cells], (row.size, column.size), classes, kind)
            mask[:, row.pixels, column.pixels] = patch[:, row.crop, column.crop]
    return mask


def _arg_max(logits: Tensor, size: tuple[int, int], classes: list[int], kind: torch.dtype) -> Tensor:
    """`arg_max_mask` among some classes, in ascending order."""
    mask = torch.full((len(logits), 1, *size), classes[0], dtype=kind, device=logits.device)
    if len(classes) == 1:
        return mask[:, 0]
    best = resize(logits[:, classes[0] : classes[0] + 1].contiguous(), size)
    for index in classes[1:]:
        resized = resize(logits[:, index : index + 1].contiguous(), size)
        better = (resized > best).to(kind).neg_()  # all bits, or none: several times as fast as masked_fill_
        mask.bitwise_xor_((mask ^ index).bitwise_and_(better))
        torch.maximum(best, resized, out=best)
    return mask[:, 0]


class _Span(NamedTuple):
    """A tile along one side: its pixels; the cells of the logits they are resized from, and into how many pixels those
    are; where the tile is among them; and the corners between cells that it takes part in.
    """

    pixels: slice
    cells: slice
    size: int
    crop: slice
    corners: slice


def _spans(cells: int, pixels: int, tiled: bool) -> list[_Span]:
    """Tiles of a side, from centre of a cell to centre of a cell.

    Or the whole side, where resizing a part would round otherwise than resizing the whole.
    """
    ratio = pixels // cells
    exact = ratio > 1 and pixels == ratio * cells and ratio & (ratio - 1) == 0
    # torch shares an operation among threads from 32,768 elements up
    least = SMALL if torch.get_num_threads() == 1 else 2 * SMALL
    count = min(cells - 1, pixels // least) if tiled and exact else 1
    if count < 2:
        return [_Span(slice(0, pixels), slice(0, cells), pixels, slice(0, pixels), slice(0, cells + 1))]
    centres = [cells * index // count for index in range(count)] + [cells]
    spans = []
    for first, last in pairwise(centres):
        start, stop = first * ratio + (first > 0) * ratio // 2, min(pixels, last * ratio + ratio // 2)
        within = slice(first, min(cells, last + 1))
        crop = slice(start - first * ratio, stop - first * ratio)
        size = (within.stop - first) * ratio
        spans.append(_Span(slice(start, stop), within, size, crop, slice(first + (first > 0), last + 1)))
    return spans


def _contenders(logits: Tensor) -> Tensor:
    """Whether a class may have the largest logit around a corner of cells, bool [N, classes, h + 1, w + 1].

    A resized value lies between the least and the greatest of the four cells around it. A class is out if the greatest
    is below another class's least by more than rounding can bridge.
    """
    padded = F.pad(logits, (1, 1, 1, 1), mode="replicate")
    greatest, least = padded, padded
    for axis in (2, 3):
        steps = padded.shape[axis] - 1
        greatest = torch.maximum(greatest.narrow(axis, 0, steps), greatest.narrow(axis, 1, steps))
        least = torch.minimum(least.narrow(axis, 0, steps), least.narrow(axis, 1, steps))
    floor = least.amax(1)
    slack = 1e-5 * logits.abs().amax()
    hopeless = greatest < floor[:, None] - slack  # False where a logit is nan
    return ~hopeless
