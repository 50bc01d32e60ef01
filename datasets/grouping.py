"""Validation splits of trees that have none of their own: by image, or by group, so that no group is in both."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from datasets.faults import DataError, one_line

FOLDER = "folder"
SPLITS = ("train", "val")
VALIDATION = ("val", "valid", "validation")  # what programs call it
USUAL = ("train", *VALIDATION, "test")  # sub-folders of these names are splits


def check_group_by(group_by: str | None) -> None:
    """Refuse what is neither "folder" nor a regular expression with a group.

    Raises:
        DataError: if so.
    """
    if group_by in (None, FOLDER):
        return
    try:
        groups = re.compile(str(group_by)).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise DataError(f"--group-by {group_by}: is no regular expression ({error})") from None
    if not groups:
        raise DataError(f'--group-by {group_by}: give "folder", or a pattern with a group in it, such as "(.+)_[0-9]+"')


def refuse_unread(dataset: str, group_by: str | None, classes: str | None, *readers: str) -> None:
    """Refuse --group-by and --classes where nothing reads them.

    Args:
        dataset: the dataset.
        group_by: as given.
        classes: as given.
        *readers: the datasets of the task that may have no splits of their own.

    Raises:
        DataError: if so.
    """
    if group_by is not None and dataset not in readers:
        known = f" ({', '.join(readers)})" if readers else ""
        raise DataError(f"--group-by is for trees without splits of their own{known}, and {dataset} has splits")
    if classes is not None:
        raise DataError("--classes is for --dataset coco of train_seg and eval_seg")


def own_split(folder: Path, split: str, group_by: str | None) -> Path | None:
    """The sub-folder of a split, where "val" may be called "valid" or "validation"; None if there are no splits.

    Raises:
        DataError: if there are other splits, or --group-by is given although there are some.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; docs/data.md has how the tree must lie; or name another --data-root"
        )
    names = VALIDATION if split == "val" else (split,)
    there = sorted(path.name for path in folder.iterdir() if path.name in {*USUAL, *names} and path.is_dir())
    if not there:
        return None
    if group_by is not None:
        raise DataError(f"{folder}: has splits of its own, {', '.join(there)}; leave out --group-by")
    found = next((name for name in names if name in there), None)
    if found is None:
        raise DataError(f"{folder / split}: no such split; there are {', '.join(there)}")
    return folder / found


def hold_out(names: Sequence[str], split: str, group_by: str | None, where: Path) -> list[str]:
    """The names that belong to "train" or "val".

    Every fifth group is "val" by a hash of its name, so that adding images moves none from one to the other; where that
    leaves either empty, the group with the least or the greatest hash is moved.

    Args:
        names: of images, with / between folders.
        split: "train" or "val".
        group_by: "folder" for the folder of an image, or a regular expression, searched for in the file's name, whose
            first group is the group; None for each image on its own.
        where: the tree, for messages.

    Raises:
        DataError: for another split, a name that the pattern is not in, and if all images are of one group.
    """
    if split not in SPLITS:
        raise DataError(f"{where}: no split {split}; without sub-folders there are {', '.join(SPLITS)}")
    groups = [_group(name, group_by, where) for name in names]
    hashes = {group: int(hashlib.sha256(group.encode()).hexdigest(), 16) for group in groups}
    if len(hashes) < 2 and group_by is not None:
        raise DataError(f"{where}: --group-by {group_by} puts all images into one group; validation needs one")
    held = {group for group, number in hashes.items() if number % 5 == 0}
    if len(hashes) > 1 and not held:
        held = {min(hashes, key=hashes.__getitem__)}
    elif len(hashes) > 1 and len(held) == len(hashes):
        held.remove(max(hashes, key=hashes.__getitem__))
    return [name for name, group in zip(names, groups, strict=True) if (group in held) == (split == "val")]


def _group(name: str, group_by: str | None, where: Path) -> str:
    path = PurePosixPath(name)
    if group_by is None:
        return str(path.with_suffix(""))
    if group_by == FOLDER:
        return str(path.parent)
    found = re.search(group_by, path.name)
    if found is None or found[1] is None:
        raise DataError(f"{where}: {one_line(name)} does not match --group-by {group_by}")
    return found[1]
