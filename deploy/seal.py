"""A hash inside an exported file, over the file itself, so that a changed or truncated one is noticed."""

import hashlib
import re
from pathlib import Path

from deploy.extras import DeployError

ZEROS = "0" * 64
FIELD = re.compile(rb'(sha256\\*"\s*:\s*\\*")([0-9a-f]{64})|(sha256&quot;\s*:\s*&quot;)([0-9a-f]{64})')


def _split(path: Path) -> tuple[bytearray, slice]:
    """A file's bytes with zeros in place of its hash, and where that is."""
    content = bytearray(path.read_bytes())
    found = FIELD.search(content)
    if found is None:
        raise DeployError(f"{path}: has no checksum, so that no tool of this package wrote it; export it again")
    start, stop = found.span(2) if found[2] else found.span(4)
    return content, slice(start, stop)


def _digest(content: bytes, beside: tuple[Path, ...]) -> str:
    found = hashlib.sha256(content)
    for path in beside:
        found.update(path.read_bytes())
    return found.hexdigest()


def seal(path: Path, *beside: Path) -> None:
    """Write the hash of a file, and of others beside it, into its description, which has zeros there."""
    content, place = _split(path)
    content[place] = _digest(bytes(content), beside).encode()
    path.write_bytes(content)


def require_sealed(path: Path, *beside: Path) -> None:
    """Refuse a file that is not as it was written.

    Raises:
        DeployError: if so.
    """
    content, place = _split(path)
    said = bytes(content[place]).decode()
    content[place] = ZEROS.encode()
    if _digest(bytes(content), beside) != said:
        either = " or ".join(map(str, (path, *beside)))
        raise DeployError(f"{either}: was changed or damaged since it was exported; export it again")
