"""Masks that were drawn with a brush, as labelme and CVAT write them: the pixels of a part of an image."""

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.faults import DataError
from datasets.images import Size, read_image


@dataclass(frozen=True)
class Brush:
    """A brushed mask, kept as it is written and decoded when it is drawn.

    Args:
        top: row of the image in which the part begins; what lies outside of the image is left out.
        left: likewise the column.
        size: height and width of the part.
    """

    top: int
    left: int
    size: Size

    def draw(self, size: Size) -> NDArray[np.bool_]:
        """Which pixels of an image of that height and width it covers, bool [H, W].

        Raises:
            ValueError: for what cannot be decoded, or is not of the size that it is said to have.
        """
        if min(self.size) < 1 or self.size[0] > size[0] or self.size[1] > size[1]:
            raise ValueError(f"a brushed mask of {self.size[1]}x{self.size[0]} in an image of {size[1]}x{size[0]}")
        part = self._pixels()
        top, left = max(self.top, 0), max(self.left, 0)
        part = part[top - self.top : max(size[0] - self.top, 0), left - self.left : max(size[1] - self.left, 0)]
        covered = np.zeros(size, dtype=bool, order="F")
        covered[top : top + part.shape[0], left : left + part.shape[1]] = part
        return covered

    def _pixels(self) -> NDArray[np.bool_]:
        raise NotImplementedError


@dataclass(frozen=True)
class PngBrush(Brush):
    """labelme's: an image in base64, of which pixels above 0 are covered."""

    text: str

    def _pixels(self) -> NDArray[np.bool_]:
        try:
            pixels = read_image(Path("mask"), base64.b64decode(self.text)).any(axis=2)
        except (DataError, binascii.Error, ValueError):
            raise ValueError("a brushed mask that is no image in base64") from None
        if pixels.shape != self.size:
            height, width = pixels.shape
            raise ValueError(f"a brushed mask of {width}x{height} where its points say {self.size[1]}x{self.size[0]}")
        return pixels


@dataclass(frozen=True)
class RunsBrush(Brush):
    """CVAT's: lengths of runs of pixels outside and inside by turns, row after row."""

    text: str

    def _pixels(self) -> NDArray[np.bool_]:
        if not re.fullmatch(r"\s*[0-9]{1,9}(\s*,\s*[0-9]{1,9})*\s*", self.text):
            raise ValueError("runs of pixels that are not numbers such as 3, 2, 4")
        runs = [int(number) for number in self.text.split(",")]
        if sum(runs) != self.size[0] * self.size[1]:
            raise ValueError(f"runs of pixels that do not fill {self.size[1]}x{self.size[0]}")
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(self.size)
