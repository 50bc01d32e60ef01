"""Legends of a drawing: which colour is which class, in lines of their own or in a corner."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
FONT = cv2.FONT_HERSHEY_SIMPLEX
LINE, PATCH, GAP = 26, 14, 12  # height of a line, side of a colour, and what is between entries, in pixels at size 1
LARGE = 1000  # pixels of an image's longer side from which its legend grows with it


def size_for(image: Image) -> float:
    """How large a legend is that can be read where the whole image can be seen."""
    return max(1.0, max(image.shape[:2]) / LARGE)


def legend(names: Sequence[str], colours: Sequence[tuple[int, int, int]], width: int, size: float = 1.0) -> Image:
    """As many lines as the entries take, uint8 [h, width, 3] RGB on white; none without entries.

    Args:
        names: of the classes; one that is wider than a line is cut.
        colours: of the classes.
        width: in pixels.
        size: of letters and colours, 1 for 26 pixels a line.
    """
    line, patch, gap = (round(size * side) for side in (LINE, PATCH, GAP))
    places, x, row = [], gap // 3, 0
    for name in names:
        needed = entry_width(name, size)
        if x + needed > width and x > gap // 3:
            x, row = gap // 3, row + 1
        places.append((x, row * line))
        x += needed
    drawn = np.full(((row + 1) * line if places else 0, width, 3), 255, dtype=np.uint8)
    for (x, top), name, colour in zip(places, names, colours, strict=True):
        above = (line - patch) // 2
        corners = (x, top + above), (x + patch, top + above + patch)
        cv2.rectangle(drawn, *corners, colour, -1)
        cv2.rectangle(drawn, *corners, (0, 0, 0), max(1, round(size)))
        place = (x + patch + gap // 2, top + above + patch - round(2 * size))
        cv2.putText(drawn, name, place, FONT, 0.45 * size, (0, 0, 0), max(1, round(size)), cv2.LINE_AA)
    return drawn


def entry_width(name: str, size: float = 1.0) -> int:
    """Of a class in a legend, in pixels, with the gap behind it."""
    (letters, _), _ = cv2.getTextSize(name, FONT, 0.45 * size, max(1, round(size)))
    return letters + round(size * PATCH) + round(size * GAP) + round(size * GAP) // 2


def draw_corner(image: Image, names: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> None:
    """Draw a class a line into the upper left corner of an image, on a plate that lets a little of it through."""
    if not names:
        return
    size = size_for(image)
    margin = round(size * GAP / 2)
    widest = max(entry_width(name, size) for name in names)
    corner = image[margin:, margin : margin + widest]
    plate = legend(names, colours, widest, size)[: corner.shape[0], : corner.shape[1]]
    mixed = cv2.addWeighted(plate, 0.8, np.ascontiguousarray(corner[: len(plate)]), 0.2, 0)
    corner[: len(plate)] = np.where((plate == 255).all(2, keepdims=True), mixed, plate)
