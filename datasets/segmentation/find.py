"""Which files belong to a segmentation split: VOC trees, images/ beside masks/, Shapes."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.download import download_voc2012
from datasets.faults import DataError, unknown_dataset
from datasets.files import IMAGE_SUFFIXES, default_colours, read_labels, read_lines
from datasets.ranges import COUNT, check_options
from datasets.segmentation.ade20k import ade20k_files
from datasets.segmentation.cityscapes import cityscapes_files
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.label_maps import read_label_map
from datasets.segmentation.trees import by_stem, first_names, list_absent
from datasets.shapes import write_shapes
from datasets.voc_names import VOC_NAMES

DATASETS = ("shapes", "voc", "folder", "cityscapes", "ade20k")
ROOTS = {
    "shapes": Path("data/shapes"),
    "voc": Path("data/VOCdevkit/VOC2012"),
    "cityscapes": Path("data/cityscapes"),
    "ade20k": Path("data/ADEChallengeData2016"),
}


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
        dataset: "shapes" (written on first use), "voc" (the VOC layout), "folder" (images/ beside masks/),
            "cityscapes" or "ade20k".
        split: "train", "val", "test" or any other list the tree has.
        data_root: the tree; by default one of `ROOTS`.
        download: fetch VOC2012 if it is not there.

    Raises:
        DataError: if the dataset, the tree, the split or an image is missing, or the split is empty.
    """
    if dataset not in DATASETS:
        raise unknown_dataset(dataset, DATASETS)
    root = data_root or ROOTS.get(dataset)
    if root is None:
        raise DataError("--dataset folder needs --data-root DIR, where DIR holds images/, masks/ and labels.txt")
    if dataset == "shapes":
        write_shapes(root)
    if dataset == "voc" and download:
        download_voc2012(root)
    read = {"folder": folder_files, "cityscapes": cityscapes_files, "ade20k": ade20k_files}.get(dataset, voc_files)
    return read(root, split)


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
        labels: dict[str, Any] = {"names": VOC_NAMES, "colours": default_colours(len(VOC_NAMES))}
    else:
        labels = labels_of(root)
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
        raise DataError(
            f"{listing}: {len(twice)} name{'s' * (len(twice) > 1)} listed more than once: {first_names(twice)}"
        )
    images = by_stem(root / "JPEGImages")
    absent = [stem for stem in stems if stem not in images]
    if absent:
        raise DataError(list_absent(listing, absent, root / "JPEGImages"))
    return SegmentationFiles(root, split, pairs=[(images[stem], masks / f"{stem}.png") for stem in stems], **labels)


def folder_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with images/, masks/ and labels.txt; a mask has its image's name.

    Splits are sub-folders of both (images/train, masks/train) where there are any. Otherwise every fifth image, by a
    hash of its name, is "val" and the others are "train", so that adding images moves none from one to the other.

    Raises:
        DataError: see `find_segmentation`.
    """
    labels = labels_of(root)
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
    image_paths, drawn = by_stem(images), by_stem(masks)
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
        raise DataError(list_absent(images, absent, masks))
    return SegmentationFiles(root, split, pairs=[(image_paths[stem], drawn[stem]) for stem in stems], **labels)


def limit_segmentation(files: SegmentationFiles, most: int | None) -> SegmentationFiles:
    """The first `most` images of a split, at least one, or all of them for None."""
    check_options(max_images=(most, *COUNT))
    return replace(files, pairs=files.pairs[:most])
