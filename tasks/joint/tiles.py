"""Masks and boxes of large images tile by tile."""

from typing import Any

import numpy as np

from tasks.detection.tiles import Part, Tiled


class TiledJoint(Tiled):
    """A joint predictor that looks at overlapping tiles of an image, and for its boxes at all of it too.

    Where masks of tiles overlap, each holds up to the middle.
    """

    def merge(self, found: list[Any], parts: list[Part], *thresholds: float) -> Any:
        boxes = super().merge([one.boxes for one in found], parts, *thresholds)
        mask = np.empty_like(found[0].mask)
        tops, lefts = (sorted({part[axis].start for part in parts[1:]}) for axis in (0, 1))
        for one, (rows, columns) in zip(found[1:], parts[1:], strict=True):  # each overwrites those before it
            top, left = _begin(rows, tops), _begin(columns, lefts)
            mask[top : rows.stop, left : columns.stop] = one.mask[top - rows.start :, left - columns.start :]
        return found[0]._replace(mask=mask, boxes=boxes)


def _begin(span: slice, starts: list[int]) -> int:
    """The middle of where a span overlaps with the one before it, which is as long, or the start of the first."""
    index = starts.index(span.start)
    return span.start if index == 0 else (starts[index - 1] + span.stop) // 2
