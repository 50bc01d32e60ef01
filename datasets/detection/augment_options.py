"""Options of what training does to an image and its boxes."""

from dataclasses import dataclass

from datasets.ranges import SEED, SIDE, check_fields

RANGES = {"expand_ratio": (1, 10), "min_size": (0, SIDE[1]), "seed": SEED}
RANGES |= dict.fromkeys(("iou_crop", "expand", "flip", "vertical_flip", "colour", "mosaic"), (0, 1))


@dataclass(frozen=True)
class DetectionAugmentation:
    """What training does to an image and its boxes. Strengths of 0 switch a part off.

    Args:
        iou_crop: probability of SSD's crop; its choice among seven, of which one is the whole image, is 0.86.
        expand: probability that the image is put on a larger canvas of the mean colour.
        expand_ratio: the canvas's greatest side, in sides of the image.
        flip: probability of a left-right flip.
        vertical_flip: probability of a top-bottom flip, for images without an up, as of a microscope or from the air.
        colour: strength of brightness, contrast and saturation jitter; hue moves by a tenth of it.
        mosaic: probability that the image is laid in a grid of two by two with three others, in place of expand.
        min_size: boxes with a side of fewer pixels, once clipped, are dropped.
        seed: of all random choices.

    Raises:
        DataError: for a value outside its range.
    """

    iou_crop: float = 0.85
    expand: float = 0.0
    expand_ratio: float = 3.0
    flip: float = 0.5
    vertical_flip: float = 0.0
    colour: float = 0.4
    mosaic: float = 0.0
    min_size: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, RANGES)
