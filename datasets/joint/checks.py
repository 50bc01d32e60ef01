"""Looking at every file of a joint split before the first step: what both parts refuse, and where they disagree."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.progress import track

from datasets.detection.checks import DetectionSummary
from datasets.detection.checks import check_files as check_boxes
from datasets.faults import DataError, counted
from datasets.joint.files import JointFiles, Labelled
from datasets.segmentation.checks import SegmentationSummary
from datasets.segmentation.checks import check_files as check_masks
from datasets.segmentation.dataset import read_pair


@dataclass(frozen=True)
class JointSummary:
    """What a sound split holds.

    Args:
        masks: of the images with masks.
        boxes: of those with boxes.
        notes: of both together.
    """

    masks: SegmentationSummary
    boxes: DetectionSummary
    notes: list[str]

    def lines(self) -> list[str]:
        """The notes, to be printed."""
        return [*self.masks.lines(), *self.boxes.lines(), *self.notes]


def check_files(*splits: JointFiles) -> list[JointSummary]:
    """Check masks and boxes of several splits, with the faults of all of them in one error.

    Raises:
        DataError: see `check_segmentation` and `check_detection`.
    """
    faults = []
    masks: list[SegmentationSummary] = []
    boxes: list[DetectionSummary] = []
    try:
        masks = check_masks(*(files.masks for files in splits))
    except DataError as error:
        faults.append(str(error))
    try:
        boxes = check_boxes(*(files.boxes for files in splits))
    except DataError as error:
        faults.append(str(error))
    if faults:
        raise DataError("\n".join(faults))
    return [JointSummary(*found) for found in zip(masks, boxes, map(notes, splits), strict=True)]


def notes(files: JointFiles, threads: int = 4) -> list[str]:
    """What may surprise in a split: images with one kind of label, classes of one kind, labels that disagree."""
    images, said = files.images, []
    only_masks = sum(image.boxes is None for image in images)
    only_boxes = sum(image.mask is None for image in images)
    if only_masks or only_boxes:
        said.append(f"{len(images)} images, of which {only_masks} have no boxes and {only_boxes} no mask")
    for names, others, what in (
        (files.names, files.box_names, "of masks alone"),
        (files.box_names, files.names, "of boxes alone"),
    ):
        alone = [name for name in names if name not in others and name != "background"]
        said += counted(alone, "class", "classes", what)
    both = [image for image in images if image.mask is not None and image.boxes is not None]
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda image: boxes_without_pixels(files, image), both)
        empty = [*track(found, f"Comparing masks and boxes of {files.split}", total=len(both), transient=True)]
    if any(empty):
        named = [image.path.name for image, count in zip(both, empty, strict=True) if count]
        what = f"{sum(empty)} boxes without a pixel of their class in the mask"
        said += [f"{what}: {line}" for line in counted(named, "image", "images", "have some")]
    return said


def boxes_without_pixels(files: JointFiles, image: Labelled) -> int:
    """How many boxes of an image hold no pixel of their class in its mask; classes are compared by name."""
    assert image.mask is not None and image.boxes is not None
    mask = read_pair(files.masks, *files.masks.pairs[image.mask])[1]
    objects = files.boxes.objects[image.boxes]
    count = 0
    for (x1, y1, x2, y2), label in zip(objects.boxes, objects.labels.tolist(), strict=True):
        name = files.box_names[label]
        if name in files.names:
            part = mask[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
            count += not (part == files.names.index(name)).any()
    return count
