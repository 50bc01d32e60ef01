"""Looking at every image and class of classification splits before the first step, as checks.py does for masks."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.progress import track

from datasets.classification.files import ClassificationFiles
from datasets.faults import DataError, class_faults, list_faults
from datasets.images import read_image

NAMED = 10


def check_classification(*splits: ClassificationFiles, read: bool = True, threads: int = 4) -> None:
    """Tell of all that is wrong with some splits at once.

    Args:
        *splits: as `find_files` gives them, with the same classes.
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
