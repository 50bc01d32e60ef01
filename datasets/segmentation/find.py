"""Which files belong to a segmentation split: trees of masks, COCO's and others' outlines, Shapes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.detection.cvat import cvat_split
from datasets.detection.labelme import labelme_split
from datasets.detection.yolo import yolo_shapes
from datasets.download import download_voc2012
from datasets.faults import DataError, unknown_dataset
from datasets.files import IMAGE_SUFFIXES, default_colours, read_lines
from datasets.grouping import USUAL, hold_out, refuse_unread
from datasets.ranges import COUNT, check_options
from datasets.segmentation.ade20k import ade20k_files
from datasets.segmentation.cityscapes import cityscapes_files
from datasets.segmentation.coco import coco_files
from datasets.segmentation.coco_stuff import coco_stuff_files
from datasets.segmentation.drawn import drawn_segmentation
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.panoptic import panoptic_files
from datasets.segmentation.trees import by_stem, first_names, labels_of, list_absent, sub_folder
from datasets.shapes import write_shapes
from datasets.voc_names import VOC_NAMES

DATASETS = (
    "shapes",
    "voc",
    "folder",
    "coco",
    "coco-stuff",
    "coco-panoptic",
    "cityscapes",
    "ade20k",
    "yolo",
    "labelme",
    "cvat",
)
GROUPED = ("folder", "coco", "yolo", "labelme", "cvat")  # which may have no splits of their own
ROOTS = {
    "shapes": Path("data/shapes"),
    "voc": Path("data/VOCdevkit/VOC2012"),
    "coco": Path("data/coco"),
    "coco-stuff": Path("data/coco"),
    "coco-panoptic": Path("data/coco"),
    "cityscapes": Path("data/cityscapes"),
    "ade20k": Path("data/ADEChallengeData2016"),
}


def find_files(
    dataset: str,
    splits: Sequence[str],
    data_root: Path | None = None,
    download: bool = False,
    group_by: str | None = None,
    classes: str | None = None,
) -> list[SegmentationFiles]:
    """`find_segmentation` of several splits."""
    return [find_segmentation(dataset, split, data_root, download, group_by, classes) for split in splits]


def find_segmentation(
    dataset: str,
    split: str,
    data_root: Path | None = None,
    download: bool = False,
    group_by: str | None = None,
    classes: str | None = None,
) -> SegmentationFiles:
    """The files of one split of a dataset.

    Args:
        dataset: "shapes" (written on first use), "voc" (the VOC layout), "folder" (images/ beside masks/),
            "coco" (instances json), "coco-stuff", "coco-panoptic", "cityscapes", "ade20k", "yolo" (polygons),
            "labelme" or "cvat".
        split: "train", "val", "test" or any other list the tree has.
        data_root: the tree; by default one of `ROOTS`.
        download: fetch VOC2012 if it is not there.
        group_by: "folder" or a pattern, for a tree without splits of its own; see `hold_out`.
        classes: "voc", for COCO; see `coco_files`.

    Raises:
        DataError: if the dataset, the tree, the split or an image is missing, or the split is empty.
    """
    if dataset not in DATASETS:
        raise unknown_dataset(dataset, DATASETS)
    refuse_unread(dataset, group_by, None if dataset == "coco" else classes, *GROUPED)
    root = data_root or ROOTS.get(dataset)
    if root is None:
        held = "images/, masks/ and labels.txt" if dataset == "folder" else "the images and their annotations"
        raise DataError(f"--dataset {dataset} needs --data-root DIR, where DIR holds {held}")
    if dataset == "shapes":
        write_shapes(root)
    if dataset == "voc" and download:
        download_voc2012(root)
    if dataset == "coco":
        return coco_files(root, split, classes, group_by)
    if dataset == "folder":
        return folder_files(root, split, group_by)
    if dataset in GROUPED:
        return drawn_segmentation(root, split, DRAWN[dataset](root, split, group_by))
    return READERS.get(dataset, voc_files)(root, split)


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


def folder_files(root: Path, split: str, group_by: str | None = None) -> SegmentationFiles:
    """A split of a tree with images/, masks/ and labels.txt; a mask has its image's name.

    Splits are sub-folders of both (images/train, masks/train) where there are any. Otherwise every fifth image, by a
    hash of its name, is "val" and the others are "train"; with `group_by`, every fifth group (see `hold_out`), where
    sub-folders of both may be groups.

    Raises:
        DataError: see `find_segmentation`.
    """
    labels = labels_of(root)
    images, masks = root / "images", root / "masks"
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; --dataset folder reads images/ and masks/ side by side")
    inside = {path.name for path in images.iterdir() if path.is_dir() and not path.name.startswith(".")}
    divided = bool(inside if group_by is None else inside & {*USUAL})
    if divided and group_by is not None:
        raise DataError(f"{images}: has splits of its own, {', '.join(sorted(inside))}; leave out --group-by")
    if divided:
        images, masks = sub_folder(images, split), masks / split
    image_paths, drawn = (by_stem(folder, nested=group_by is not None) for folder in (images, masks))
    stems = sorted(image_paths) if divided else hold_out(sorted(image_paths), split, group_by, images)
    if not stems:
        raise DataError(f'{images}: split "{split}" is empty: no images ({", ".join(IMAGE_SUFFIXES)}) belong to it')
    absent = [stem for stem in stems if stem not in drawn]
    if absent:
        raise DataError(list_absent(images, absent, masks))
    return SegmentationFiles(root, split, pairs=[(image_paths[stem], drawn[stem]) for stem in stems], **labels)


DRAWN = {"yolo": yolo_shapes, "labelme": labelme_split, "cvat": cvat_split}
READERS = {
    "coco-stuff": coco_stuff_files,
    "coco-panoptic": panoptic_files,
    "cityscapes": cityscapes_files,
    "ade20k": ade20k_files,
}


def limit_segmentation(files: SegmentationFiles, most: int | None) -> SegmentationFiles:
    """The first `most` images of a split, at least one, or all of them for None."""
    check_options(max_images=(most, *COUNT))
    return replace(files, pairs=files.pairs[:most])
