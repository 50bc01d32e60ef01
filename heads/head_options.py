"""Options of heads: their names, types and ranges, checked before a layer is built."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from heads.inputs import HeadError

WORDS = {int: "a whole number", float: "a number", bool: "true or false"}
RANGES = {"filters": (1, 4096), "width": (0.05, 8), "least_scale": (0.01, 0.9), "dropout": (0, 0.99)}


def check_options(name: str, known: Mapping[str, type], options: Mapping[str, Any]) -> None:
    """Refuse options that a head does not have, or with values that it cannot have.

    Args:
        name: of the head.
        known: the type of each option that it has: int, float or bool.
        options: as given; None is an option's default.

    Raises:
        HeadError: naming the option, and the nearest one where there is none of its name.
    """
    for option, value in options.items():
        if option not in known:
            raise HeadError(unknown(f"option of {name}", option, known))
        kind = known[option]
        fits = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        if value is not None and not fits:
            raise HeadError(f"option {option} of {name}: {value!r} is not {WORDS[kind]}")
        least, most = RANGES.get(option, (None, None))
        if value is not None and least is not None and not least <= value <= most:
            raise HeadError(f"option {option} of {name}: {value} is not in {least} to {most}")


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """What is said of a name that there is not: the nearest one, and all that there are."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f'there is no {what} "{name}"{hint} (there are {", ".join(known) or "none"})'
