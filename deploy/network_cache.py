"""Converted networks in the user's cache, each with a checksum, so that none is converted twice."""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from tasks.errors import TaskError
from tasks.writing import whole

KEPT = 20  # entries, those used last
ABANDONED = 3600  # seconds after which what is half-written is that of a process that was killed


def cache_folder() -> Path:
    """mobiledense/networks in XDG_CACHE_HOME, or in .cache of the user's home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mobiledense" / "networks"


def read_entry(key: str) -> bytes | None:
    """What was written under a key, or None if there is nothing, or no longer what was written."""
    path = cache_folder() / key
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    with suppress(OSError):
        path.touch()
    return content


def write_entry(key: str, content: bytes) -> None:
    """Keep something under a key; a cache that cannot be written is done without.

    Entries are whole or not there, so that processes may write one at the same time.
    """
    with suppress(TaskError, OSError):
        with whole(cache_folder() / key) as unfinished:
            unfinished.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        entries = sorted(cache_folder().glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        left = [path for path in cache_folder().glob(".part*") if path.stat().st_mtime < time.time() - ABANDONED]
        for path in [*entries[KEPT:], *left]:
            path.unlink(missing_ok=True)
