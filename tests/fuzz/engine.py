"""Runs mutated files through our readers, and judges each outcome by an independent reading of the same file.

A format is a function (random, folder, structural) that writes a sound tree, mutates one file of it, and returns a
`Case`. The same seed writes the same cases.
"""

import contextlib
import io
import os
import shutil
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.faults import DataError

GOOD = ("right sample", "note", "error")
BAD = ("wrong sample", "sound file refused", "error names no file", "traceback", "hang")
SECONDS = 10  # for one file of a few kilobytes


class Reading(NamedTuple):
    """What a file holds, and what has to be or was said about it: notes of ours, reasons for one of theirs."""

    sample: Any
    notes: list[str]


class Refused(Exception):
    """An independent reader finds no single meaning in a file."""


@dataclass
class Case:
    """One mutated file.

    Attributes:
        mutation: what was done to it.
        names: errors must have one of these texts in them: paths, mostly.
        ours: reads it with our readers.
        theirs: reads it with others, and raises what it likes where the file cannot be read or means no one thing.
        harmless: the mutation leaves the meaning as it was, so that our readers must not refuse the file.
        close: how far pixels may be off, for decoders of JPEG that round otherwise.
    """

    mutation: str
    names: Sequence[str]
    ours: Callable[[], Reading]
    theirs: Callable[[], Reading]
    harmless: bool = False
    close: int = 0


Format = Callable[[np.random.Generator, Path, bool], Case]


class Slow(BaseException):
    """The time is up; no reader's `except Exception` takes this."""


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Slow

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(case: Case) -> tuple[str, str]:
    """The outcome of a case, and what was said."""
    try:
        with time_limit(SECONDS), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            reading = case.ours()
    except DataError as error:
        if case.harmless:
            return "sound file refused", str(error)
        named = any(name in str(error) for name in case.names)
        return "error" if named else "error names no file", str(error)
    except Slow:
        return "hang", f"longer than {SECONDS} s"
    except (Exception, SystemExit) as error:
        return "traceback", f"{type(error).__name__}: {error}"
    try:
        with time_limit(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = case.theirs()
    except (Exception, Slow) as error:
        return "wrong sample", f"ours was read, theirs says {type(error).__name__}: {error}"
    difference = differ(reading.sample, expected.sample, case.close)
    if difference:
        return "wrong sample", difference
    if expected.notes and not reading.notes:
        return "wrong sample", f"nothing was said of: {expected.notes}"
    return ("note", "; ".join(reading.notes)) if reading.notes else ("right sample", "")


def differ(ours: Any, theirs: Any, close: int = 0, where: str = "sample") -> str:
    """Where two samples differ first, or ""."""
    if isinstance(theirs, np.ndarray) or isinstance(ours, np.ndarray):
        one, other = np.asarray(ours), np.asarray(theirs)
        if one.shape != other.shape:
            return f"{where}: shape {one.shape}, expected {other.shape}"
        gap = np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0)
        return "" if gap <= close else f"{where}: off by {gap}: {one.ravel()[:12]}, expected {other.ravel()[:12]}"
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if list(ours) != list(theirs):
            return f"{where}: keys {list(ours)}, expected {list(theirs)}"
        pairs = [(f"{where}.{key}", ours[key], theirs[key]) for key in theirs]
    elif isinstance(theirs, list | tuple) and isinstance(ours, list | tuple):
        if len(ours) != len(theirs):
            return f"{where}: {len(ours)} entries, expected {len(theirs)}"
        pairs = [(f"{where}[{index}]", *pair) for index, pair in enumerate(zip(ours, theirs, strict=True))]
    else:
        return "" if ours == theirs and type(ours) is type(theirs) else f"{where}: {ours!r}, expected {theirs!r}"
    return next((found for name, a, b in pairs if (found := differ(a, b, close, name))), "")


class Outcomes(NamedTuple):
    """Outcomes by count, and the cases that went wrong: (format, number, mutation, outcome, what was said)."""

    counts: Counter[tuple[str, str]]
    failures: list[tuple[str, int, str, str, str]]


def fuzz(formats: dict[str, Format], total: int, seed: int) -> Outcomes:
    """`total` mutations, spread evenly over the formats; every other one is structural."""
    counts: Counter[tuple[str, str]] = Counter()
    failures = []
    for place, (name, make) in enumerate(formats.items()):
        for number in range(total // len(formats) + (place < total % len(formats))):
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            try:
                case = make(np.random.default_rng([seed, *name.encode(), number]), folder, number % 2 == 0)
                outcome, said = judge(case)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            counts[name, outcome] += 1
            if outcome in BAD:
                failures.append((name, number, case.mutation, outcome, said))
    return Outcomes(counts, failures)


def table(counts: Counter[tuple[str, str]], formats: Sequence[str]) -> str:
    """Counts as a table, a row a format and a last one for all."""
    rows = [["format", *GOOD, *BAD]]
    for name in formats:
        rows.append([name, *(str(counts[name, outcome]) for outcome in (*GOOD, *BAD))])
    totals = [sum(counts[name, outcome] for name in formats) for outcome in (*GOOD, *BAD)]
    rows.append(["all", *map(str, totals)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        row[0].ljust(widths[0])
        + "".join(cell.rjust(width + 2) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def put_something_else(random: np.random.Generator, path: Path) -> str:
    """Something that is no file of any format in place of one, and what it is."""
    kind = str(random.choice(["nothing", "folder", "pipe", "empty file", "loop of links", "device", "zeros"]))
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop of links":
        path.symlink_to(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind in ("empty file", "zeros"):
        path.write_bytes(b"" if kind == "empty file" else bytes(1000))
    return f"{kind} in its place"


def damage(random: np.random.Generator, content: bytes, other: bytes = b"") -> tuple[str, bytes]:
    """Bytes flipped, cut off, cut out, put in, doubled, or taken from another file."""
    size = len(content)
    kind = str(random.choice(["flip", "flips", "byte", "cut", "hole", "insert", "double", "splice", "zeros", "swap"]))
    start = int(random.integers(size)) if size else 0
    stop = min(size, start + int(random.integers(1, 40)))
    made = bytearray(content)
    if kind in ("flip", "flips") and size:
        for _ in range(1 if kind == "flip" else 8):
            made[int(random.integers(size))] ^= 1 << int(random.integers(8))
    elif kind == "byte" and size:
        made[start] = int(random.integers(256))
    elif kind == "cut":
        made = made[:start]
    elif kind == "hole":
        del made[start:stop]
    elif kind == "insert":
        made[start:start] = random.bytes(stop - start)
    elif kind == "double":
        made[start:start] = content[start:stop]
    elif kind == "splice":
        made[start:] = other[int(random.integers(len(other) or 1)) :] if other else content[start // 2 :]
    elif kind == "zeros":
        made[start:stop] = bytes(stop - start)
    elif kind == "swap":
        made[start:stop] = content[start:stop][::-1]
    return f"{kind} at {start}", bytes(made)


def pick(random: np.random.Generator, values: Sequence[Any]) -> Any:
    """One of some values, whatever they are."""
    return values[int(random.integers(len(values)))]
