"""One process at a time in a folder."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Locked(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock for as long as this process lives, at most; it ends with the process, however that is killed.

    The lock is the process's alone. One that children share, as flock's is, would be held by the loader workers of a
    killed run for some seconds more.

    Args:
        path: of a file for the lock, in a folder that is there.

    Raises:
        Locked: if another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Locked(str(path)) from None
        yield
    finally:
        os.close(descriptor)
