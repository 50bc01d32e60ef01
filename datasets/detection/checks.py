"""Looking at every image and annotation of a detection split before the first step, as checks.py does for masks."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from datasets.detection.files import DetectionFiles, Size, size_fault
from datasets.faults import SHOWN, DataError, counted, list_faults
from datasets.images import read_header, read_image


@dataclass(frozen=True)
class DetectionSummary:
    """What a sound split holds, crowds apart.

    Args:
        boxes: of every class, int64 [classes].
        images: with boxes of every class, int64 [classes].
        without_boxes: images that have none.
        notes: what was put right or may surprise, a line each.
    """

    boxes: NDArray[np.int64]
    images: NDArray[np.int64]
    without_boxes: int
    notes: list[str]

    def lines(self, most: int = SHOWN) -> list[str]:
        """The first `most` notes, to be printed."""
        rest = [f"and {len(self.notes) - most} more notes"] if len(self.notes) > most else []
        return self.notes[:most] + rest


def check_detection(files: DetectionFiles, threads: int = 4) -> DetectionSummary:
    """Read every image of a split, and tell of all that is wrong with images and annotations at once.

    Boxes are for the upright image, as most tools show it. Where an image is turned by EXIF and its sides do not
    tell whether its boxes are meant so (upside down, mirrored, square, or no declared size), that is a note.

    Args:
        files: the split.
        threads: how many images are read at a time.

    Raises:
        DataError: one line for every fault of the annotations, every image that cannot be read, and every one whose
            size is not the one that its annotation declares; or if there are no images, or no boxes.
    """
    return check_files(files, threads=threads)[0]


def check_files(*splits: DetectionFiles, threads: int = 4) -> list[DetectionSummary]:
    """`check_detection` of several splits, with the faults of all of them in one error.

    Raises:
        DataError: see `check_detection`.
    """
    summaries, messages = [], []
    for files in splits:
        summary, faults = _examine(files, threads)
        summaries.append(summary)
        if faults:
            messages.append(list_faults(faults, f"{files.root}, split {files.split}"))
    if messages:
        raise DataError("\n".join(messages))
    return summaries


def _examine(files: DetectionFiles, threads: int) -> tuple[DetectionSummary, list[str]]:
    with ThreadPoolExecutor(threads) as pool:
        images, sizes = files.image_paths + files.unlabelled, files.sizes + [None] * len(files.unlabelled)
        results = pool.map(_check_image, images, sizes)
        outcomes = list(track(results, f"Checking {files.split}", total=len(images), transient=True))
    faults = files.faults + [fault for fault, _ in outcomes if fault]
    turned = [image.name for image, (_, turns) in zip(files.image_paths, outcomes, strict=False) if turns]
    summary = _summarise(files, turned)
    if not files.image_paths:
        faults.append(f"{files.root}: split {files.split} is empty")
    elif not summary.boxes.any():
        faults.append(f"{files.root}: no image of split {files.split} has a box to learn from; annotate some")
    return summary, faults


def _check_image(image: Path, declared: Size | None) -> tuple[str | None, bool]:
    """What is wrong with an image, and whether EXIF turns it in a way that its annotation tells nothing of."""
    try:
        fault = size_fault(image, declared, read_image(image).shape[:2])
    except DataError as error:
        return str(error), False
    header = read_header(image)
    told = declared is not None and declared[0] != declared[1]  # whether the sides tell of a quarter turn
    turns = header is not None and header[1] != 1 and not (header[1] >= 5 and told)
    return fault, turns and fault is None


def _summarise(files: DetectionFiles, turned: list[str]) -> DetectionSummary:
    boxes = np.zeros(len(files.names), dtype=np.int64)
    images = np.zeros_like(boxes)
    crowds = without_boxes = 0
    for objects in files.objects:
        counts = np.bincount(objects.labels[~objects.crowd], minlength=len(files.names))
        boxes += counts
        images += counts > 0
        crowds += int(objects.crowd.sum())
        without_boxes += not counts.any()
    what = "turned by EXIF, with boxes read as for the upright image"
    notes = [*files.notes, *counted(turned, "image", "images", what)]
    if crowds:
        notes.append(f"{crowds} crowd region{'s' * (crowds > 1)} left out of training")
    if without_boxes:
        notes.append(f"{without_boxes} image{'s' * (without_boxes > 1)} without boxes")
    unseen = [name for name, count in zip(files.names, boxes, strict=True) if not count]
    notes += counted(unseen, "class", "classes", "without boxes")
    return DetectionSummary(boxes, images, without_boxes, notes)
