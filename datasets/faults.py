"""What is wrong with data, in words: the error of this layer, and messages of one line."""

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # no name has them: no text, or half of one
SHOWN, NAMED = 20, 10  # faults, and names in a message


class DataError(ValueError):
    """Something is wrong with the user's data or its options; the message names the file and says what to do."""


def one_line(text: object, most: int = 200) -> str:
    """A name or a message for a single line: control characters escaped, the middle cut beyond `most` characters."""
    line = CONTROL.sub(lambda match: ascii(match[0])[1:-1], str(text))
    return line if len(line) <= most else f"{line[: most // 2]}...{line[-most // 2 :]}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that there is not: the nearest one that there is, or nothing."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f'; did you mean "{near[0]}"?' if near else ""


def unknown_dataset(name: str, known: Sequence[str]) -> DataError:
    """What to raise for a dataset that there is not."""
    return DataError(f'there is no dataset "{name}"{did_you_mean(name, known)} (there are {", ".join(known)})')


def list_faults(faults: Iterable[str], where: str) -> str:
    """All faults in one message, a line each, the first 20 in full."""
    lines = [one_line(fault, 1000) for fault in faults]
    if len(lines) == 1:
        return lines[0]
    shown = "\n  ".join(lines[:SHOWN])
    rest = f"\n  and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return f"{where}: {len(lines)} faults\n  {shown}{rest}"


def counted(places: Sequence[str], one: str, several: str, what: str) -> list[str]:
    """A line such as "2 boxes without area dropped: a.xml, b.xml", with the first five places; none for no places."""
    if not places:
        return []
    rest = f" and {len(places) - 5} more" if len(places) > 5 else ""
    first = ", ".join(map(one_line, places[:5]))
    return [f"{len(places)} {one if len(places) == 1 else several} {what}: {first}{rest}"]


def class_faults(splits: Sequence[Any], fewest: int = 2) -> list[str]:
    """What is wrong with the classes of some splits taken together, a line each.

    Args:
        splits: anything with root, split and names.
        fewest: how many classes there must be.
    """
    first = splits[0]
    faults = []
    if len(first.names) < fewest:
        faults.append(f"{first.root}: only one class, {first.names[0]}; a classifier tells two or more apart")
    for files in splits[1:]:
        if files.names != first.names:
            difference = tell_difference(first.names, files.names, first.split, files.split)
            faults.append(f"{files.root}: the classes of {first.split} and {files.split} differ: {difference}")
    return faults


def tell_difference(first: Collection[str], second: Collection[str], one: str, other: str) -> str:
    """How two lists of class names differ, for a message.

    Args:
        first: the names of `one`.
        second: the names of `other`.
        one: what has the first names.
        other: what has the second names.
    """
    parts = []
    for mine, theirs, where in ((first, second, one), (second, first, other)):
        only = [name for name in mine if name not in theirs]
        if only:
            more = f" and {len(only) - NAMED} more" if len(only) > NAMED else ""
            parts.append(f"only in {where}: {', '.join(only[:NAMED])}{more}")
    return "; ".join(parts) or "they are in another order"
