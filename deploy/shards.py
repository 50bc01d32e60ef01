"""Images and results that are too many for one machine, on any file system that pyarrow has: disks, S3, GCS, Azure.

Needs pyarrow, which the extra ray brings. A shard is a Parquet file with a row an image. It is whole under its name or
not there, and the name follows from its images, so that whoever predicts these once more writes that very file again.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from datasets import IMAGE_SUFFIXES, DataError, read_image
from datasets.faults import one_line
from tasks.errors import TaskError
from tasks.lock import Locked, locked

COLUMNS = {"file": pa.string(), "height": pa.int32(), "width": pa.int32(), "result": pa.string(), "fault": pa.string()}
MADE_BY = b"mobiledense"  # of a shard's metadata
OPENED = 16  # shards at a time


@cache
def _file_system(root: str) -> tuple[fs.FileSystem, str]:
    return fs.FileSystem.from_uri(root)


def located(name: str) -> tuple[fs.FileSystem, str]:
    """The file system that a path, or a URI such as s3://BUCKET/KEY, is on, and the path there."""
    scheme, slashes, rest = name.removeprefix("file://").partition("://")
    if not slashes:
        return fs.LocalFileSystem(), os.path.abspath(scheme)
    bucket, _, key = rest.partition("/")  # the key apart, as it may have characters that no URI has
    files, base = _file_system(f"{scheme}://{bucket}")
    return files, f"{base}/{key}".rstrip("/")


def find_images(source: str) -> list[str]:
    """The images in a folder, at any depth, or of a list, each once.

    Args:
        source: a folder, in which what is hidden is left out, or a .txt with a path or URI a line; also as a URI.

    Returns:
        Absolute paths, or URIs. Those of a folder are sorted, those of a list in its order.

    Raises:
        DataError: if there is no image, or no way to them.
    """
    try:
        files, path = located(source)
        kind = files.get_file_info(path).type
        if kind == fs.FileType.Directory:
            start = path if isinstance(files, fs.LocalFileSystem) else source.rstrip("/")
            found = files.get_file_info(fs.FileSelector(path, recursive=True))
            below = (one.path[len(path) :] for one in found if one.type == fs.FileType.File)
            names = sorted(start + name for name in below if _is_image(PurePosixPath(name)))
        elif kind == fs.FileType.File and path.endswith(".txt"):
            with files.open_input_stream(path) as stream:
                lines = stream.read().decode("utf-8-sig").splitlines()
            names = [line if "://" in line else os.path.abspath(line) for line in map(str.strip, lines) if line]
        else:
            raise DataError(f"{source}: there is no such folder, and no such list of images, a .txt with one a line")
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{source}: cannot be read ({one_line(error)})") from None
    if not names:
        raise DataError(f"{source}: no images ({', '.join(IMAGE_SUFFIXES)}) in it")
    return [*dict.fromkeys(names)]


def _is_image(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not any(part.startswith(".") for part in path.parts)


def fetch_image(name: str) -> NDArray[np.uint8]:
    """An image, see `datasets.read_image`.

    Raises:
        DataError: if it is missing, or no image, as it will be the next time.
        OSError: if it could not be read this time.
    """
    files, path = located(name)
    try:
        with files.open_input_stream(path, compression=None) as stream:
            content = stream.read()
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    return read_image(Path(name), content)


class Shards:
    """The results in a folder, all of one network with the same options.

    Args:
        folder: a path or a URI; made if it is not there.
        made_by: what results depend on, to be told from others'.
    """

    def __init__(self, folder: str, made_by: dict[str, Any]) -> None:
        self.folder = folder if "://" in folder else os.path.abspath(folder)
        self.made_by = json.dumps(made_by, sort_keys=True).encode()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other jobs out of the folder meanwhile. In a bucket there is no lock, and nothing is kept out.

        Raises:
            TaskError: if another job is at work there, or the folder cannot be made.
        """
        files, path = located(self.folder)
        try:
            files.create_dir(path)
        except (OSError, pa.ArrowException) as error:
            raise TaskError(f"{self.folder}: cannot be made ({one_line(error)}); name another --output") from None
        if not isinstance(files, fs.LocalFileSystem):
            yield
            return
        try:
            with locked(Path(path, ".lock")):
                yield
        except Locked:
            raise TaskError(f"{self.folder}: another job writes there; wait for it, or name another --output") from None

    def finished(self) -> set[str]:
        """The names of all images that have a row.

        Raises:
            TaskError: if a file is of another network, other options, or nobody that we know.
        """
        files, path = located(self.folder)
        shards = [one.path for one in files.get_file_info(fs.FileSelector(path)) if one.path.endswith(".parquet")]
        with ThreadPoolExecutor(OPENED) as pool:
            return set().union(*pool.map(self._names, shards))

    def _names(self, path: str) -> set[str]:
        try:
            with located(self.folder)[0].open_input_file(path) as file:
                shard = pq.ParquetFile(file)
                made_by = (shard.schema_arrow.metadata or {}).get(MADE_BY)
                if made_by == self.made_by:
                    return {*shard.read(columns=["file"])["file"].to_pylist()}
        except (OSError, pa.ArrowException) as error:
            raise TaskError(f"{path}: cannot be read ({one_line(error)}); remove it") from None
        raise TaskError(f"{path}: is of another checkpoint or of other options; name another --output")

    def _path(self, images: Sequence[str]) -> str:
        name = hashlib.sha256("\n".join(images).encode()).hexdigest()[:24]
        return f"{located(self.folder)[1]}/{name}.parquet"

    def held(self, images: Sequence[str]) -> int:
        """How many rows the shard of these images has; 0 where it is not there."""
        files, path = located(self.folder)[0], self._path(images)
        there = files.get_file_info(path).type == fs.FileType.File
        return pq.read_metadata(path, filesystem=files).num_rows if there else 0

    def write(self, images: Sequence[str], rows: list[dict[str, Any]]) -> None:
        """Write the shard of these images: rows of what `COLUMNS` has, of those that could be read."""
        files, path = located(self.folder)[0], self._path(images)
        unfinished = f"{path.removesuffix('.parquet')}.{uuid4().hex}"  # a name that no other attempt has
        table = pa.Table.from_pylist(rows, pa.schema(COLUMNS, {MADE_BY: self.made_by}))
        pq.write_table(table, unfinished, filesystem=files, compression="zstd")
        files.move(unfinished, path)
