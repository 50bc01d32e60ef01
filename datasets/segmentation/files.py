"""What a segmentation split is: images with one mask each."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datasets.files import Colour


class Drawn(Protocol):
    """A mask that is no file of its own; its `str` names the file and the entry that it comes from."""

    def read(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The mask of an upright image of a height and width: uint8 [H, W] of class indices, 255 for void.

        Raises:
            DataError: if it cannot be read, or is for an image of another size.
        """


@dataclass(frozen=True)
class SegmentationFiles:
    """One split as files: class names and colours, and for every image its mask.

    Args:
        root: the tree.
        split: its name.
        names: of the classes.
        colours: of the classes, for drawing.
        pairs: image and mask.
        mask_colours: set only where masks are RGB images to be looked up in it.
        label_map: the class of every value in the masks' files, uint8 [256], as `make_label_map` has it; None where
            the values are the classes.
        notes: what readers left out, a line each.
        unlabelled: more images to train on, without masks.
    """

    root: Path
    split: str
    names: list[str]
    colours: list[Colour]
    pairs: list[tuple[Path, Path | Drawn]]
    mask_colours: list[Colour] | None = None
    label_map: NDArray[np.uint8] | None = None
    notes: list[str] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)

    def at(self, chosen: Sequence[int]) -> "SegmentationFiles":
        """The images at some indices."""
        return replace(self, pairs=[self.pairs[index] for index in chosen])

    def classes(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices, and 255 for void, of what a mask's file holds; both uint8 [H, W]."""
        return values if self.label_map is None else self.label_map[values]

    @property
    def where(self) -> Path:
        """The folder of the masks, or the tree where they are no files of their own."""
        drawn = self.pairs[0][1]
        return drawn.parent if isinstance(drawn, Path) else self.root
