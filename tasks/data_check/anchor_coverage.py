"""How well a detection head's anchors cover the boxes of a dataset at an input size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets import Finding, InspectedDetection, Kind
from heads import Anchors, best_iou
from tasks.detection.task import DetectionNetwork, DetectionSpec, detection_table

NEEDED = 0.5  # intersection over union, as in SSD's matching
EDGES = (0, 8, 16, 32, 64, 128)  # of the sizes that are told apart, root of the area in pixels of the input
UNCOVERED = Kind(
    "note",
    "box that no anchor matches",
    f"No anchor has an intersection over union of {NEEDED} with it. In training the nearest one answers for it "
    "nevertheless, but that one alone, and such boxes are found late and roughly. A larger --size, or another "
    "--head-options.least_scale, moves the anchors; the table above tells what a map for small objects would change.",
)


@dataclass(frozen=True)
class Coverage:
    """Every box of some splits at the input size, crowds left out.

    Attributes:
        sides: width and height in pixels of the input, float32 [B, 2].
        overlap: greatest intersection over union with any anchor, float32 [B].
        labels: int64 [B].
        image: split and index of the image that each box is in, int64 [B, 2].
        boxes: corners in the image's own pixels, float32 [B, 4].
    """

    sides: NDArray[np.float32]
    overlap: NDArray[np.float32]
    labels: NDArray[np.int64]
    image: NDArray[np.int64]
    boxes: NDArray[np.float32]

    @property
    def missed(self) -> NDArray[np.bool_]:
        """Which boxes no anchor matches, bool [B]."""
        return self.overlap < NEEDED

    def sizes(self) -> NDArray[np.int64]:
        """Which of the sizes that `EDGES` tell apart each box has, int64 [B]."""
        return np.digitize(np.sqrt(self.sides.prod(1)), EDGES) - 1


def head_anchors(head: str, head_options: dict[str, Any], size: tuple[int, int]) -> Anchors:
    """The anchors of a head at a size, which are the same on all our backbones.

    Raises:
        HeadError: for an unknown head or option.
    """
    spec = DetectionSpec(detection_table("v3-small"), head, ["object"], [(0, 0, 0)], size, head_options)
    return DetectionNetwork(spec).head.anchors(size)


def cover_boxes(anchors: Anchors, splits: Sequence[InspectedDetection], size: tuple[int, int]) -> Coverage:
    """Compare the boxes of splits, whose images were looked at, with anchors for an input of a size."""
    parts: list[tuple[Any, ...]] = [(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0, int), np.zeros((0, 2), int))]
    for number, split in enumerate(splits):
        for index in np.flatnonzero(split.sizes.all(1)).tolist():
            objects = split.objects(index)
            shares = objects.boxes / np.tile(split.sizes[index][::-1], 2)
            parts.append((objects.boxes, shares, objects.labels, np.tile((number, index), (len(objects), 1))))
    boxes, shares, labels, image = (np.concatenate(part) for part in zip(*parts, strict=True))
    shares = shares.astype(np.float32)
    pieces = torch.from_numpy(shares).split(4096)  # so that memory does not grow with the dataset
    overlap = torch.cat([best_iou(anchors, piece) for piece in pieces]).numpy()
    sides = (shares[:, 2:] - shares[:, :2]) * np.array(size[::-1], dtype=np.float32)
    return Coverage(sides, overlap, labels, image, boxes.astype(np.float32))


def uncovered(coverage: Coverage, splits: Sequence[InspectedDetection]) -> Iterator[Finding]:
    """A finding for every image with boxes that no anchor matches, those with most of them first."""
    missed = np.flatnonzero(coverage.missed)
    images, place, counts = np.unique(coverage.image[missed], axis=0, return_inverse=True, return_counts=True)
    of_image = np.split(missed[np.argsort(place.ravel(), kind="stable")], counts.cumsum()[:-1])
    for order in np.argsort(-counts, kind="stable"):
        (number, index), boxes = images[order].tolist(), of_image[order]
        split, worst = splits[number], boxes[coverage.overlap[boxes].argmin()]
        width, height = coverage.sides[worst]
        text = (
            f"{split.images[index]}: {len(boxes)} of {len(split.objects(index))}; the worst, "
            f"{split.names[coverage.labels[worst]]} {width:.0f}x{height:.0f} at the input size, "
            f"overlaps by {coverage.overlap[worst]:.2f}"
        )
        yield split.find(UNCOVERED, index, text, coverage.boxes[boxes].tolist(), len(boxes))
