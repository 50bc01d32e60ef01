"""Results on disk: each file is whole under its name or is not there, and a failure is one line that names it."""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.errors import TaskError

ROWS = 256  # of an image whose channels are swapped at a time


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` to write into, which takes its name once it is whole; makes the folder.

    Whatever ends the block early removes it again, and leaves what was at `path` before.

    Raises:
        TaskError: if the file cannot be written.
    """
    # a name of its own for each process; no longer than the result's, which may have all the 255 bytes that there are
    unfinished = path.with_name(f".part{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise TaskError(f"{path}: could not be written ({error.strerror or error})") from None
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_json(path: Path, content: Any, indent: int | None = 1) -> None:
    """Write plain values as JSON in ASCII.

    Raises:
        TaskError: if the file cannot be written.
    """
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=indent), encoding="ascii")


def write_table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV in UTF-8; bytes of file names that are none are written as backslash escapes.

    Raises:
        TaskError: if the file cannot be written.
    """
    with whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as to:
        csv.writer(to).writerows(rows)


def write_image(path: Path, image: NDArray[np.uint8], spend: bool = False) -> None:
    """Write uint8 [H, W, 3] RGB as a PNG.

    Args:
        path: of the PNG.
        image: what to write.
        spend: whether its values may be lost, which saves the memory of a second one of its size.

    Raises:
        TaskError: if the file cannot be written.
    """
    with whole(path) as unfinished:
        bgr = image if spend else image.copy()
        for top in range(0, len(bgr), ROWS):
            bgr[top : top + ROWS] = bgr[top : top + ROWS, :, ::-1].copy()
        made, content = cv2.imencode(".png", bgr)
        if not made:
            raise OSError(f"no PNG of {image.shape[1]}x{image.shape[0]} can be made")
        unfinished.write_bytes(content.data)
