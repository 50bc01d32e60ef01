"""Label maps: which class each value in a mask's file stands for."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.faults import DataError
from datasets.files import IGNORE, read_label_lines

UNKNOWN = 254  # in a label map, so that 254 classes are its most


def make_label_map(values: Sequence[Iterable[int]], void: Iterable[int] | None = None) -> NDArray[np.uint8]:
    """The class of every value, uint8 [256]: 255 for void, as value 255 always is, and 254 for values that are none.

    Args:
        values: of every class.
        void: values that are ignored; None for all that no class has.
    """
    table = np.full(256, IGNORE if void is None else UNKNOWN, dtype=np.uint8)
    table[[*(void or ()), IGNORE]] = IGNORE
    for index, of_class in enumerate(values):
        table[[*of_class]] = index
    return table


def read_label_map(path: Path) -> NDArray[np.uint8] | None:
    """The label map of a labels.txt (see `read_label_lines`), or None where its lines have no values.

    Raises:
        DataError: for more than 254 classes, and a value that is above 255 or in two lines.
    """
    lines = read_label_lines(path)
    if not lines.values:
        return None
    if len(lines.values) > UNKNOWN:
        raise DataError(f"{path}: {len(lines.values)} classes; with mask values, {UNKNOWN} are the most")
    if "others" in lines.values:
        raise DataError(f'{path}: "= others" is for void alone; give a class its values')
    rest = "others" in lines.void.split()
    void = _numbers(lines.void.replace("others", ""))
    values = [_numbers(text) for text in lines.values]
    seen: set[int] = set()
    for value in (value for numbers in [*values, void] for value in numbers):
        if value > IGNORE or value in seen:
            raise DataError(f"{path}: mask value {value} {'is above 255' if value > IGNORE else 'is listed twice'}")
        seen.add(value)
    return make_label_map(values, None if rest else void)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.replace(",", " ").split()]
