"""The boxes of an image as an object."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.results import Result, require_ids


class DetectionResult(Result):
    """Boxes with their classes and scores, best first."""

    columns = ("class", "score", "x1", "y1", "x2", "y2")

    @property
    def boxes(self) -> NDArray[np.float32]:
        """float32 [n, 4], corners x1, y1, x2, y2 in pixels of the image."""
        return self.found.boxes

    @property
    def scores(self) -> NDArray[np.float32]:
        """float32 [n], 0 to 1."""
        return self.found.scores

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 [n], indices into the names of boxes' classes."""
        return self.found.labels

    def summary(self) -> str:
        counts = Counter(self.names[label] for label in self.labels.tolist())
        return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "no boxes"

    def rows(self) -> list[dict[str, Any]]:
        columns = zip(self.labels.tolist(), self.scores.tolist(), self.boxes.tolist(), strict=True)
        return [dict(zip(self.columns, (self.names[label], score, *box), strict=True)) for label, score, box in columns]

    def to_coco(self, image_id: int | str, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        return self.found.to_coco(image_id, require_ids(category_ids, self.names, 1))
