"""Class masks of COCO's panoptic annotations: PNG images of segment ids, and a json of their categories."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.detection.coco_json import (
    divide,
    faults_of,
    notes_of_images,
    read_categories,
    read_images,
    read_json,
    read_size,
)
from datasets.detection.coco_trees import find_images, find_json
from datasets.faults import DataError, list_faults
from datasets.files import IGNORE, default_colours, is_inside
from datasets.images import Size
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.masks import read_rgb

LARGEST = 256**3 - 1


@dataclass
class Segments:
    """The mask of one image.

    Args:
        path: of the PNG, in which a pixel is R + 256 G + 256^2 B, the id of its segment; 0 is void.
        size: height and width that the json declares, or None.
        classes: of every id, 255 for void.
        faults: of its segments in the json, each a part of a line.
    """

    path: Path
    size: Size | None = None
    classes: dict[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return str(self.path)

    def read(self, size: Size) -> NDArray[np.uint8]:
        """See `Drawn.read`."""
        if self.faults:
            raise DataError(f"{self.path}: its segments_info has {self.faults[0]}")
        if self.size is not None and self.size != size:
            declared = f"{self.size[1]}x{self.size[0]}"
            raise DataError(
                f"{self.path}: the json has an image of {declared}, and it is {size[1]}x{size[0]} once upright"
            )
        rgb = read_rgb(self.path)
        if rgb.shape[:2] != size:
            sides = f"{rgb.shape[1]}x{rgb.shape[0]}"
            raise DataError(f"{self.path}: {sides}, but its image is {size[1]}x{size[0]} once upright")
        found = rgb.astype(np.uint32) @ np.array([1, 256, 65536], dtype=np.uint32)
        ids = np.array(sorted({0: IGNORE} | self.classes), dtype=np.uint32)
        places = np.searchsorted(ids, found).clip(max=len(ids) - 1)
        unknown = ids[places] != found
        if unknown.any():
            number, pixels = int(found[unknown][0]), int((found == found[unknown][0]).sum())
            raise DataError(f"{self.path}: segment {number} on {pixels:,} pixels is not in the json's segments_info")
        classes = {0: IGNORE} | self.classes
        return np.array([classes[int(number)] for number in ids], dtype=np.uint8)[places]


def panoptic_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with annotations/panoptic_<split>2017.json and its PNGs in a folder of the json's name.

    Classes are the categories in the order of their ids, 133 for COCO. Crowds, and id 0, are void. Images are looked
    for as by `coco_detection`.

    Raises:
        DataError: if the json is missing or faulty as a whole, or its PNGs' folder is missing. What is wrong with one
            image is told when it is read.
    """
    path = find_json(root, split, "panoptic")
    content = read_json(path)
    folder = path.with_suffix("")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; unpack the PNGs of {path.name} into it")
    faults: list[str] = []
    categories = read_categories(content["categories"], path, faults)
    images = read_images(content["images"], path, faults)
    if len(categories) > IGNORE:
        raise DataError(f"{path}: {len(categories)} classes; masks of eight bits hold 255 at most, as 255 is void")
    labels = {number: index for index, number in enumerate(categories)}
    wanted: Any = {"image_id": (int, str), "file_name": (str,), "segments_info": (list,)}
    sound, unsound = divide(content["annotations"], "annotations", wanted)
    faults += faults_of(path, unsound, "annotation", "annotations", "without image_id, file_name and segments_info")
    of_image: dict[Any, list[Any]] = defaultdict(list)
    for entry in sound:
        of_image[entry["image_id"]].append(entry)
    twice = [str(number) for number, entries in of_image.items() if len(entries) > 1]
    faults += faults_of(path, twice, "image", "images", "annotated more than once")
    astray = [str(number) for number in of_image if number not in images]
    faults += faults_of(path, astray, "annotation", "annotations", "of unknown images")
    outside = [entry["file_name"] for entry in sound if not is_inside(entry["file_name"])]
    faults += faults_of(path, outside, "file_name", "file_names", "that lead out of the tree")
    bare = [str(number) for number in images if number not in of_image]
    faults += faults_of(path, bare, "image", "images", "without an annotation")
    if not images:
        faults.append(f"{path}: split {split} is empty; its json has no images")
    if faults:
        raise DataError(list_faults(faults, str(path)))
    image_paths = find_images(root, split, path, [image["file_name"] for image in images.values()])
    drawn = []
    for number, image in images.items():
        entry = of_image[number][0]
        drawn.append(_segments(folder / entry["file_name"], read_size(image), entry["segments_info"], labels))
    pairs: list[Any] = [*zip(image_paths, drawn, strict=True)]
    notes = notes_of_images([*images.values()], image_paths)
    names = [*categories.values()]
    return SegmentationFiles(root, split, names, default_colours(len(names)), pairs, notes=notes)


def _segments(path: Path, size: Size | None, entries: list[Any], labels: dict[int, int]) -> Segments:
    """The segments of one image, with what is wrong with them."""
    segments = Segments(path, size)
    sound, unsound = divide(entries, "segments_info", {"id": (int,), "category_id": (int,)})
    segments.faults += [f"no id and category_id in {place}" for place in unsound]
    for entry in sound:
        number, label, crowd = entry["id"], labels.get(entry["category_id"]), entry.get("iscrowd")
        if not 0 < number <= LARGEST or number in segments.classes:
            segments.faults.append(f"id {number}, which is not from 1 to {LARGEST:,} or is given twice")
        elif label is None:
            segments.faults.append(f"an unknown category {entry['category_id']}")
        elif crowd not in (None, 0, 1):
            segments.faults.append(f"an iscrowd other than 0 and 1 for id {number}")
        else:
            segments.classes[number] = IGNORE if crowd else label
    return segments
