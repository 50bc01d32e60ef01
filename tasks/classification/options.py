"""The options of a classification training that others do not have."""

from dataclasses import dataclass

from datasets.ranges import SIDE, check_fields
from tasks.errors import TaskError

RANGES = {"size": SIDE, "dropout": (0, 0.99), "label_smoothing": (0, 1), "temperature": (0.01, 1000)}
RANGES |= {"distillation_weight": (0, 1)}


@dataclass(frozen=True)
class ClassificationOptions:
    """What is learned, at which size, and from which teacher beside the labels (arXiv 1503.02531).

    Args:
        size: height and width that images of a folder are cropped to, by default 224 224; the others have theirs.
        dropout: before the last layer.
        label_smoothing: of the targets, in 0 to 1.
        teacher: a checkpoint of train_cls, hf://OWNER/NAME for one on the hub, timm:NAME or torchvision:NAME; it sees
            the same images as the student.
        teacher_weights: of a teacher out of timm or torchvision: imagenet, or a weights file with the data's classes in
            their order.
        temperature: that softens the probabilities of both.
        distillation_weight: of the teacher's part in the loss; the labels have the rest.

    Raises:
        DataError: for a number outside its range.
        TaskError: for a teacher's weights that are missing, or that nothing needs.
    """

    size: tuple[int, int] | None = None
    dropout: float = 0.2
    label_smoothing: float = 0.0
    teacher: str | None = None
    teacher_weights: str | None = None
    temperature: float = 4.0
    distillation_weight: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, RANGES)
        if self.library and self.teacher_weights is None:
            raise TaskError(f"--teacher {self.teacher} needs --teacher-weights: imagenet, or a file")
        if not self.library and self.teacher_weights is not None:
            raise TaskError("--teacher-weights is for teachers out of timm and torchvision; a checkpoint has its own")

    @property
    def library(self) -> str:
        """Which of timm and torchvision the teacher is out of, or nothing."""
        library = (self.teacher or "").partition(":")[0]
        return library if library in ("timm", "torchvision") else ""
