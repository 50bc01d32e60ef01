"""Cityscapes: 34 labelIds in the files, of which 19 are trained and evaluated on (arXiv 1604.01685, Section 2)."""

from pathlib import Path

from datasets.faults import DataError
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.label_maps import make_label_map
from datasets.segmentation.trees import require_pairs, sub_folder

IMAGE, MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"
IDS = 34
# name, colour and labelId in the order of the trainIds
CLASSES = [
    ("road", (128, 64, 128), 7),
    ("sidewalk", (244, 35, 232), 8),
    ("building", (70, 70, 70), 11),
    ("wall", (102, 102, 156), 12),
    ("fence", (190, 153, 153), 13),
    ("pole", (153, 153, 153), 17),
    ("traffic light", (250, 170, 30), 19),
    ("traffic sign", (220, 220, 0), 20),
    ("vegetation", (107, 142, 35), 21),
    ("terrain", (152, 251, 152), 22),
    ("sky", (70, 130, 180), 23),
    ("person", (220, 20, 60), 24),
    ("rider", (255, 0, 0), 25),
    ("car", (0, 0, 142), 26),
    ("truck", (0, 0, 70), 27),
    ("bus", (0, 60, 100), 28),
    ("train", (0, 80, 100), 31),
    ("motorcycle", (0, 0, 230), 32),
    ("bicycle", (119, 11, 32), 33),
]


def cityscapes_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and gtFine/SPLIT/CITY/*_gtFine_labelIds.png.

    The other 15 labelIds are void; a value from 34 to 254 is a fault. The masks of the split "test" were never
    published: those in the archive are void.

    Raises:
        DataError: if a folder, the split or a mask is missing.
    """
    images = sub_folder(root / "leftImg8bit", split)
    masks = root / "gtFine" / split
    pairs = []
    for image in sorted(images.glob(f"*/*{IMAGE}")):
        pairs.append((image, masks / image.parent.name / (image.name.removesuffix(IMAGE) + MASK)))
    if not pairs:
        raise DataError(f"{images}: no images; Cityscapes has CITY/*{IMAGE} in it")
    require_pairs(images, pairs, masks)
    ids = [number for _, _, number in CLASSES]
    label_map = make_label_map([[number] for number in ids], set(range(IDS)).difference(ids))
    names, colours = [name for name, _, _ in CLASSES], [colour for _, colour, _ in CLASSES]
    return SegmentationFiles(root, split, names, colours, [*pairs], label_map=label_map)
