"""Results on disk: each file is whole under its name or is not there, and a failure is one line that names it."""

import csv
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tasks.errors import TaskError

ROWS = 64  # of a picture that are compressed at a time


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


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] RGB as a PNG, as fast as OpenCV and with little memory beside the picture's own.

    Raises:
        TaskError: if the file cannot be written.
    """
    with whole(path) as unfinished, unfinished.open("wb") as file:
        height, width = image.shape[:2]
        file.write(b"\x89PNG\r\n\x1a\n")
        _write_chunk(file, b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
        compressor = zlib.compressobj(1, strategy=zlib.Z_RLE)
        for top in range(0, height, ROWS):
            rows = image[top : top + ROWS].reshape(-1, 3 * width)
            filtered = np.empty((len(rows), 1 + 3 * width), dtype=np.uint8)
            filtered[:, 0] = 1  # each value less the one a pixel before it
            filtered[:, 1:4] = rows[:, :3]
            np.subtract(rows[:, 3:], rows[:, :-3], out=filtered[:, 4:])
            _write_chunk(file, b"IDAT", compressor.compress(filtered.data))
        _write_chunk(file, b"IDAT", compressor.flush())
        _write_chunk(file, b"IEND", b"")


def _write_chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
