"""The mask of an image as an object."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.drawing import Image, painted
from tasks.results import Result, require_ids


class SegmentationResult(Result):
    """A mask with its classes."""

    columns = ("class", "pixels", "share")

    @property
    def mask(self) -> Image:
        """uint8 [H, W] of indices into `names`."""
        return self.found

    def summary(self) -> str:
        shares = {row["class"]: row["share"] for row in self.rows()}
        return ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())

    def rows(self) -> list[dict[str, Any]]:
        return [{"class": name, **row} for name, row in self._shown.description["classes"].items()]

    def to_coco(self, image_id: int | str, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """A segment a class, as run-length encoding; none of a class named background. Masks have no scores."""
        ids, wanted = require_ids(category_ids, self.names, 0), painted(self.names)
        return [
            {"image_id": image_id, "category_id": ids[value], "segmentation": run_lengths(self.mask == value)}
            for value in np.unique(self.mask).tolist()
            if wanted[value]
        ]


def run_lengths(pixels: Any) -> dict[str, Any]:
    """bool [H, W] as COCO writes it into json."""
    from pycocotools import mask

    encoded = mask.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}
