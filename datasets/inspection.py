"""A look at every image and label of a dataset: the kinds of what can be wrong, and the loop that finds them.

The quick checks before training (checks.py and its kin) end at errors; this one goes on, counts everything, and keeps
what is needed to draw the offenders. Of an image no more is kept than its size and two hashes.
"""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from datasets.faults import DataError
from datasets.files import Colour
from datasets.images import read_header, read_image

KEPT = 200  # findings of a kind that are kept; the others are only counted
NAMED = 5  # of identical images, however many there are
CHUNK = 256  # images handed to the threads at a time, so that what waits does not grow with the dataset


@dataclass(frozen=True)
class Kind:
    """Something that can be wrong.

    Args:
        severity: "error" where training would stop or learn something false, "warning" where it would likely learn less
            than it could, "note" for what is good to know.
        what: a few words.
        advice: what it means and what to do.
    """

    severity: Literal["error", "warning", "note"]
    what: str
    advice: str


UNREADABLE = Kind(
    "error", "image cannot be read", "Training stops at it: save the file anew, or remove it and its label."
)
FAULTY = Kind("error", "faulty annotations or classes", "Training refuses to start: see what each line says.")
CONTRADICTORY = Kind(
    "error",
    "identical images with different labels",
    "The pixels are the same, the labels are not, so that one of them is false: keep the right one.",
)
LEAK = Kind(
    "warning",
    "identical images in two splits",
    "What was trained on is then evaluated on, and scores come out too high: remove it from one of them.",
)
DUPLICATE = Kind(
    "warning", "identical images in one split", "They count twice in training and in scores: keep one of them."
)
TURNED = Kind(
    "warning",
    "image turned by EXIF",
    "It is read upright, as viewers show it. See whether its label lies right; if not, the label was made for the "
    "image as stored: save the image without EXIF orientation.",
)
UNSEEN = Kind("warning", "class never seen", "A network cannot learn or be evaluated on what does not occur.")


@dataclass(frozen=True)
class Finding:
    """Something found.

    Args:
        kind: of what sort.
        text: one line that names the file.
        split: where.
        images: split and index of the images to draw.
        boxes: corners to mark in the first of them, float [n][4] in its pixels.
        count: how often, where one finding stands for several boxes.
    """

    kind: Kind
    text: str
    split: str
    images: tuple[tuple[str, int], ...] = ()
    boxes: tuple[tuple[float, ...], ...] = ()
    count: int = 1


