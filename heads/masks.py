"""From raw logits to a mask at the picture's size, exactly as resize-then-arg-max gives it, in little memory."""

import torch
from torch import Tensor
from torch.nn import functional as F

from heads.aspp import resize


def arg_max_mask(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The class with the largest resized logit at every pixel.

    Equal, bit for bit, to `resize(logits.contiguous(), size).argmax(1)`, but no tensor of [N, classes, *size] is made:
    classes are resized one at a time against the best so far, and classes that cannot win anywhere are not resized.

    Args:
        logits: float32 [N, classes, h, w].
        size: height and width of the mask.

    Returns:
        uint8 [N, height, width] (int64 for more than 256 classes).
    """
    logits = logits.float().contiguous()
    kind = torch.uint8 if logits.shape[1] <= 256 else torch.int64
    if sum(size) <= 128:  # so small, torch's CPU kernel rounds by a channel's place among the channels
        return resize(logits, size).argmax(1).to(kind)
    first, *others = _contenders(logits)
    best = resize(logits[:, first : first + 1], size)
    mask = torch.full(best.shape, first, dtype=kind, device=logits.device)
    for index in others:
        resized = resize(logits[:, index : index + 1], size)
        mask.masked_fill_(resized > best, index)
        torch.maximum(best, resized, out=best)
    return mask[:, 0]


def _contenders(logits: Tensor) -> list[int]:
    """Classes that may have the largest logit somewhere after a bilinear resize, in ascending order.

    A resized value lies between the least and the greatest of its four corners. A class is out if, around every corner,
    its greatest neighbour is below another class's least one, by more than rounding can bridge.
    """
    padded = F.pad(logits, (1, 1, 1, 1), mode="replicate")
    greatest = F.max_pool2d(padded, 2, 1)
    floor = (-F.max_pool2d(-padded, 2, 1)).amax(1)
    slack = 1e-5 * logits.abs().amax()
    hopeless = greatest < floor[:, None] - slack  # False where a logit is nan
    return (~hopeless).amax((0, 2, 3)).nonzero()[:, 0].tolist()
