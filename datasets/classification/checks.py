"""Looking at every image and class of classification splits before the first step, as checks.py does for masks."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.progress import track

from datasets.classification.files import ClassificationFiles
from datasets.files import DataError, read_image
from datasets.segmentation.checks import list_faults

NAMED = 10


def check_classification(*splits: ClassificationFiles, read: bool = True, threads: int = 4) -> None:
    """Tell of all that is wrong with some splits at once.

    Args:
        *splits: as `find_classification` gives them, with the same classes.
        read: read every image that is not held in memory already.
        threads: how many images are read at a time.

    Raises:
        DataError: one line for every fault of the files, every image that cannot be read, and every split that is
            empty or has other classes than the first; or if there is one class only.
    """
    messages = []
    for files in splits:
        faults = files.faults + (_unreadable(files, threads) if read and files.images is None else [])
        if not files.image_paths and not faults:
            faults = [f"{files.root}: split {files.split} is empty"]
        if faults:
            messages.append(list_faults(faults, f"{files.root}, split {files.split}"))
    messages += class_faults(splits)
    if messages:
        raise DataError("\n".join(dict.fromkeys(messages)))


def class_faults(splits: Sequence[Any], fewest: int = 2) -> list[str]:
    """What is wrong with the classes of some splits taken together, a line each.

    Args:
        splits: anything with root, split and names.
        fewest: how many classes there must be.
    """
    first = splits[0]
    faults = []
    if len(first.names) < fewest:
        faults.append(f"{first.root}: only one class, {first.names[0]}; a classifier tells two or more apart")
    for files in splits[1:]:
        if files.names != first.names:
            difference = tell_difference(first.names, files.names, first.split, files.split)
            faults.append(f"{files.root}: the classes of {first.split} and {files.split} differ: {difference}")
    return faults


def _unreadable(files: ClassificationFiles, threads: int) -> list[str]:
    def fault(image: str) -> str | None:
        try:
            read_image(Path(image))
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(fault, files.image_paths)
        label = f"Checking {files.split}"
        return [found for found in track(results, label, total=len(files.image_paths), transient=True) if found]


def tell_difference(first: Collection[str], second: Collection[str], one: str, other: str) -> str:
    """How two lists of class names differ, for a message.

    Args:
        first: the names of `one`.
        second: the names of `other`.
        one: what has the first names.
        other: what has the second names.
    """
    parts = []
    for mine, theirs, where in ((first, second, one), (second, first, other)):
        only = [name for name in mine if name not in theirs]
        if only:
            more = f" and {len(only) - NAMED} more" if len(only) > NAMED else ""
            parts.append(f"only in {where}: {', '.join(only[:NAMED])}{more}")
    return "; ".join(parts) or "they are in another order"
