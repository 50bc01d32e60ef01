"""The options of a segmentation training that others do not have."""

from dataclasses import dataclass
from typing import Literal

from datasets.ranges import SIDE, check_options
from tasks.errors import TaskError


@dataclass(frozen=True)
class SegmentationOptions:
    """What is learned, and at which size.

    Args:
        crop: height and width that the network is trained on; by default 512 512, and 160 160 for shapes.
        loss: cross_entropy, ohem, dice, focal, lovasz, or several joined by +.
        class_weights: none, balanced (by the share of labelled pixels), or one number a class.
        label_smoothing: of cross_entropy and ohem.
        auxiliary: weight of an auxiliary loss on the stride-16 features, 0 for none.

    Raises:
        DataError, TaskError: for a number outside its range.
    """

    crop: tuple[int, int] | None = None
    loss: str = "cross_entropy"
    class_weights: Literal["none", "balanced"] | list[float] = "none"
    label_smoothing: float = 0.0
    auxiliary: float = 0.0

    def __post_init__(self) -> None:
        given = self.class_weights if isinstance(self.class_weights, list) else None
        check_options(
            crop=(self.crop, *SIDE),
            class_weights=(given, 0, 1e6),
            label_smoothing=(self.label_smoothing, 0, 1),
            auxiliary=(self.auxiliary, 0, 100),
        )
        if given is not None and not any(given):
            raise TaskError("--class-weights are all 0; leave some above it")
