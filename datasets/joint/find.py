"""Which files belong to a joint split: masks and boxes of one data set, or boxes of another."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets.detection.files import DetectionFiles
from datasets.detection.find import DATASETS as WITH_BOXES
from datasets.detection.find import find_detection
from datasets.detection.voc import voc_detection
from datasets.faults import DataError
from datasets.joint.files import JointFiles
from datasets.segmentation.find import ROOTS, find_segmentation


def find_files(
    dataset: str,
    splits: Sequence[str],
    data_root: Path | None = None,
    download: bool = False,
    group_by: str | None = None,
    classes: str | None = None,
) -> list[JointFiles]:
    """`find_joint` of several splits."""
    return [find_joint(dataset, split, data_root, download, group_by, classes) for split in splits]


def find_joint(
    dataset: str,
    split: str,
    data_root: Path | None = None,
    download: bool = False,
    group_by: str | None = None,
    classes: str | None = None,
) -> JointFiles:
    """The files of one split of a data set with masks, and with boxes in the same tree if it has them.

    Boxes come with "shapes", "voc" (where ImageSets/Main has the split, as in VOC2012), "coco" (masks are drawn from
    the instances, crowds void), "labelme" and "cvat" (outlines of classes, and the boxes around each). Images with one
    of the two are in the split, too.

    Args:
        dataset: as in `find_segmentation`.
        split: likewise.
        data_root: likewise.
        download: likewise.
        group_by: likewise.
        classes: "voc", for COCO; boxes are of all classes still.

    Raises:
        DataError: see `find_segmentation` and `find_detection`.
    """
    masks = find_segmentation(dataset, split, data_root, download, group_by, classes)
    if dataset == "voc":  # one tree for both, where detection alone would join two years
        listed = (masks.root / "ImageSets" / "Main" / f"{split}.txt").is_file()
        boxes = voc_detection(masks.root, split) if listed else None
    else:
        root = data_root or ROOTS.get(dataset)
        boxes = find_detection(dataset, split, root, group_by=group_by) if dataset in WITH_BOXES else None
    return JointFiles(masks, DetectionFiles(masks.root, split, *no_boxes()) if boxes is None else boxes)


def no_boxes() -> list[list]:
    """The fields of `DetectionFiles` behind its split where there is nothing."""
    return [[] for _ in range(6)]


def boxes_from(
    files: JointFiles, dataset: str | None, data_root: Path | None = None, share: float | None = None
) -> JointFiles:
    """A split with the boxes of another data set, of the split of the same name.

    Args:
        files: with masks.
        dataset: as in `find_detection`; None for the boxes that the files have.
        data_root: where it is.
        share: see `JointFiles`.

    Raises:
        DataError: if it has no such split, or there are no boxes at all.
    """
    if dataset is not None:
        return replace(files, boxes=find_detection(dataset, files.split, data_root), share=share)
    if not files.box_names:
        raise DataError(
            f"{files.root}: split {files.split} has masks and no boxes; name a data set that has them with "
            f"--box-dataset, or train on masks alone with train_seg"
        )
    return files
