"""Which boxes of an annotation are left, in plain Python: the rules that the docstrings of the readers state."""

import math
from collections.abc import Sequence

import numpy as np


def clean(corners: Sequence[float], spans: Sequence[float], size: tuple[int, int]) -> tuple[list[float] | None, str]:
    """A box in an image of a height and width as float32 holds it, or None if it bounds nothing; and why.

    Args:
        corners: x1, y1, x2, y2 in continuous pixels.
        spans: width and height as the file means them.
        size: of the image.
    """
    if not all(math.isfinite(number) for number in corners):
        return None, "not finite"
    if min(spans) <= 0:
        return None, "without area"
    height, width = size
    x1, y1, x2, y2 = corners
    inside = [min(max(x1, 0.0), width), min(max(y1, 0.0), height), min(max(x2, 0.0), width), min(max(y2, 0.0), height)]
    single = [float(np.float32(number)) for number in inside]
    if single[0] >= single[2] or single[1] >= single[3]:
        return None, "outside"
    moved = max(abs(before - after) for before, after in zip(corners, inside, strict=True))
    return single, "clipped" if moved > 1 else ""
