"""Which files belong to a segmentation split: VOC trees, images/ beside masks/, Shapes."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets.download import download_voc2012
from datasets.faults import DataError, one_line, unknown_dataset
from datasets.files import IMAGE_SUFFIXES, default_colours, read_labels, read_lines
from datasets.ranges import COUNT, check_options
from datasets.segmentation.files import SegmentationFiles
from datasets.shapes import write_shapes
from datasets.voc_names import VOC_NAMES

DATASETS = ("shapes", "voc", "folder")


def find_files(
    dataset: str, splits: Sequence[str], data_root: Path | None = None, download: bool = False
) -> list[SegmentationFiles]:
    """`find_segmentation` of several splits."""
    return [find_segmentation(dataset, split, data_root, download) for split in splits]


def find_segmentation(
    dataset: str, split: str, data_root: Path | None = None, download: bool = False
) -> SegmentationFiles:
    """The files of one split of a dataset.

    Args:
        dataset: "shapes" (written on first use), "voc" (the VOC layout) or "folder" (images/ beside masks/).
        split: "train", "val", "test" or any other list the tree has.
        data_root: the tree; by default data/shapes, or data/VOCdevkit/VOC2012.
        download: fetch VOC2012 if it is not there.

    Raises:
        DataError: if the dataset, the tree, the split or an image is missing, or the split is empty.
    """
    if dataset == "shapes":
        root = data_root or Path("data/shapes")
        write_shapes(root)
        return voc_files(root, split)
    if dataset == "voc":
        root = data_root or Path("data/VOCdevkit/VOC2012")
        if download:
            download_voc2012(root)
        return voc_files(root, split)
    if dataset == "folder":
        if data_root is None:
            raise DataError("--dataset folder needs --data-root DIR, where DIR holds images/, masks/ and labels.txt")
        return folder_files(data_root, split)
    raise unknown_dataset(dataset, DATASETS)


def voc_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with JPEGImages, SegmentationClass and ImageSets/Segmentation/<split>.txt.

    Classes come from labels.txt; without it, a folder named VOC20.. has VOC's 21. Where ImageSets has trainaug.txt and
    SegmentationClassAug is there (the SBD masks, 10,582 images), "train" means that list.

    Raises:
        DataError: see `find_segmentation`.
    """
    lists = root / "ImageSets" / "Segmentation"
    if not lists.is_dir():
        hint = " (--download fetches it)" if root.name == "VOC2012" else ""
        raise DataError(f"{lists}: no such folder; a VOC tree has JPEGImages, SegmentationClass and ImageSets{hint}")
    if root.name.startswith("VOC20") and not (root / "labels.txt").exists():
        names, given = VOC_NAMES, None
    else:
        names, given = read_labels(root / "labels.txt")
    masks = root / "SegmentationClass"
    augmented = root / "SegmentationClassAug"
    if split in ("train", "trainaug") and (lists / "trainaug.txt").exists() and augmented.is_dir():
        split, masks = "trainaug", augmented
    listing = lists / f"{split}.txt"
    if not listing.is_file():
        raise DataError(f"{listing}: no such split; there are {', '.join(sorted(p.stem for p in lists.glob('*.txt')))}")
    stems = [line.strip() for line in read_lines(listing) if line.strip()]
    if not stems:
        raise DataError(f"{listing}: the split is empty; list one image name a line")
    twice = [stem for stem, count in Counter(stems).items() if count > 1]
    if twice:
        raise DataError(f"{listing}: {len(twice)} name{'s' * (len(twice) > 1)} listed more than once: {_first(twice)}")
    images = _by_stem(root / "JPEGImages")
    absent = [stem for stem in stems if stem not in images]
    if absent:
        raise DataError(_list_absent(listing, absent, root / "JPEGImages"))
    pairs = [(images[stem], masks / f"{stem}.png") for stem in stems]
    return SegmentationFiles(root, split, names, given or default_colours(len(names)), pairs, given)


def folder_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with images/, masks/ and labels.txt; a mask has its image's name.

    Splits are sub-folders of both (images/train, masks/train) where there are any. Otherwise every fifth image, by a
    hash of its name, is "val" and the others are "train", so that adding images moves none from one to the other.

    Raises:
        DataError: see `find_segmentation`.
    """
    names, given = read_labels(root / "labels.txt")
    images, masks = root / "images", root / "masks"
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; --dataset folder reads images/ and masks/ side by side")
    divided = any(path.is_dir() and not path.name.startswith(".") for path in images.iterdir())
    if divided:
        images, masks = images / split, masks / split
        if not images.is_dir():
            there = sorted(path.name for path in images.parent.iterdir() if path.is_dir())
            raise DataError(f"{images}: no such split; there are {', '.join(there)}")
    image_paths, drawn = _by_stem(images), _by_stem(masks)
    stems = sorted(image_paths)
    if not divided:
        if split not in ("train", "val"):
            raise DataError(f"{images}: no split {split}; without sub-folders there are train, val")
        held_out = {stem for stem in stems if int(hashlib.sha256(stem.encode()).hexdigest(), 16) % 5 == 0}
        stems = [stem for stem in stems if (stem in held_out) == (split == "val")]
    if not stems:
        raise DataError(f'{images}: split "{split}" is empty: no images ({", ".join(IMAGE_SUFFIXES)}) belong to it')
    absent = [stem for stem in stems if stem not in drawn]
    if absent:
        raise DataError(_list_absent(images, absent, masks))
    pairs = [(image_paths[stem], drawn[stem]) for stem in stems]
    return SegmentationFiles(root, split, names, given or default_colours(len(names)), pairs, given)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            if path.stem in found:
                raise DataError(
                    f"{path}: has the name of {found[path.stem].name}; images and masks are matched by name"
                )
            found[path.stem] = path
    return found


def _list_absent(source: Path, absent: Sequence[str], folder: Path) -> str:
    return f"{source}: {len(absent)} names have no file in {folder}: {_first(absent)}"


def _first(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def limit_segmentation(files: SegmentationFiles, most: int | None) -> SegmentationFiles:
    """The first `most` images of a split, at least one, or all of them for None."""
    check_options(max_images=(most, *COUNT))
    return replace(files, pairs=files.pairs[:most])