@dataclass
class Findings:
    """Findings by kind: how many there are in each split, and the first of them, files named from `root` on."""

    root: Path
    counts: dict[Kind, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    kept: dict[Kind, list[Finding]] = field(default_factory=lambda: defaultdict(list))

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if few of its kind were found before."""
        self.counts[finding.kind][finding.split] += finding.count
        if len(self.kept[finding.kind]) < KEPT:
            text = re.sub(rf"(?<![\w./-]){re.escape(str(self.root))}/", "", finding.text)
            self.kept[finding.kind].append(replace(finding, text=text))

    def total(self, severity: str) -> int:
        """How many findings of a severity there are."""
        return sum(counts.total() for kind, counts in self.counts.items() if kind.severity == severity)

    def kinds(self) -> list[Kind]:
        """Kinds that occur, errors first."""
        order = ("error", "warning", "note")
        return sorted(self.counts, key=lambda kind: order.index(kind.severity))


@dataclass(frozen=True)
class Look:
    """What a look at one image told: height and width, hashes of pixels and label, findings, and counts to be added."""

    size: tuple[int, int] = (0, 0)
    pixels: bytes = b""
    label: bytes = b""
    findings: Sequence[Finding] = ()
    counts: Any = None


@dataclass(frozen=True)
class Sample:
    """What there is to draw: image uint8 [H, W, 3] RGB, mask uint8 [H, W], boxes float32 [n, 4], labels int64 [n]."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None = None
    boxes: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


class Inspected:
    """One split of a dataset while it is inspected; each task has its own kind of it.

    Attributes:
        root: where the data is.
        split: its name.
        names: of the classes.
        colours: of the classes, where they are drawn.
        images: the images' paths, or what they are called.
        sizes: height and width of every image that could be read, int64 [N, 2]; 0 of the others.
        columns: counts of every class, int64 [classes], under a heading each; the first is the number of images.
        unlabelled: images without any label.
    """

    turned = TURNED

    def __init__(self, root: Path, split: str, names: list[str], images: Sequence[Path | str]) -> None:
        self.root, self.split, self.names, self.images = root, split, names, images
        self.sizes = np.zeros((len(images), 2), dtype=np.int64)
        self.columns: dict[str, NDArray[np.int64]] = {}
        self.unlabelled = 0
        self.colours: list[Colour] = []

    def read(self, index: int) -> NDArray[np.uint8]:
        """An image, uint8 [H, W, 3] RGB."""
        return read_image(Path(self.images[index]))

    def label(self, index: int) -> str:
        """What an image is labelled, if a word tells it."""
        return ""

    def sample(self, index: int) -> Sample:
        """An image with its label, as far as they can be read, to be drawn.

        Raises:
            DataError: if the image cannot be read.
        """
        return Sample(self.read(index))

    def examine(self, index: int, image: NDArray[np.uint8]) -> Look:
        """What the label of a readable image tells; called from several threads."""
        raise NotImplementedError

    def add(self, look: Look) -> None:
        """Take the counts of one look into `columns`; called from one thread."""

    def conclude(self) -> Iterator[Finding]:
        """What is to be said of the split as a whole, once every image was looked at."""
        yield from ()

    def knows_turn(self, index: int, orientation: int) -> bool:
        """Whether the label tells that it is for the image as an EXIF orientation above 1 turns it."""
        return False

    def find(self, kind: Kind, index: int, text: str, boxes: Any = (), count: int = 1) -> Finding:
        """A finding in one image."""
        return Finding(kind, text, self.split, ((self.split, index),), tuple(map(tuple, boxes)), count)

    def look(self, index: int) -> Look:
        """Read an image and its label, and say what is wrong with them."""
        try:
            image = self.read(index)
        except DataError as error:
            return Look(findings=[self.find(UNREADABLE, index, str(error))])
        look = self.examine(index, image)
        findings = [*look.findings, *self._turned(index)]
        return Look((image.shape[0], image.shape[1]), digest(image), look.label, findings, look.counts)

    def _turned(self, index: int) -> list[Finding]:
        header = read_header(Path(self.images[index]))
        if header is None or header[1] == 1 or self.knows_turn(index, header[1]):
            return []
        return [self.find(self.turned, index, f"{self.images[index]}: EXIF orientation {header[1]}")]


def digest(array: NDArray[Any]) -> bytes:
    """A hash of an array's shape and content."""
    content = np.ascontiguousarray(array)
    return hashlib.blake2b(content.data, digest_size=16, salt=str(content.shape).encode()[:16]).digest()


def inspect_splits(splits: Sequence[Inspected], threads: int | None = None) -> Findings:
    """Look at everything, and tell of all that is found; each split's counts are in it afterwards.

    Args:
        splits: of one dataset and one task.
        threads: how many images are read at a time, by default one a core. Decoding and hashing run side by side in
            threads, as they let go of the interpreter's lock.
    """
    findings = Findings(splits[0].root)
    hashes: dict[bytes, list[tuple[int, int, bytes]]] = defaultdict(list)  # where each content is, and its label
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for number, split in enumerate(splits):
            count = len(split.images)
            chunks = (range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))
            looks = chain.from_iterable(pool.map(split.look, chunk) for chunk in chunks)
            for index, look in enumerate(track(looks, f"Reading {split.split}", total=count, transient=True)):
                split.sizes[index] = look.size
                if look.pixels:
                    hashes[look.pixels].append((number, index, look.label))
                split.add(look)
                for finding in look.findings:
                    findings.add(finding)
            for finding in split.conclude():
                findings.add(finding)
    for finding in chain(_identical(splits, hashes.values()), _unseen(splits)):
        findings.add(finding)
    return findings


def _identical(splits: Sequence[Inspected], groups: Iterable[list[tuple[int, int, bytes]]]) -> Iterator[Finding]:
    for group in groups:
        if len(group) < 2:
            continue
        several, labels = {number for number, _, _ in group}, {label for _, _, label in group if label}
        kind = CONTRADICTORY if len(labels) > 1 else LEAK if len(several) > 1 else DUPLICATE
        # of many alike, one of every split and label is named before a second
        ranks, seen = [], Counter[tuple[int, bytes]]()
        for number, _, label in group:
            ranks.append(seen[number, label])
            seen[number, label] += 1
        named = [group[at] for at in np.argsort(ranks, kind="stable")[:NAMED]]
        places = []
        for number, index, _ in named:
            told = ", ".join(part for part in (splits[number].split, splits[number].label(index)) if part)
            places.append(f"{splits[number].images[index]} ({told})")
        rest = f" and {len(group) - NAMED:,} more" if len(group) > NAMED else ""
        where = " and ".join(splits[number].split for number in sorted(several))
        images = tuple((splits[number].split, index) for number, index, _ in named)
        yield Finding(kind, " = ".join(places) + rest, where, images)


def _unseen(splits: Sequence[Inspected]) -> Iterator[Finding]:
    """Classes that no image of a split has, and which splits have them."""
    seen = [
        {name for name, images in zip(s.names, next(iter(s.columns.values())), strict=True) if images} for s in splits
    ]
    for split, there in zip(splits, seen, strict=True):
        for name in split.names:
            if name not in there:
                elsewhere = [other.split for other, names in zip(splits, seen, strict=True) if name in names]
                hint = f"; it is in {', '.join(elsewhere)}" if elsewhere else ""
                yield Finding(UNSEEN, f"no {name} in {split.split}{hint}", split.split)
