"""Class masks of COCO's instances: all classes, or VOC's 20."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from datasets.detection.coco_json import (
    LARGEST,
    Entry,
    divide,
    faults_of,
    notes_of_images,
    read_categories,
    read_images,
    read_size,
    several,
)
from datasets.detection.coco_trees import find_images, read_split
from datasets.faults import DataError, counted, list_faults, one_line
from datasets.files import IGNORE, default_colours
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.outlines import Outlines, Region, make_polygon
from datasets.voc_names import VOC_NAMES

LEAST = 1000  # labelled pixels that an image must have more of, to be trained on with VOC's classes
# of COCO's categories, those of VOC's 20 classes, in VOC's order; what they are called there
# fmt: off
VOC_CATEGORIES = {
    5: "airplane", 2: "bicycle", 16: "bird", 9: "boat", 44: "bottle", 6: "bus", 3: "car", 17: "cat", 62: "chair",
    21: "cow", 67: "dining table", 18: "dog", 19: "horse", 4: "motorcycle", 1: "person", 64: "potted plant",
    20: "sheep", 63: "couch", 7: "train", 72: "tv",
}
# fmt: on


def coco_files(root: Path, split: str, classes: str | None = None, group_by: str | None = None) -> SegmentationFiles:
    """A split of a tree with instances as `coco_detection` reads them, its class masks drawn when a sample is read.

    Class 0 is background. Crowds, and pixels of several instances, are void. Images are looked for as by
    `coco_detection`.

    Args:
        root: the tree.
        split: names the json and the folder of the images.
        classes: "voc" for VOC's 20 classes, in its order, where the split "train" leaves out images without them or
            with 1,000 labelled pixels or fewer: what torchvision's published segmentation networks were trained on
            (references/segmentation/coco_utils.py). None for all classes, in the order of their category ids.
        group_by: see `read_split`.

    Raises:
        DataError: if the json is missing or faulty as a whole. What is wrong with the outlines of one image is told
            when it is read.
    """
    path, content = read_split(root, split, group_by)
    faults: list[str] = []
    categories = read_categories(content["categories"], path, faults)
    images = read_images(content["images"], path, faults)
    names, labels = _voc_classes(categories, path) if classes == "voc" else _all_classes(categories, path)
    outlines = {number: Outlines(f"{path}, image {one_line(number)}", read_size(images[number])) for number in images}
    areas = _read_annotations(content["annotations"], path, outlines, categories, labels, faults)
    if faults:
        raise DataError(list_faults(faults, str(path)))
    chosen = list(images)
    notes = []
    if classes == "voc" and split.startswith("train"):
        chosen = [number for number in images if areas[number] > LEAST or outlines[number].faults]
        kept = {*chosen}
        left = [image["file_name"] for number, image in images.items() if number not in kept]
        notes = counted(left, "image", "images", f"with {LEAST:,} labelled pixels of VOC's classes or fewer left out")
    if not chosen:
        raise DataError(f"{path}: split {split} is empty; its json has no images with labelled pixels")
    entries = [images[number] for number in chosen]
    image_paths = find_images(root, split, path, [entry["file_name"] for entry in entries])
    notes += notes_of_images(entries, image_paths)
    pairs: list[Any] = [*zip(image_paths, (outlines[number] for number in chosen), strict=True)]
    return SegmentationFiles(root, split, names, default_colours(len(names)), pairs, notes=notes)


def _all_classes(categories: dict[int, str], path: Path) -> tuple[list[str], dict[int, int]]:
    """Names, background first, and the class of every category id."""
    names = ["background", *(name for name in categories.values() if name != "background")]
    if len(names) > IGNORE:
        raise DataError(f"{path}: {len(names)} classes; masks of eight bits hold 255 at most, as value 255 is void")
    return names, {number: names.index(name) for number, name in categories.items()}


def _voc_classes(categories: dict[int, str], path: Path) -> tuple[list[str], dict[int, int]]:
    """The same of VOC's classes.

    Raises:
        DataError: if the categories are not COCO's.
    """
    for number, name in VOC_CATEGORIES.items():
        if categories.get(number) != name:
            told = one_line(categories.get(number, "missing"))
            raise DataError(f"{path}: --classes voc needs COCO's categories; {number} is {name} there, and here {told}")
    return VOC_NAMES, {number: index for index, number in enumerate(VOC_CATEGORIES, start=1)}


def _read_annotations(
    entries: list[Any],
    path: Path,
    outlines: dict[int | str, Outlines],
    categories: dict[int, str],
    labels: dict[int, int],
    faults: list[str],
) -> dict[int | str, float]:
    """Add the regions of the annotations to their images; the area of all that are of a class, by image."""
    sound, unsound = divide(entries, "annotations", {"image_id": (int, str), "category_id": (int,)})
    faults += faults_of(path, unsound, "annotation", "annotations", "without image_id and category_id")
    given = [entry for entry in sound if type(entry.get("id")) in (int, str)]
    faults += faults_of(path, several(given, "id"), "annotation id", "annotation ids", "given more than once")
    areas: dict[int | str, float] = defaultdict(float)
    astray, unclassed = [], []
    for entry in sound:
        name = f"annotation {one_line(entry.get('id', 'without id'), 50)}"
        image, label = outlines.get(entry["image_id"]), labels.get(entry["category_id"])
        if image is None:
            astray.append(f"{name} (image {entry['image_id']})")
        elif entry["category_id"] not in categories:
            unclassed.append(f"{name} (category {entry['category_id']})")
        elif label is not None:
            try:
                region, area = _region(entry, label), entry.get("area")
                known = isinstance(area, int | float) and 0 <= area <= LARGEST
                areas[entry["image_id"]] += area if area is not None and known else region.area()
                image.regions.append(region)
            except ValueError as error:
                image.faults.append(f"{name} has {error}; write it anew")
    faults += faults_of(path, astray, "annotation", "annotations", "of unknown images")
    faults += faults_of(path, unclassed, "annotation", "annotations", "of unknown categories")
    return areas


def _region(entry: Entry, label: int) -> Region:
    """What an annotation encloses; polygons of fewer than three points enclose nothing.

    Raises:
        ValueError: saying what is wrong with it.
    """
    crowd, given = entry.get("iscrowd"), entry.get("segmentation")
    if crowd not in (None, 0, 1):
        raise ValueError("an iscrowd other than 0 and 1")
    label = IGNORE if crowd else label
    if isinstance(given, list):
        polygons = [polygon for polygon in map(make_polygon, given) if polygon is not None]
        if not given or len(polygons) < len(given):
            raise ValueError("polygons that are no lists of numbers, x and y in turn")
        return Region(label, [polygon for polygon in polygons if len(polygon) >= 6])
    if not isinstance(given, dict):
        raise ValueError("no segmentation")
    size, runs = given.get("size"), given.get("counts")
    known = type(runs) is str or (isinstance(runs, list) and {*map(type, runs)} == {int})
    if not known or not isinstance(size, list) or [type(side) for side in size] != [int, int]:
        raise ValueError("an RLE without size [height, width] and counts")
    return Region(label, runs=runs, runs_size=(size[0], size[1]))
