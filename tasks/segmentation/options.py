"""The options of a segmentation training that others do not have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets.ranges import SIDE, check_options
from tasks.errors import TaskError
from tasks.options import check_unlabelled


@dataclass(frozen=True)
class SegmentationOptions:
    """What is learned, and at which size.

    Args:
        crop: height and width that the network is trained on; by default 512 512, and 160 160 for shapes.
        loss: cross_entropy, ohem, dice, focal, lovasz, or several joined by +.
        class_weights: none, balanced (1 / log(1.02 + share of labelled pixels), as ENet has it), mild (with 1.1, as
            ESPNet has it), or one number a class.
        label_smoothing: of cross_entropy and ohem.
        auxiliary: weight of an auxiliary loss on the stride-16 features, 0 for none.
        teacher: a checkpoint of train_seg or train_joint, hf://OWNER/NAME, torchvision:lraspp_mobilenet_v3_large, or a
            folder written by segmentation-models-pytorch's save_pretrained, whose classes are the data's in their
            order; it sees the same crops as the student.
        distillation: channel (where the teacher sees each class, arXiv 2011.13256) or pixel (its probabilities of the
            classes at each pixel, arXiv 1503.02531).
        temperature: that softens the probabilities of both, by default 4 for channel and 1 for pixel.
        distillation_weight: of the teacher's part in the loss, beside the labels' 1.
        unlabelled: folder of more images to train on, of which the teacher alone says what they show; those that are
            trained or validated on anyway are left out.

    Raises:
        DataError, TaskError: for a number outside its range.
    """

    crop: tuple[int, int] | None = None
    loss: str = "cross_entropy"
    class_weights: Literal["none", "balanced", "mild"] | list[float] = "none"
    label_smoothing: float = 0.0
    auxiliary: float = 0.0
    teacher: str | None = None
    distillation: Literal["channel", "pixel"] = "channel"
    temperature: float | None = None
    distillation_weight: float = 1.0
    unlabelled: Path | None = None

    def __post_init__(self) -> None:
        given = self.class_weights if isinstance(self.class_weights, list) else None
        check_options(
            crop=(self.crop, *SIDE),
            class_weights=(given, 0, 1e6),
            label_smoothing=(self.label_smoothing, 0, 1),
            auxiliary=(self.auxiliary, 0, 100),
            temperature=(self.temperature, 0.01, 1000),
            distillation_weight=(self.distillation_weight, 0, 1000),
        )
        check_unlabelled(self.unlabelled, self.teacher)
        if given is not None and not any(given):
            raise TaskError("--class-weights are all 0; leave some above it")
