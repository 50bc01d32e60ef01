"""Which splits of a dataset there are to inspect, for whichever task it serves."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets.classification import find as classification
from datasets.classification.inspection import InspectedClassification
from datasets.detection import find as detection
from datasets.detection.inspection import InspectedDetection
from datasets.faults import DataError, class_faults, unknown_dataset
from datasets.inspection import FAULTY, Finding, Inspected
from datasets.segmentation import find as segmentation
from datasets.segmentation.inspection import InspectedSegmentation

USUAL = ("train", "val", "test")
WINGS: Any = {"segmentation": segmentation, "detection": detection, "classification": classification}
INSPECTED: Any = {
    "segmentation": InspectedSegmentation,
    "detection": InspectedDetection,
    "classification": InspectedClassification,
}


def serves(dataset: str) -> list[str]:
    """The tasks that a dataset can be used for."""
    return [task for task, wing in WINGS.items() if dataset in wing.DATASETS]


def choose_task(dataset: str, data_root: Path | None = None) -> str:
    """The task that a dataset is taken to be for: the only one, or the one that the tree's folders tell.

    Raises:
        DataError: if there is no such dataset.
    """
    tasks = serves(dataset)
    if not tasks:
        known = list(dict.fromkeys(name for wing in WINGS.values() for name in wing.DATASETS))
        raise unknown_dataset(dataset, known)
    if data_root is not None and dataset == "voc" and not (data_root / "SegmentationClass").is_dir():
        return "detection"
    if dataset in ("coco", "yolo", "labelme", "cvat"):
        return "detection"
    if data_root is not None and dataset == "folder" and not (data_root / "masks").is_dir():
        return "classification"
    return tasks[0]


def find_splits(
    task: str,
    dataset: str,
    splits: Sequence[str] | None,
    data_root: Path | None,
    size: tuple[int, int],
    group_by: str | None = None,
    classes: str | None = None,
) -> tuple[list[Inspected], list[Finding]]:
    """The splits to inspect, and why others cannot be.

    Args:
        task: "segmentation", "detection" or "classification".
        dataset: one of those that the task knows.
        splits: their names; for None, those of train, val and test that there are.
        data_root: where the data is.
        size: height and width that training resizes images with boxes to.
        group_by: see `hold_out`.
        classes: see `find_segmentation`.

    Raises:
        DataError: if the dataset is missing or none of the task's, or a split that was asked for is missing.
    """
    if task == "classification" and dataset != "folder":  # archives, which are read once for all splits
        read = classification.find_files(dataset, splits or USUAL, data_root, False, group_by, classes)
        found = [INSPECTED[task](files, size) for files in read]
        return found, list(_unfit(task, found))
    found, findings, first = [], [], None
    for split in splits or USUAL:
        try:
            files = WINGS[task].find_files(dataset, [split], data_root, False, group_by, classes)[0]
            one = INSPECTED[task](files, size)
        except DataError as error:
            if splits:
                raise
            first = first or error
            if not any(f"no {what}split" in str(error) for what in ("such ", "")):
                findings.append(Finding(FAULTY, str(error), split))
            continue
        # VOC 07+12 evaluates on its test split, whether it is called val or test
        if not any(list(one.images) == list(other.images) for other in found):
            found.append(one)
    if first is not None and not found:
        raise first
    return found, [*findings, *_unfit(task, found)]


def _unfit(task: str, splits: Sequence[Inspected]) -> Iterator[Finding]:
    """Splits that are empty, and classes that do not fit together."""
    for split in splits:
        if not split.images:
            yield Finding(FAULTY, f"{split.root}: split {split.split} is empty", split.split)
    for fault in class_faults(splits, 2 if task == "classification" else 1):
        yield Finding(FAULTY, fault, "all")
