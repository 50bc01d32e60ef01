"""What a joint split is: images with a mask, with boxes, or with both."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from datasets.detection.files import DetectionFiles
from datasets.files import Colour
from datasets.ranges import COUNT, check_options
from datasets.segmentation.files import SegmentationFiles


class Labelled(NamedTuple):
    """An image, and where its labels are: indices into `pairs` of the masks and into the boxes' lists, or None."""

    path: Path
    mask: int | None
    boxes: int | None


@dataclass(frozen=True)
class JointFiles:
    """One split: masks of some images and boxes of some, which may be the same images, others, or both.

    Attributes:
        masks: images with masks; `pairs` may be empty.
        boxes: images with boxes; `image_paths` may be empty. Its `unlabelled` ones have no mask either.
        share: of the samples of an epoch, that comes from images with boxes alone where they are from a data set of
            their own; None to see each image once.
    """

    masks: SegmentationFiles
    boxes: DetectionFiles
    share: float | None = None

    @cached_property
    def images(self) -> list[Labelled]:
        """Every image once: those with masks in their order, then those with boxes alone, then those without either."""
        boxes = {path: index for index, path in enumerate(self.boxes.image_paths)}
        masked = [Labelled(image, index, boxes.pop(image, None)) for index, (image, _) in enumerate(self.masks.pairs)]
        boxed = [Labelled(path, None, index) for path, index in boxes.items()]
        return masked + boxed + [Labelled(path, None, None) for path in self.boxes.unlabelled]

    @property
    def root(self) -> Path:
        """Of the masks."""
        return self.masks.root

    @property
    def split(self) -> str:
        """Its name."""
        return self.masks.split

    @property
    def names(self) -> list[str]:
        """Of the classes of masks."""
        return self.masks.names

    @property
    def colours(self) -> list[Colour]:
        """Of the classes of masks."""
        return self.masks.colours

    @property
    def box_names(self) -> list[str]:
        """Of the classes of boxes."""
        return self.boxes.names

    @property
    def box_colours(self) -> list[Colour]:
        """Of the classes of boxes: those of the masks' class of the same name, where there is one."""
        same = dict(zip(self.names, self.colours, strict=True))
        return [same.get(name, own) for name, own in zip(self.box_names, self.boxes.colours, strict=True)]


def limit_joint(files: JointFiles, most: int | None) -> JointFiles:
    """The first `most` images of a split, or all of them for None."""
    check_options(max_images=(most, *COUNT))
    if most is None:
        return files
    kept = {image.path for image in files.images[:most]}
    pairs = [pair for pair in files.masks.pairs if pair[0] in kept]
    at = [index for index, path in enumerate(files.boxes.image_paths) if path in kept]
    return replace(files, masks=replace(files.masks, pairs=pairs), boxes=files.boxes.at(at))
