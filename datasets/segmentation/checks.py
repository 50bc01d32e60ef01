"""Looking at every file of a split before the first training step, and telling of all faults at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from datasets.faults import DataError, list_faults
from datasets.files import IGNORE
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.files import SegmentationFiles


@dataclass(frozen=True)
class SegmentationSummary:
    """What a sound split holds.

    Args:
        pixels: of every class, int64 [classes].
        present: which images have pixels of which classes, bool [images, classes].
        notes: what readers left out, a line each.
    """

    pixels: NDArray[np.int64]
    present: NDArray[np.bool_]
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The notes, to be printed."""
        return self.notes

    def balanced_weights(self, constant: float = 1.02) -> list[float]:
        """One weight a class, 1 / log(constant + share of pixels) (ENet, arXiv 1606.02147, Section 5.2).

        Their mean over the classes that occur is 1; a class that does not occur has weight 1.

        Args:
            constant: ENet has 1.02; ESPNet (arXiv 1803.06815) has 1.1 in its code, so that rare classes weigh less.
        """
        share = self.pixels / max(1, self.pixels.sum())
        weights = 1 / np.log(constant + share)
        occurs = self.pixels > 0
        return np.where(occurs, weights / weights[occurs].mean(), 1.0).tolist() if occurs.any() else [1.0] * len(share)


def check_segmentation(files: SegmentationFiles, threads: int = 4) -> SegmentationSummary:
    """Read every image and mask of a split, and its unlabelled images.

    Args:
        files: the split.
        threads: how many files are read at a time.

    Raises:
        DataError: one line for every file that cannot be read, whose mask and image differ in size, or whose mask
            holds a value that is no class; or if all masks hold only 0 and 255, or only 255.
    """

    samples = SegmentationDataset(files)

    def check(index: int) -> tuple[str | None, NDArray[np.int64]]:
        try:
            return None, np.bincount(samples.read(index)[1].ravel(), minlength=256)
        except DataError as error:
            return str(error), np.zeros(256, dtype=np.int64)

    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(check, range(len(samples)))
        label = f"Checking {files.split}"
        outcomes = list(track(results, label, total=len(samples), transient=True))
    faults = [fault for fault, _ in outcomes if fault]
    counts = np.array([pixels for _, pixels in outcomes[: len(files.pairs)]])
    faults += binary_fault(files, counts.sum(0))
    faults += [] if faults else void_fault(files, counts.sum(0))
    if faults:
        raise DataError(list_faults(faults, f"{files.root}, split {files.split}"))
    counts = counts[:, : len(files.names)]
    return SegmentationSummary(counts.sum(0), counts > 0, files.notes)


def check_files(*splits: SegmentationFiles) -> list[SegmentationSummary]:
    """`check_segmentation` of several splits, with the faults of all of them in one error.

    Raises:
        DataError: see `check_segmentation`.
    """
    summaries, faults = [], []
    for files in splits:
        try:
            summaries.append(check_segmentation(files))
        except DataError as error:
            faults.append(str(error))
    if faults:
        raise DataError("\n".join(faults))
    return summaries


def binary_fault(files: SegmentationFiles, pixels: NDArray[np.int64]) -> list[str]:
    """The fault of a split whose masks hold only 0 and 255, or none; `pixels` int64 [256] are those of every value."""
    if files.label_map is not None or not isinstance(files.pairs[0][1], Path):
        return []  # values are classes already
    if len(files.names) < 2 or np.flatnonzero(pixels).tolist() != [0, IGNORE]:
        return []
    return [
        f"{files.where}: every mask holds only 0 and 255, and 255 means void, so nothing is labelled "
        f'"{files.names[1]}"; save the masks with 1 in place of 255'
    ]


def void_fault(files: SegmentationFiles, pixels: NDArray[np.int64]) -> list[str]:
    """The same of a split whose masks hold only 255."""
    if np.flatnonzero(pixels).tolist() not in ([], [IGNORE]):
        return []
    return [f"{files.where}: every mask of split {files.split} holds only 255, which means void; label some pixels"]
