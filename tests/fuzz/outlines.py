"""Masks of outlines as pycocotools draws them, later ones in front."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from pycocotools import mask as coco_mask

Points = Sequence[Sequence[float]]


def drawn(layers: Iterable[tuple[int, Points]], size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W] of the values of polygons, 0 where there are none."""
    mask = np.zeros(size, np.uint8)
    for value, points in layers:
        (runs,) = coco_mask.frPyObjects([[float(number) for point in points for number in point]], *size)
        mask[coco_mask.decode(runs) > 0] = value
    return mask


def round_points(x: float, y: float, across: float, down: float) -> list[tuple[float, float]]:
    """The 64 points of an ellipse by its centre and half its sides, of which its outermost ones are four."""
    angles = (number * (2 * math.pi / 64) for number in range(64))
    return [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]
