"""The options of a joint training that others do not have."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets.faults import DataError, one_line
from datasets.ranges import SIDE, check_fields
from tasks.errors import TaskError
from tasks.options import check_unlabelled


@dataclass(frozen=True)
class JointOptions:
    """What is learned, and from where boxes come.

    Args:
        size: height and width that images are resized to; by default 320 320, and 160 160 for shapes.
        sharing: all (masks and boxes read the same backbone, at stride 32) or stage4 (masks have a last stage of their
            own at stride 16, halved as the paper's LR-ASPP has it).
        weighting: fixed, or learned: by the uncertainty of each of the three losses (arXiv 1705.07115).
        mask_weight: of the loss of masks, with fixed weights.
        box_weight: of the box loss beside the class loss, as in detection.
        mask_loss: as in segmentation.
        loss: as in detection.
        box_dataset: where boxes come from, if they are not those of --dataset; its images have boxes alone.
        box_data_root: where it is; by default data/ and its name.
        box_share: share of the samples of an epoch that come from it (and from --unlabelled).
        teacher_seg: who teaches masks, as in segmentation.
        teacher_det: who teaches boxes, as in detection.
        distillation: of masks, as in segmentation.
        distillation_weight: of the teachers' parts in the loss, beside the labels' weights.
        unlabelled: folder of more images to train on, of which the teachers alone say what they show; those that are
            trained on or validated on already are left out.

    Raises:
        DataError, TaskError: for a value outside its range.
    """

    size: tuple[int, int] | None = None
    sharing: Literal["all", "stage4"] = "all"
    weighting: Literal["fixed", "learned"] = "fixed"
    mask_weight: float = 1.0
    box_weight: float = 1.0
    mask_loss: str = "cross_entropy"
    loss: str = "cross_entropy"
    box_dataset: str | None = None
    box_data_root: Path | None = None
    box_share: float = 0.5
    teacher_seg: str | None = None
    teacher_det: str | None = None
    distillation: Literal["channel", "pixel"] = "channel"
    distillation_weight: float = 1.0
    unlabelled: Path | None = None

    def __post_init__(self) -> None:
        weights = dict.fromkeys(("mask_weight", "box_weight", "distillation_weight"), (0, 1000))
        check_fields(self, {"size": SIDE, "box_share": (0.01, 0.99), **weights})
        require_boxes(self.box_dataset, self.box_data_root)
        check_unlabelled(self.unlabelled, self.teacher_seg or self.teacher_det)


def require_boxes(dataset: str | None, data_root: Path | None) -> None:
    """Refuse a place of boxes that is not there, or of no data set.

    Raises:
        DataError, TaskError: if so.
    """
    if dataset is None and data_root is not None:
        raise TaskError(f"--box-data-root {one_line(data_root)} is for --box-dataset: name one")
    if data_root is not None and dataset != "shapes" and not os.path.exists(data_root):
        raise DataError(f"--box-data-root {one_line(data_root)}: no such file or folder")
