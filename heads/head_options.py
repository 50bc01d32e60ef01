"""Options of heads: their names, types and ranges, checked before a layer is built."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from heads.inputs import HeadError

WORDS = {int: "a whole number", float: "a number", bool: "true or false", list: "a list of whole numbers"}
RANGES = {"filters": (1, 4096), "width": (0.05, 8), "least_scale": (0.01, 0.9), "dropout": (0, 0.99)}
RANGES |= {"extra": (1, 4096)}  # each of them


def check_options(name: str, known: Mapping[str, type], options: Mapping[str, Any]) -> None:
    """Refuse options that a head does not have, or with values that it cannot have.

    Args:
        name: of the head.
        known: the type of each option that it has: int, float, bool, or list for one of whole numbers.
        options: as given; None is an option's default.

    Raises:
        HeadError: naming the option, and the nearest one where there is none of its name.
    """
    for option, value in options.items():
        if option not in known:
            raise HeadError(unknown(f"option of {name}", option, known))
        if value is None:
            continue
        kind, numbers = known[option], value if isinstance(value, list) else [value]
        wanted = {list: int, float: int | float}.get(kind, kind)
        fits = isinstance(value, list) == (kind is list)
        if not fits or not all(isinstance(x, wanted) and isinstance(x, bool) == (kind is bool) for x in numbers):
            raise HeadError(f"option {option} of {name}: {value!r} is not {WORDS[kind]}")
        least, most = RANGES.get(option, (None, None))
        if least is not None and not all(least <= x <= most for x in numbers):
            raise HeadError(f"option {option} of {name}: {value} is not in {least} to {most}")


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """What is said of a name that there is not: the nearest one, and all that there are."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f'there is no {what} "{name}"{hint} (there are {", ".join(known) or "none"})'
