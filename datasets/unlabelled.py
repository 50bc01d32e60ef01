"""Images without labels, from which a teacher teaches."""

from collections.abc import Iterable
from pathlib import Path

from datasets.faults import DataError
from datasets.files import files_below, is_image


def find_unlabelled(folder: Path, own: Iterable[Path]) -> list[Path]:
    """The images below a folder, but for those that are trained on and validated on already, in order.

    Args:
        folder: of the option --unlabelled.
        own: the images of both splits.

    Raises:
        DataError: if there are none.
    """
    if not folder.is_dir():
        raise DataError(f"--unlabelled {folder}: no such folder")
    found, known = [folder / name for name in files_below(folder) if is_image(name)], {path.resolve() for path in own}
    images = [path for path in found if path.resolve() not in known]
    if not images:
        also = f" besides the {len(found)} of the splits to train and validate on" if found else ""
        raise DataError(f"--unlabelled {folder}: no images in it{also}")
    return images
