"""Detection in large images tile by tile, so that the network sees small objects at a size that it learned.

As in slicing aided hyper inference (arXiv 2202.06934, Section 3), but for what is made of objects that a tile cuts.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from datasets import check_options
from datasets.ranges import WINDOW
from tasks.detection.detections import Detections

Image = NDArray[np.uint8]
Part = tuple[slice, slice]  # rows and columns of an image
OVERLAP = 0.2  # of neighbouring tiles, in shares of a tile's side, at least
TOGETHER = 8  # tiles that are predicted at a time
EDGE = 0.01  # of a tile's side, within which a box counts as cut
CUT = 0.5  # what the score of a cut box is multiplied by
COVERED = 0.7  # share of a cut box in a whole one from which they are one object


def lay_tiles(size: tuple[int, int], tile: tuple[int, int]) -> list[Part]:
    """Tiles that cover an image, evenly apart, from the top left on.

    Args:
        size: height and width of the image.
        tile: likewise of a tile; no tile is larger than the image.
    """
    rows, columns = (_spans(length, min(side, length)) for length, side in zip(size, tile, strict=True))
    return [(row, column) for row in rows for column in columns]


def _spans(length: int, side: int) -> list[slice]:
    count = 1 + math.ceil((length - side) / (side * (1 - OVERLAP)))
    return [slice(start, start + side) for start in np.linspace(0, length - side, count).round().astype(int).tolist()]


def merge_detections(
    found: Sequence[Detections], parts: Sequence[Part], score_threshold: float, iou_threshold: float
) -> Detections:
    """The detections of an image from those of its parts, by non-maximum suppression within each class.

    A box that ends where its part does, inside the image, is likely of an object that goes on there, which another part
    may show whole: its score is halved, and it is dropped if it lies in a better box that is whole.

    Args:
        found: in each part, in its own pixels; the first part is the whole image.
        parts: which they are.
        score_threshold: scores must be above it.
        iou_threshold: a box is dropped if its intersection over union with a better one of its class is above this.
    """
    height, width = parts[0][0].stop, parts[0][1].stop
    boxes, scores, cuts = [], [], []
    for one, (rows, columns) in zip(found, parts, strict=True):
        start, stop = np.array([columns.start, rows.start]), np.array([columns.stop, rows.stop])
        moved = one.boxes.astype(np.float64) + np.tile(start, 2)
        edge = EDGE * (stop - start)
        before = (moved[:, :2] < start + edge) & (start > 0)
        behind = (moved[:, 2:] > stop - edge) & (stop < [width, height])
        cuts.append((before | behind).any(1))
        boxes.append(moved)
        scores.append(one.scores * np.where(cuts[-1], CUT, 1).astype(np.float32))
    whole = replace(
        found[0],
        boxes=np.concatenate(boxes).astype(np.float32),
        scores=np.concatenate(scores),
        labels=np.concatenate([one.labels for one in found]),
    )
    # classes side by side, too far apart to overlap; doubles hold the sums exactly
    apart = whole.boxes.astype(np.float64) + (whole.labels * (height + width))[:, None]
    kept = nms(torch.from_numpy(apart), torch.from_numpy(whole.scores.astype(np.float64)), iou_threshold).numpy()
    kept = kept[whole.scores[kept] > score_threshold]
    kept = kept[~_covered(apart[kept], np.concatenate(cuts)[kept])]
    return replace(whole, boxes=whole.boxes[kept], scores=whole.scores[kept], labels=whole.labels[kept])


def _covered(boxes: NDArray[np.float64], cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which boxes are cut and lie in a whole one before them, bool [n]."""
    covered = np.zeros_like(cut)
    for place in np.flatnonzero(cut):  # one by one, as all pairs of very many tiles would not fit into memory
        box, others = boxes[place], boxes[:place][~cut[:place]]
        sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
        covered[place] = (sides.clip(0).prod(1) > COVERED * (box[2:] - box[:2]).prod()).any()
    return covered


class Tiled:
    """A predictor of boxes that looks at overlapping tiles of an image, and at all of it, where large objects fit.

    An image no larger than a tile is looked at once, as without tiles.

    Attributes:
        kind: of the predictor's task.
        spec: of its network.

    Args:
        predictor: a task or an exported file.
        tile: height and width in pixels of the image; each tile is resized to what the network takes.

    Raises:
        DataError: for a tile with a side outside 16 to 65536.
    """

    def __init__(self, predictor: Any, tile: tuple[int, int]) -> None:
        check_options(tile=(tile, *WINDOW))
        self.predictor, self.tile = predictor, tile
        self.kind, self.spec = predictor.kind, predictor.spec

    def predict(
        self, images: Sequence[Image], score_threshold: float = 0.001, iou_threshold: float = 0.55
    ) -> list[Any]:
        """As `predict` of the predictor; `score_threshold` holds within tiles, and for what is merged of them."""
        return [self._predict_one(image, score_threshold, iou_threshold) for image in images]

    def _predict_one(self, image: Image, *thresholds: float) -> Any:
        height, width = image.shape[:2]
        tiles = lay_tiles((height, width), self.tile)
        parts = [(slice(0, height), slice(0, width)), *(tiles if len(tiles) > 1 else [])]
        found: list[Any] = []
        for start in range(0, len(parts), TOGETHER):
            found += self.predictor.predict([image[part] for part in parts[start : start + TOGETHER]], *thresholds)
        return found[0] if len(parts) == 1 else self.merge(found, parts, *thresholds)

    def merge(self, found: list[Any], parts: list[Part], *thresholds: float) -> Any:
        """What is in an image, from what is in its parts, the first of which is all of it."""
        return merge_detections(found, parts, *thresholds)
