"""Offenders of a data check, drawn: an image beside its mask, or with its boxes, what is wrong marked in red."""

from collections.abc import Sequence

import cv2
import numpy as np

from datasets import DataError, Finding, Inspected, Sample
from heads import IGNORE
from tasks.drawing import Colours, Image, colour_mask, overlay

SIDE = 360  # of what is drawn, in pixels; smaller images are enlarged in whole steps
RED, WHITE, MAGENTA, GREY = (230, 0, 0), (255, 255, 255), (255, 0, 255), (128, 128, 128)
SMALL = 14  # marks smaller than this get a circle around them
BESIDE = 3  # images of one finding that are drawn, as of identical ones


def draw_finding(finding: Finding, splits: Sequence[Inspected]) -> list[Image]:
    """The images of a finding, uint8 [H, W, 3] RGB each; none if they cannot be read.

    Args:
        finding: with its boxes in the pixels of its first image.
        splits: where its images are.
    """
    drawn = []
    by_name = {split.split: split for split in splits}
    for number, (split, index) in enumerate(finding.images[:BESIDE]):
        try:
            sample = by_name[split].sample(index)
        except DataError:
            continue
        drawn.append(draw_sample(sample, () if number else finding.boxes, by_name[split].colours, by_name[split].names))
    return drawn


def draw_sample(
    sample: Sample, marked: Sequence[Sequence[float]], colours: Colours, names: Sequence[str] = ()
) -> Image:
    """An image with thin boxes in the colours of their classes, or beside its mask.

    Args:
        sample: what to draw.
        marked: boxes to be drawn in red, corners in pixels; for those that reach out of the image it gets a grey rim.
        colours: of the classes; values of a mask that no class has are magenta.
        names: of the classes; background is not laid over the image.
    """
    height, width = sample.image.shape[:2]
    scale = SIDE / max(height, width)
    scale = max(1.0, float(int(scale))) if scale > 1 else scale
    image = _scaled(sample.image, scale, cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA)
    if sample.mask is not None:
        every = [*colours, *[MAGENTA] * (IGNORE - len(colours))]
        mask = _scaled(sample.mask, scale, cv2.INTER_NEAREST)
        over = overlay(image, mask, names, every) if mask.shape == image.shape[:2] else image
        return _side_by_side(over, colour_mask(mask, every))
    for (left, top, right, bottom), label in zip(
        (sample.boxes * scale).round().astype(int), sample.labels, strict=True
    ):
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colours[label], 1)
    return _mark(image, np.array(marked, dtype=np.float64).reshape(-1, 4) * scale)


def _scaled(image: Image, scale: float, kind: int) -> Image:
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    result = cv2.resize(image, size, interpolation=kind)
    return np.array(result, dtype=np.uint8)


def _side_by_side(left: Image, right: Image) -> Image:
    height = max(left.shape[0], right.shape[0])
    parts = [np.pad(part, ((0, height - len(part)), (0, 0), (0, 0)), constant_values=255) for part in (left, right)]
    return np.concatenate([parts[0], np.full((height, 6, 3), 255, dtype=np.uint8), parts[1]], axis=1)


def _mark(image: Image, boxes: np.ndarray) -> Image:
    if not len(boxes):
        return image
    size = np.array(image.shape[1::-1])
    edges = np.concatenate([boxes[:, :2], boxes[:, 2:]])
    # a rim of half the image at most: a box may be anywhere
    before = np.ceil(np.clip(-edges.min(0), 0, size / 2)).astype(int)
    after = np.ceil(np.clip(edges.max(0) - size, 0, size / 2)).astype(int)
    rim = [(before[1], after[1]), (before[0], after[0]), (0, 0)]
    image = np.pad(image, rim, constant_values=GREY[0])
    limit = image.shape[1::-1]
    for box in boxes + np.tile(before, 2):
        ends = np.sort(box.reshape(2, 2), axis=0).clip(0, np.array(limit) - 1).round().astype(int)
        (left, top), (right, bottom) = ends.tolist()
        for colour, thickness in ((WHITE, 4), (RED, 2)):
            cv2.rectangle(image, (left, top), (right, bottom), colour, thickness)
            if min(right - left, bottom - top) < SMALL:
                centre, radius = (
                    ((left + right) // 2, (top + bottom) // 2),
                    SMALL + max(right - left, bottom - top) // 2,
                )
                cv2.circle(image, centre, radius, colour, thickness, cv2.LINE_AA)
    return image
