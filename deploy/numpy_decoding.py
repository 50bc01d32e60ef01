"""From the raw outputs of a network to its results, in NumPy alone: what an app does behind the network.

It is written to be read and ported: nothing here needs torch, every function stands by itself, and the tests hold each
of them to what training and evaluation use.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
CODING = np.array([10, 10, 5, 5], dtype=np.float32)  # offsets are multiplied by these
LARGEST_GROWTH = np.float32(np.log(1000 / 16))  # of an anchor's side
CANDIDATES = 1200  # of an image, looked at first
TOGETHER = 100  # boxes that are compared with one another at a time


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis, float32 of any shape."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def class_scores(logits: Floats, sigmoid: bool = False) -> Floats:
    """float32 [A, K + 1], background first -> [A, K]: softmax, or sigmoid for networks trained by focal loss."""
    if sigmoid:
        return np.exp(-np.logaddexp(np.float32(0), -logits[:, 1:]))
    return softmax(logits)[:, 1:]


def decode_boxes(offsets: Floats, anchors: Floats) -> Floats:
    """Boxes from offsets and anchors.

    Args:
        offsets: float32 [A, 4], of the centre in units of the anchor's sides, and logarithms of the ratio of sides;
            times `CODING`.
        anchors: float32 [A, 4], centre x, centre y, width and height in shares of the image's sides.

    Returns:
        float32 [A, 4], corners x1, y1, x2, y2 in shares of the image's sides, clipped to it.
    """
    offsets = offsets / CODING
    centre = offsets[:, :2] * anchors[:, 2:] + anchors[:, :2]
    half = np.exp(np.minimum(offsets[:, 2:], LARGEST_GROWTH)) * anchors[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1).clip(0, 1)


def detect(
    boxes: Floats,
    scores: Floats,
    score_threshold: float = 0.001,
    iou_threshold: float = 0.55,
    max_detections: int = 300,
    topk_per_class: int = 300,
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Score threshold, the best candidates of each class, and non-maximum suppression within each class.

    Candidates are looked at by falling score, and only as many as it takes: what ranks below the last detection that is
    kept changes nothing.

    Args:
        boxes: float32 [A, 4], corners.
        scores: float32 [A, K], without background.
        score_threshold: scores must be above it.
        iou_threshold: a box is dropped if its intersection over union with a better one of its class is above this.
        max_detections: how many are kept at most.
        topk_per_class: candidates of one class.

    Returns:
        boxes float32 [n, 4], scores float32 [n], falling, and labels int64 [n].
    """
    classes, flat = scores.shape[1], scores.ravel()
    (above,) = np.nonzero(flat > score_threshold)
    taken = CANDIDATES
    while True:
        best = above
        if taken < len(above):
            best = above[np.argpartition(-flat[above], taken - 1)[:taken]]
        best = best[np.lexsort((best, -flat[best]))]  # of equal scores, the first one
        labels = best % classes
        if taken > topk_per_class:
            best = best[rank_in_class(labels) < topk_per_class]
            labels = best % classes
        kept = suppress(boxes[best // classes], labels, iou_threshold, max_detections)
        if len(kept) >= max_detections or taken >= len(above):
            break
        taken *= 4
    return boxes[best[kept] // classes], flat[best[kept]], labels[kept]


def rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the same label come before each, int64 [n]."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    ranks = np.empty_like(labels)
    ranks[order] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return ranks


def suppress(boxes: Floats, labels: NDArray[np.int64], iou_threshold: float, most: int) -> NDArray[np.int64]:
    """Which boxes are kept, best first, where a better one of the same class does not overlap them too much.

    Args:
        boxes: float32 [n, 4], corners, best first.
        labels: int64 [n].
        iou_threshold: see `detect`.
        most: how many are kept at most; boxes behind the last of them are not looked at.
    """
    kept = np.empty(0, dtype=np.int64)
    for start in range(0, len(boxes), TOGETHER):
        next_ones = np.arange(start, min(start + TOGETHER, len(boxes)))
        next_ones = next_ones[~_rivals(boxes, labels, kept, next_ones, iou_threshold).any(0)]
        rivals = np.triu(_rivals(boxes, labels, next_ones, next_ones, iou_threshold), 1)
        alive = np.ones(len(next_ones), dtype=bool)
        for place in np.nonzero(rivals.any(1))[0]:
            if alive[place]:
                alive &= ~rivals[place]
        kept = np.concatenate([kept, next_ones[alive]])
        if len(kept) >= most:
            break
    return kept[:most]


def _rivals(
    boxes: Floats, labels: NDArray[np.int64], ones: Any, others: Any, iou_threshold: float
) -> NDArray[np.bool_]:
    """Whether boxes of one class overlap too much, bool [ones, others]."""
    x1, y1, x2, y2 = boxes[ones].T[:, :, None]
    left, top, right, bottom = boxes[others].T
    width = (np.minimum(x2, right) - np.maximum(x1, left)).clip(0)
    intersection = width * (np.minimum(y2, bottom) - np.maximum(y1, top)).clip(0)
    union = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - intersection
    return (intersection > np.float32(iou_threshold) * union) & (labels[ones][:, None] == labels[others])


def class_mask(logits: Floats, size: tuple[int, int]) -> NDArray[Any]:
    """The class of every pixel of an image.

    Logits are resized bilinearly, pixel centres aligned, and the largest one wins: class by class against the best so
    far, and only those that can win somewhere.

    Args:
        logits: float32 [h, w, K].
        size: height and width of the image.

    Returns:
        uint8 [height, width] of class indices (int64 for more than 256 classes).
    """
    planes = np.ascontiguousarray(logits.transpose(2, 0, 1))
    (top, bottom, down), (left, right, across) = (
        _neighbours(*sides) for sides in zip(planes.shape[1:], size, strict=True)
    )
    labels = _contenders(planes)
    mask = np.full(size, labels[0], dtype=np.uint8 if len(planes) <= 256 else np.int64)
    best = np.full(size, -np.inf, dtype=np.float32)
    for label in labels:
        wide = planes[label][:, left] * (1 - across) + planes[label][:, right] * across
        resized = wide[top] * (1 - down[:, None]) + wide[bottom] * down[:, None]
        np.copyto(mask, label, where=resized > best, casting="unsafe")
        np.maximum(best, resized, out=best)
    return mask


def _contenders(planes: Floats) -> list[int]:
    """Classes that may be the largest somewhere, of float32 [K, h, w].

    A resized value lies between the least and the greatest of the four cells around it, up to rounding. A class is out
    if its greatest is below some other's least everywhere.
    """
    greatest = least = np.pad(planes, ((0, 0), (0, 1), (0, 1)), mode="edge")
    for before, behind in (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:, :, :-1], np.s_[:, :, 1:]):
        greatest = np.maximum(greatest[before], greatest[behind])
        least = np.minimum(least[before], least[behind])
    slack = np.float32(1e-5) * np.abs(planes).max()
    hopeless = (greatest < least.max(0) - slack).all((1, 2))  # False where a logit is nan
    return np.flatnonzero(~hopeless).tolist()


def _neighbours(cells: int, pixels: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """For every pixel along a side: the cells before and behind its centre, and the share of the latter."""
    place = ((np.arange(pixels, dtype=np.float32) + 0.5) * np.float32(cells / pixels) - 0.5).clip(0)
    before = np.minimum(place.astype(np.intp), cells - 1)
    return before, np.minimum(before + 1, cells - 1), place - before.astype(np.float32)
