"""What a segmentation split is: images with one mask each."""

from dataclasses import dataclass
from pathlib import Path

from datasets.files import Colour


@dataclass(frozen=True)
class SegmentationFiles:
    """One split as files: class names and colours, and for every image its mask.

    `colours` are for drawing; `mask_colours` is set only where masks are RGB images to be looked up in it.
    """

    root: Path
    split: str
    names: list[str]
    colours: list[Colour]
    pairs: list[tuple[Path, Path]]
    mask_colours: list[Colour] | None = None
