"""The classes of an image as an object."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import TaskError
from tasks.results import Result


class ClassificationResult(Result):
    """The probability of every class."""

    columns = ("class", "probability")

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """float32 [classes]."""
        return self.found

    def summary(self) -> str:
        classes = self._shown.description["classes"]
        return ", ".join(f"{name} {100 * probability:.0f} %" for name, probability in classes.items())

    def rows(self) -> list[dict[str, Any]]:
        """Of all classes, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable").tolist()
        return [{"class": self.names[label], "probability": float(self.probabilities[label])} for label in order]

    def to_coco(self, image_id: int | str, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        raise TaskError("COCO has results for masks and boxes, and none for the class of an image")
