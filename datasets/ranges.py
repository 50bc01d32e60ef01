"""Ranges of options: where a number that makes no sense is refused."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets.faults import DataError

SIDE = (16, 4096)  # pixels of what a network sees
SEED = (0, 2**32 - 1)
COUNT = (1, 10**9)  # of images or frames
WORKERS = (0, 128)
BATCH = (1, 65536)
DRAWN = (0, 1000)
WINDOW = (16, 65536)  # pixels of a side of a window or a tile


def check_options(**options: tuple[float | Sequence[float] | None, float, float]) -> None:
    """Refuse options outside their range, and those that are not a number.

    Args:
        **options: by name, the value, several of them, or None for an option that was not given; and the least and the
            most that it may be.

    Raises:
        DataError: naming the option, its value and its range.
    """
    for name, (value, least, most) in options.items():
        numbers: Any = value if isinstance(value, list | tuple) else [value]
        if not numbers or not all(number is None or least <= number <= most for number in numbers):
            shown = " ".join(str(number) for number in numbers) or "of nothing"
            raise DataError(f"--{name.replace('_', '-')} {shown} is not in {least} to {most}")


def check_fields(options: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """`check_options` of the fields of a dataclass, by the ranges of some."""
    check_options(**{name: (getattr(options, name), *limits) for name, limits in ranges.items()})
