"""Masks of outlines as pycocotools draws them, later ones in front."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tests.fuzz.engine import Refused

Points = Sequence[Sequence[float]]


def drawn(layers: Iterable[tuple[int, Any]], size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W] of the values of polygons, or of pixels that are True, 0 where there are none."""
    mask = np.zeros(size, np.uint8)
    for value, points in layers:
        if isinstance(points, np.ndarray):
            mask[points] = value
            continue
        (runs,) = coco_mask.frPyObjects([[float(number) for point in points for number in point]], *size)
        mask[coco_mask.decode(runs) > 0] = value
    return mask


def placed(rows: list[list[bool]], left: int, top: int, size: tuple[int, int]) -> np.ndarray:
    """bool [H, W] of a brushed part of an image, which may reach out of it but is no larger."""
    if not 0 < len(rows) <= size[0] or not 0 < len(rows[0]) <= size[1]:
        raise Refused("larger than the image")
    mask = np.zeros(size, bool)
    for y, row in enumerate(rows, top):
        for x, covered in enumerate(row, left):
            if covered and 0 <= y < size[0] and 0 <= x < size[1]:
                mask[y, x] = True
    return mask


def round_points(x: float, y: float, across: float, down: float) -> list[tuple[float, float]]:
    """The 64 points of an ellipse by its centre and half its sides, of which its outermost ones are four."""
    angles = (number * (2 * math.pi / 64) for number in range(64))
    return [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]
