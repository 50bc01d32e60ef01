"""Masks of what people drew: labelme's and CVAT's shapes, YOLO's polygons."""

from pathlib import Path
from typing import Any

from datasets.detection.drawn import NO_OBJECT, DrawnImage, DrawnSplit
from datasets.faults import DataError, list_faults
from datasets.files import IGNORE, default_colours
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.outlines import Outlines, Region


def drawn_segmentation(root: Path, split: str, drawn: DrawnSplit) -> SegmentationFiles:
    """Class masks of the shapes, later ones in front of earlier ones; class 0 is background.

    Raises:
        DataError: for labels that are not listed, and too many classes. What is wrong with one image is told when it is
            read.
    """
    names = ["background", *drawn.names]
    if len(names) > IGNORE:
        raise DataError(f"{drawn.listed}: {len(names)} classes; masks hold 255 at most, as value 255 is void")
    faults = drawn.all_faults()
    if faults:
        raise DataError(list_faults(faults, f"{root}, split {split}"))
    labels = NO_OBJECT | {name: index for index, name in enumerate(names)}
    pairs: list[Any] = [(image.path, _outlines(image, labels)) for image in drawn.images]
    return SegmentationFiles(root, split, names, default_colours(len(names)), pairs, notes=drawn.notes)


def _outlines(image: DrawnImage, labels: dict[str, int]) -> Outlines:
    regions = [Region(labels[shape.label], [shape.outline.ravel()], brush=shape.brush) for shape in image.shapes]
    return Outlines(image.source, image.size, regions, layered=True, faults=image.faults)
