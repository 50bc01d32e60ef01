"""What readers of trees of images and masks share: classes, files by name, and what is missing."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.faults import DataError, one_line
from datasets.files import default_colours, files_below, is_image, read_labels
from datasets.segmentation.label_maps import read_label_map


def labels_of(root: Path) -> dict[str, Any]:
    """Names, colours, mask_colours and label_map of a `SegmentationFiles`, from labels.txt.

    Where it has mask values, masks hold these, and colours are for drawing alone.

    Raises:
        DataError: see `read_labels` and `read_label_map`.
    """
    names, given = read_labels(root / "labels.txt")
    label_map = read_label_map(root / "labels.txt")
    looked_up = given if label_map is None else None
    colours = given or default_colours(len(names))
    return {"names": names, "colours": colours, "mask_colours": looked_up, "label_map": label_map}


def sub_folder(folder: Path, split: str) -> Path:
    """The folder of a split inside another.

    Raises:
        DataError: if either is missing, naming the splits that there are.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; docs/data.md has how the tree must lie; or name another --data-root"
        )
    if not (folder / split).is_dir():
        there = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir()))
        raise DataError(f"{folder / split}: no such split; there are {there or 'none'}")
    return folder / split


def by_stem(folder: Path, nested: bool = False) -> dict[str, Path]:
    """The images of a folder by their names without suffix, in their order.

    Args:
        folder: where they are.
        nested: take those of its sub-folders too, by names with / in them.

    Raises:
        DataError: if the folder is missing, or two images have one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    paths = [folder / name for name in files_below(folder)] if nested else sorted(folder.iterdir())
    for path in filter(lambda path: is_image(path.name), paths):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise DataError(f"{path}: has the name of {found[stem].name}; images and masks are matched by name")
        found[stem] = path
    return found


def require_pairs(images: Path, pairs: Sequence[tuple[Path, Path]], masks: Path) -> None:
    """Refuse images without masks.

    Raises:
        DataError: naming the first of them.
    """
    absent = [image.stem for image, drawn in pairs if not os.path.isfile(drawn)]
    if absent:
        raise DataError(list_absent(images, absent, masks))


def list_absent(source: Path, absent: Sequence[str], folder: Path) -> str:
    """The fault of names that have no file in a folder."""
    return f"{source}: {len(absent)} names have no file in {folder}: {first_names(absent)}"


def first_names(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    return ", ".join(map(one_line, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
