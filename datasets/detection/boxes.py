"""What is computed from boxes in NumPy; `heads.anchors` has the same for torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def box_iou(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of corners [..., 4] with corners [..., 4], broadcast against each other.

    Pairs are `box_iou(one, other)`, a table of all with all is `box_iou(one[:, None], other)`.

    Returns:
        float64 [...], 0 where both are empty.
    """
    one, other = (np.asarray(boxes, dtype=np.float64) for boxes in (one, other))
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = sides.clip(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (one, other)]
    union = areas[0] + areas[1] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
