"""Whose folder it is: a training, a search and NetAdapt have files of the same names, and none replaces another's."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tasks.errors import RunError

LOCK = ".lock"
LEAVES = {"search": ("trials.db",), "NetAdapt": ("iteration_00.ckpt",), "training": ("last.ckpt", "best.ckpt")}


def held_by(folder: Path) -> str | None:
    """What left files in a folder, a key of `LEAVES`, or None if nothing did."""
    with suppress(OSError, TypeError, ValueError):
        if "trials" in json.loads((folder / "history.json").read_text(encoding="ascii")):
            return "search"  # whose trials may be in a database elsewhere
    return next((kind for kind, names in LEAVES.items() if any((folder / name).exists() for name in names)), None)


def require_own(folder: Path, kind: str, written: Sequence[str] = ()) -> None:
    """Refuse a folder of another kind than this one, a key of `LEAVES`, or of nobody's with files of the names written.

    Raises:
        RunError: if so.
    """
    held = held_by(folder)
    others = [] if held or (folder / LOCK).exists() else [name for name in written if (folder / name).exists()]
    if others or held not in (None, kind):
        what = f"files of a {held} run" if held else f"a {others[0]} that no run wrote"
        raise RunError(f"{folder}: holds {what}; name another --name or --output")
