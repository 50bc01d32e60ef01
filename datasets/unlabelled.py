"""Images without labels, from which a teacher teaches."""

from collections.abc import Iterable
from pathlib import Path

from datasets.faults import DataError, list_faults
from datasets.files import files_below, is_image
from datasets.images import read_header


def find_unlabelled(folder: Path, own: Iterable[Path]) -> list[Path]:
    """The images below a folder, but for those that are trained on and validated on already, in order.

    Args:
        folder: of the option --unlabelled.
        own: the images of both splits.

    Raises:
        DataError: if there are none, or some are no images.
    """
    if not folder.is_dir():
        raise DataError(f"--unlabelled {folder}: no such folder")
    found, known = [folder / name for name in files_below(folder) if is_image(name)], {path.resolve() for path in own}
    images = [path for path in found if path.resolve() not in known]
    if not images:
        also = f" besides the {len(found)} of the splits to train and validate on" if found else ""
        raise DataError(f"--unlabelled {folder}: no images in it{also}")
    faults = [f"{path}: cannot be read as an image" for path in images if read_header(path) is None]
    if faults:
        raise DataError(list_faults(faults, str(folder)))
    return images
