"""The options of a detection training that others do not have."""

from dataclasses import dataclass

from datasets.ranges import SIDE, check_fields


@dataclass(frozen=True)
class DetectionOptions:
    """What is learned, and at which size.

    Args:
        size: height and width that images are resized to; by default 320 320, and 160 160 for shapes.
        loss: cross_entropy with three hard negatives a positive, or focal.
        box_weight: of the box loss beside the class loss.

    Raises:
        DataError: for a number outside its range.
    """

    size: tuple[int, int] | None = None
    loss: str = "cross_entropy"
    box_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, {"size": SIDE, "box_weight": (0, 1000)})
