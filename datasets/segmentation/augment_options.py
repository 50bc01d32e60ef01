"""Options of what training does to an image and its mask."""

from dataclasses import dataclass

from datasets.faults import DataError
from datasets.ranges import SEED, check_fields

RANGES = {"scale": (0.1, 10), "seed": SEED}
RANGES |= dict.fromkeys(("flip", "vertical_flip", "colour", "blur"), (0, 1))


@dataclass(frozen=True)
class SegmentationAugmentation:
    """What training does to an image and its mask. Strengths of 0 switch a part off.

    Args:
        scale: range of the random scale.
        flip: probability of a left-right flip.
        vertical_flip: probability of a top-bottom flip, for images without an up, as of a microscope or from the air.
        colour: strength of brightness, contrast and saturation jitter; hue moves by a tenth of it.
        blur: probability of a slight Gaussian blur.
        seed: of all random choices.

    Raises:
        DataError: for a value outside its range.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    vertical_flip: float = 0.0
    colour: float = 0.4
    blur: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, RANGES)
        if self.scale[0] > self.scale[1]:
            raise DataError(f"--scale {self.scale[0]} {self.scale[1]}: give the smaller one first")
