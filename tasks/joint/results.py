"""The mask and the boxes of an image as one object."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.detection.results import DetectionResult
from tasks.drawing import Image
from tasks.joint.instances import cut_instances
from tasks.prediction import Shown
from tasks.results import Result
from tasks.segmentation.results import SegmentationResult, run_lengths


class JointResult(Result):
    """A mask, whose classes are `names`, and boxes, whose classes are `box_names`.

    Attributes:
        box_names: as above.
    """

    columns = (*SegmentationResult.columns, *DetectionResult.columns[1:])  # each row leaves some out

    def __init__(self, spec: Any, shown: Shown, size: tuple[int, int], file: str | None) -> None:
        super().__init__(spec, shown, size, file)
        self.box_names = spec.box_names
        self._mask = SegmentationResult(spec.masks, replace(shown, found=shown.found.mask), size, file)
        self._boxes = DetectionResult(spec.boxes, replace(shown, found=shown.found.boxes), size, file)

    @property
    def mask(self) -> Image:
        """uint8 [H, W] of indices into `names`."""
        return self._mask.mask

    @property
    def boxes(self) -> NDArray[np.float32]:
        """float32 [n, 4], corners x1, y1, x2, y2 in pixels of the image."""
        return self._boxes.boxes

    @property
    def scores(self) -> NDArray[np.float32]:
        """float32 [n], 0 to 1."""
        return self._boxes.scores

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 [n], indices into `box_names`."""
        return self._boxes.labels

    def summary(self) -> str:
        return f"{self._mask.summary()}; {self._boxes.summary()}"

    def rows(self) -> list[dict[str, Any]]:
        """Of the mask's classes, and then of the boxes."""
        return self._mask.rows() + self._boxes.rows()

    def to_coco(self, image_id: int | str, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Boxes, each with the pixels that `tasks.joint.instances.cut_instances` gives it; ids are of `box_names`."""
        instances = cut_instances(self.found, self.names, self.box_names)
        rows = self._boxes.to_coco(image_id, category_ids)
        return [row | {"segmentation": run_lengths(instances == number)} for number, row in enumerate(rows, 1)]
