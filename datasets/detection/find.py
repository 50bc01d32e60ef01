"""Which files belong to a detection split: VOC trees, COCO json, YOLO, labelme, CVAT, Shapes."""

from collections.abc import Sequence
from pathlib import Path

from datasets.detection.coco import coco_detection
from datasets.detection.cvat import cvat_split
from datasets.detection.drawn import drawn_detection
from datasets.detection.files import DetectionFiles
from datasets.detection.labelme import labelme_split
from datasets.detection.voc import voc_0712, voc_detection
from datasets.detection.yolo import yolo_detection
from datasets.download import download_voc2007, download_voc2012
from datasets.faults import DataError, unknown_dataset
from datasets.grouping import refuse_unread
from datasets.ranges import COUNT, check_options
from datasets.shapes import write_shapes

DATASETS = ("shapes", "voc", "coco", "yolo", "labelme", "cvat")
GROUPED = ("coco", "yolo", "labelme", "cvat")  # which may have no splits of their own


def find_files(
    dataset: str,
    splits: Sequence[str],
    data_root: Path | None = None,
    download: bool = False,
    group_by: str | None = None,
    classes: str | None = None,
) -> list[DetectionFiles]:
    """`find_detection` of several splits; `classes` is for segmentation alone."""
    if dataset in DATASETS:
        refuse_unread(dataset, group_by, classes, *GROUPED)
    return [find_detection(dataset, split, data_root, download, group_by=group_by) for split in splits]


def find_detection(
    dataset: str,
    split: str,
    data_root: Path | None = None,
    download: bool = False,
    annotations: Path | None = None,
    group_by: str | None = None,
) -> DetectionFiles:
    """The files of one split of a dataset, with all that is wrong with its annotations in `faults`.

    Args:
        dataset: "shapes" (written on first use), "voc" (VOC 07+12, or any tree in the VOC layout with a labels.txt) or
            "coco" (annotations/instances_<split>.json and images), "yolo" (images/ and labels/), "labelme" (a json
            beside each image) or "cvat" (annotations.xml).
        split: "train", "val", "test" or any other that the tree has.
        data_root: the tree; by default data/shapes or data/VOCdevkit. For VOC 07+12, the folder with VOC2007 and
            VOC2012, where "train" is trainval of both, and "val" and "test" are the test split of VOC2007.
        download: fetch VOC2007 and VOC2012 if they are not there.
        annotations: a COCO json that is not in the tree's folder annotations.
        group_by: "folder" or a pattern, for a tree without splits of its own; see `hold_out`.

    Raises:
        DataError: if the dataset, the tree or the split is missing, or a json is none of COCO's.
    """
    if annotations is not None and dataset != "coco":
        raise DataError(f"{annotations}: only --dataset coco reads a json, and --dataset is {dataset}")
    if annotations is not None and group_by is not None:
        raise DataError(f"{annotations}: is read whole; leave out --group-by")
    if dataset == "shapes":
        root = data_root or Path("data/shapes")
        write_shapes(root)
        return coco_detection(root, split)
    if dataset == "voc":
        return _find_voc(data_root or Path("data/VOCdevkit"), split, download)
    if dataset == "coco":
        if data_root is None:
            raise DataError("--dataset coco needs --data-root DIR, where DIR holds annotations/ and the images")
        return coco_detection(data_root, split, annotations, group_by)
    if dataset in GROUPED:
        if data_root is None:
            raise DataError(f"--dataset {dataset} needs --data-root DIR, where the images and their annotations are")
        if dataset == "yolo":
            return yolo_detection(data_root, split, group_by)
        drawn = (labelme_split if dataset == "labelme" else cvat_split)(data_root, split, group_by)
        return drawn_detection(data_root, split, drawn)
    raise unknown_dataset(dataset, DATASETS)


def _find_voc(root: Path, split: str, download: bool) -> DetectionFiles:
    if (root / "ImageSets").is_dir():
        return voc_detection(root, split)
    years = root / "VOC2007", root / "VOC2012"
    if download:
        download_voc2007(years[0])
        download_voc2012(years[1])
    if root.name == "VOCdevkit" or any(year.is_dir() for year in years):
        return voc_0712(root, split)
    return voc_detection(root, split)


def limit_detection(files: DetectionFiles, most: int | None) -> DetectionFiles:
    """The first `most` images of a split, or all of them for None; faults and notes stay those of the whole split."""
    check_options(max_images=(most, *COUNT))
    return files.at(range(len(files.image_paths))[:most])
