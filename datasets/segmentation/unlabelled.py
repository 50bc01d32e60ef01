"""Images without masks, from which a teacher teaches."""

from dataclasses import replace
from pathlib import Path

from datasets.faults import DataError, list_faults
from datasets.files import files_below, is_image
from datasets.images import read_header
from datasets.segmentation.files import SegmentationFiles


def with_unlabelled(files: SegmentationFiles, folder: Path) -> SegmentationFiles:
    """A split with the images below a folder beside its own, as far as they are not among them.

    Raises:
        DataError: if there are none, or some are no images.
    """
    if not folder.is_dir():
        raise DataError(f"--unlabelled {folder}: no such folder")
    own = {image.resolve() for image, _ in files.pairs}
    found = [folder / name for name in files_below(folder) if is_image(name)]
    images = [path for path in found if path.resolve() not in own]
    if not images:
        also = f", besides the {len(found)} of {files.split} itself" if found else ""
        raise DataError(f"--unlabelled {folder}: no images in it{also}")
    faults = [f"{path}: cannot be read as an image" for path in images if read_header(path) is None]
    if faults:
        raise DataError(list_faults(faults, str(folder)))
    return replace(files, unlabelled=images, notes=[*files.notes, f"{len(images)} images without masks beside them"])
