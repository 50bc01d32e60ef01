"""Masks that are outlines in an annotation: polygons and runs of pixels, drawn when a sample is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from datasets.brushes import Brush
from datasets.faults import DataError
from datasets.files import IGNORE
from datasets.images import Size

Polygon = NDArray[np.float64]  # x and y in turn, [2 n]
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Region:
    """What one annotation encloses.

    Args:
        label: class index, or 255 for what is ignored.
        polygons: of which it is the union.
        runs: in their place, COCO's runs of pixels outside and inside by turns, down the columns: numbers, or a text.
        runs_size: height and width that the runs are for.
        brush: in the place of both, pixels of a part of the image.
    """

    label: int
    polygons: Sequence[Polygon] = ()
    runs: Sequence[int] | str | None = None
    runs_size: Size | None = None
    brush: Brush | None = None

    def area(self) -> float:
        """In pixels, roughly."""
        if self.runs is not None:
            return float(sum(_counts(self.runs)[1::2]))
        corners = [(polygon[::2], polygon[1::2]) for polygon in self.polygons]
        return sum(abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2 for x, y in corners)

    def draw(self, size: Size) -> NDArray[np.bool_]:
        """Which pixels it covers, bool [H, W], as pycocotools has it.

        Raises:
            ValueError: for runs that do not fill the image, brushes that cannot be read, and polygons more than twice
                its longer side outside of it.
        """
        height, width = size
        if self.brush is not None:
            return self.brush.draw(size)
        if self.runs is not None:
            counts = _counts(self.runs)
            if self.runs_size != size or min(counts, default=-1) < 0 or sum(counts) != height * width:
                raise ValueError(f"runs of pixels that do not fill {width}x{height}")
            return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T
        reach = 2 * max(size)  # more than a circle needs that has its centre and a point of its edge in the image
        for polygon in self.polygons:  # pycocotools walks along the outline pixel by pixel, wherever it leads
            for coordinates, side in ((polygon[::2], width), (polygon[1::2], height)):
                if coordinates.min() < -reach or coordinates.max() > side + reach:
                    raise ValueError(f"a polygon far outside of {width}x{height}")
        if not self.polygons:
            return np.zeros(size, dtype=bool, order="F")
        runs = coco_mask.frPyObjects([polygon.tolist() for polygon in self.polygons], height, width)
        return coco_mask.decode(coco_mask.merge(runs)).view(bool)


@dataclass
class Outlines:
    """The mask of one image.

    Args:
        source: file and entry, for messages.
        size: height and width that the annotation declares, or None.
        regions: in the annotation's order.
        layered: whether later regions cover earlier ones. Otherwise pixels of several are void, as torchvision's
            reference for COCO has it (references/segmentation/coco_utils.py).
        faults: of the annotation, each a part of a line; reading raises the first.
    """

    source: str
    size: Size | None = None
    regions: list[Region] = field(default_factory=list)
    layered: bool = False
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.source

    def read(self, size: Size) -> Mask:
        """See `Drawn.read`; index 0 is where no region is."""
        if self.faults:
            more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
            raise DataError(f"{self.source}: {self.faults[0]}{more}")
        if self.size is not None and self.size != size:
            declared, actual = (f"{width}x{height}" for height, width in (self.size, size))
            raise DataError(f"{self.source}: is for an image of {declared}, and this one is {actual} once upright")
        # column after column, as pycocotools has it: twice as fast as across the other order
        mask = np.zeros(size, dtype=np.uint8, order="F")
        covered, ignored = np.zeros_like(mask, dtype=bool), np.zeros_like(mask, dtype=bool)
        for number, region in enumerate(self.regions, start=1):
            try:
                inside = region.draw(size)
            except ValueError as error:
                raise DataError(f"{self.source}: region {number} has {error}; draw it anew") from None
            if not self.layered:
                ignored |= inside if region.label == IGNORE else inside & covered
                covered |= inside
            np.copyto(mask, np.uint8(region.label), where=inside)
        mask[ignored] = IGNORE
        return np.ascontiguousarray(mask)


def make_polygon(numbers: Any) -> Polygon | None:
    """A polygon of a list of numbers, x and y in turn; None if it is no such list. Fewer than six bound nothing."""
    sound = isinstance(numbers, list) and len(numbers) % 2 == 0 and {*map(type, numbers)} <= {int, float}
    if not sound or not all(-1e9 < number < 1e9 for number in numbers):  # which NaN is not either
        return None
    return np.array(numbers, dtype=np.float64)


def _counts(runs: Sequence[int] | str) -> Sequence[int]:
    """The lengths of runs, of which COCO's text has six bits a letter, each run less the one before the last.

    Raises:
        ValueError: for another text.
    """
    if not isinstance(runs, str):
        return runs
    counts: list[int] = []
    value = shift = 0
    for letter in runs:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("runs of pixels that cannot be read")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:  # the last letter of a number, whose highest bit is the sign
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("runs of pixels that cannot be read")
    return counts
