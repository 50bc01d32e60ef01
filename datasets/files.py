"""Files and folders, and lists of names in them, with errors that name the file."""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from datasets.faults import CONTROL, DataError, one_line

IGNORE = 255
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
LONGEST = 1000  # characters in a line of a list
Colour = tuple[int, int, int]


def is_inside(name: str) -> bool:
    """Whether a name in an annotation or an archive stays in its folder: neither absolute nor with "..", and no NUL."""
    path = PurePath(name)
    return not path.anchor and ".." not in path.parts and "\0" not in name


def require_file(path: Path) -> None:
    """Refuse what is no file before it is opened: to read a pipe or a device may take for ever.

    Raises:
        DataError: if the path is missing, cannot be reached, or is a folder, pipe, socket or device.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"{one_line(path, 1000)}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{one_line(path, 1000)}: cannot be read ({getattr(error, 'strerror', error)})") from None
    if not stat.S_ISREG(mode):
        raise DataError(f"{path}: cannot be read (it is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'})")


def read_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        DataError: if there is none, or it cannot be read.
    """
    require_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def default_colours(count: int) -> list[Colour]:
    """The VOC colour map: index bits spread over red, green and blue, so that neighbours differ."""
    colours = []
    for index in range(count):
        red = green = blue = 0
        value = index
        for shift in range(7, -1, -1):
            red |= (value & 1) << shift
            green |= (value >> 1 & 1) << shift
            blue |= (value >> 2 & 1) << shift
            value >>= 3
        colours.append((red, green, blue))
    return colours


def read_lines(path: Path, longest: int = LONGEST) -> list[str]:
    """The lines of a text file in UTF-8, with or without a byte order mark, ended as on any system.

    Args:
        path: of the file.
        longest: how many characters a line may have.

    Raises:
        DataError: if it is missing, in another encoding, or no list: with control characters or lines beyond reason.
    """
    try:
        lines = re.split("\r\n|\r|\n", read_bytes(path).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    for number, line in enumerate(lines, start=1):
        if len(line) > longest:
            raise DataError(f"{path}: line {number} has {len(line):,} characters; is this the right file?")
        if CONTROL.search(line.replace("\t", " ")):
            raise DataError(f"{path}: line {number} has control characters; save it as plain text")
    return lines


def split_colour(line: str) -> tuple[str, Colour | None]:
    """The name and the colour of a line "name R G B" of labels.txt, with spaces or commas between; or name and None."""
    match = re.fullmatch(r"(.+?)[\s,]+([0-9]+)[\s,]+([0-9]+)[\s,]+([0-9]+)[\s,]*", line.strip())
    return (match[1], (int(match[2]), int(match[3]), int(match[4]))) if match else (line.strip(), None)


def refuse_doubles(path: Path, names: list[str]) -> None:
    """Refuse class names of which one is listed twice.

    Raises:
        DataError: if so.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{path}: {one_line(', '.join(twice))} listed twice")


class LabelLines(NamedTuple):
    """The lines of a labels.txt: names with their colours, mask values as text if they have any, and those of void."""

    classes: list[str]
    values: list[str]
    void: str


def read_label_lines(path: Path) -> LabelLines:
    """The lines of a labels.txt, each a class "name", "name R G B", "name = VALUES" or "name R G B = VALUES".

    VALUES are the values from 0 to 255 that stand for the class in masks, with spaces or commas between. Where lines
    have them, all have, and a line "void = VALUES" says what is ignored; "void = others" is all that no line has.

    Raises:
        DataError: if the file is missing, or has values in some lines only.
    """
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    found = [match for line in lines if (match := re.fullmatch(r"(.*\S)\s+=\s+([0-9][0-9\s,]*|others)", line))]
    if not found:
        return LabelLines(lines, [], "")
    if len(found) < len(lines):
        raise DataError(
            f'{path}: {len(found)} of {len(lines)} lines end in "= VALUES"; give mask values to all classes or to none'
        )
    classes = [match for match in found if match[1] != "void"]
    void = " ".join(match[2] for match in found if match[1] == "void")
    return LabelLines([match[1] for match in classes], [match[2] for match in classes], void)


def read_labels(path: Path) -> tuple[list[str], list[Colour] | None]:
    """Class names of a labels.txt, a line each, and their colours if every line has "R G B" behind the name.

    Raises:
        DataError: if the file is missing, empty, names a class twice, or gives colours to some classes only.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; write one class name a line, the first being mask value 0")
    entries = [split_colour(line) for line in read_label_lines(path).classes]
    names = [name for name, _ in entries]
    if not names:
        raise DataError(f"{path}: no class names in it; write one a line, the first being mask value 0")
    refuse_doubles(path, names)
    if len(names) > IGNORE:
        raise DataError(f"{path}: {len(names)} classes; masks of eight bits hold 255 at most, as value 255 is void")
    given = [colour for _, colour in entries if colour is not None]
    if any(max(colour) > 255 for colour in given):
        raise DataError(f"{path}: colours are numbers from 0 to 255")
    if given and len(given) < len(names):
        raise DataError(
            f'{path}: {len(given)} of {len(names)} classes have a colour; give "name R G B" for all or for none'
        )
    shared = sorted(colour for colour, count in Counter(given).items() if count > 1)
    if shared:
        raise DataError(f"{path}: colour {shared[0]} stands for several classes")
    return names, given or None


def is_image(name: str) -> bool:
    """Whether a file's name is an image's, and not a hidden one's."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def walk(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder from `top` down and the names of what else is in it; a folder that links lead back to comes once.

    Raises:
        DataError: if a folder cannot be read, as its images would be missing without a word.
    """
    waiting, seen = [str(top)], set()
    while waiting:
        folder = waiting.pop()
        try:
            info = os.stat(folder)
            if (info.st_dev, info.st_ino) in seen:
                continue
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{folder}: cannot be read ({error.strerror})") from None
        seen.add((info.st_dev, info.st_ino))
        below = {entry.path for entry in entries if os.path.isdir(entry)}  # not a link to itself, where is_dir raises
        waiting += sorted(below, reverse=True)
        yield folder, [entry.name for entry in entries if entry.path not in below]


def files_below(folder: Path) -> list[str]:
    """All files from a folder down by their names from it on, with / between, in order; hidden ones are left out.

    Raises:
        DataError: see `walk`.
    """
    found = (Path(top, name).relative_to(folder) for top, names in walk(folder) for name in names)
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
