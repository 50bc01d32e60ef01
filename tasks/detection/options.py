"""The options of a detection training that others do not have."""

from dataclasses import dataclass
from pathlib import Path

from datasets.ranges import SIDE, check_fields
from tasks.options import check_unlabelled

RANGES = {"size": SIDE, "box_weight": (0, 1000), "temperature": (0.01, 1000), "distillation_weight": (0, 1000)}


@dataclass(frozen=True)
class DetectionOptions:
    """What is learned, and at which size.

    Args:
        size: height and width that images are resized to; by default 320 320, and 160 160 for shapes.
        loss: cross_entropy with three hard negatives a positive, or focal.
        box_weight: of the box loss beside the class loss.
        teacher: a checkpoint of train_det or train_joint, hf://OWNER/NAME or
            torchvision:ssdlite320_mobilenet_v3_large. One with the same head, size and loss teaches its classes and
            boxes anchor by anchor; of any other, what it detects with a score above 0.5 is taught like labels.
        temperature: that softens the probabilities of both, anchor by anchor.
        distillation_weight: of the teacher's part in the loss, beside the labels' 1.
        unlabelled: folder of more images to train on, of which the teacher alone says what they show; those that are
            trained or validated on anyway are left out.

    Raises:
        DataError: for a number outside its range.
        TaskError: for unlabelled images without a teacher.
    """

    size: tuple[int, int] | None = None
    loss: str = "cross_entropy"
    box_weight: float = 1.0
    teacher: str | None = None
    temperature: float = 1.0
    distillation_weight: float = 1.0
    unlabelled: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self, RANGES)
        check_unlabelled(self.unlabelled, self.teacher)
