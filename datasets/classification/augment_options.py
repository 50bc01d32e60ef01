"""Options of what training does to an image with a class."""

from dataclasses import dataclass

from datasets.faults import DataError
from datasets.ranges import SEED, check_fields

RANGES = {"shift": (0, 128), "randaugment": (0, 100), "magnitude": (0, 30)}
RANGES |= {"mixup": (0, 100), "cutmix": (0, 100), "seed": SEED}
RANGES |= dict.fromkeys(("flip", "vertical_flip", "erasing"), (0, 1))


@dataclass(frozen=True)
class ClassificationAugmentation:
    """What training does to images. Numbers and probabilities of 0 switch a part off.

    Args:
        shift: small images move by up to so many pixels each way, mirrored beyond their edges.
        crop_area: range of the share of the area that a random crop keeps; for images read from a folder.
        flip: probability of a left-right flip; by default 0.5, and 0 for mnist.
        vertical_flip: probability of a top-bottom flip, for images without an up, as of a microscope or from the air.
        randaugment: operations an image, out of RandAugment's (arXiv 1909.13719).
        magnitude: of these operations, 0 to 30.
        erasing: probability that a window is blotted out in the mean colour (random erasing, arXiv 1708.04896).
        mixup: alpha of mixup (arXiv 1710.09412), say 0.2.
        cutmix: alpha of cutmix (arXiv 1905.04899), say 1; beside mixup, each batch has one of the two.
        seed: of all random choices.

    Raises:
        DataError: for a value outside its range.
    """

    shift: int = 4
    crop_area: tuple[float, float] = (0.08, 1.0)
    flip: float | None = None
    vertical_flip: float = 0.0
    randaugment: int = 0
    magnitude: int = 9
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, RANGES)
        for option in ("mixup", "cutmix"):
            if 0 < getattr(self, option) < 1e-3:  # which float32 may not hold, and which mixes nothing
                raise DataError(f"--{option} {getattr(self, option)}: give 0 for none, or 0.001 and more")
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise DataError(
                f"--crop-area {list(self.crop_area)}: two shares in 0 to 1 are wanted, the smaller one first"
            )
