"""ADE20K as in the scene parsing benchmark of 150 classes (SceneParse150, ADEChallengeData2016)."""

from pathlib import Path

from datasets.faults import DataError
from datasets.files import default_colours
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.label_maps import make_label_map
from datasets.segmentation.trees import by_stem, require_pairs, sub_folder

# the first of the names that objectInfo150.txt has for each
# fmt: off
NAMES = [
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
    "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
    "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
    "bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand",
    "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table",
    "pillow", "screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower",
    "book", "hill", "bench", "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat", "bar",
    "arcade machine", "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight",
    "booth", "television receiver", "airplane", "dirt track", "apparel", "pole", "land", "bannister", "escalator",
    "ottoman", "bottle", "buffet", "poster", "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer",
    "plaything", "swimming pool", "stool", "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven",
    "ball", "food", "step", "tank", "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher",
    "screen", "blanket", "sculpture", "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier",
    "crt screen", "plate", "monitor", "bulletin board", "shower", "radiator", "glass", "clock", "flag",
]
# fmt: on
FOLDERS = {"train": "training", "val": "validation"}


def ade20k_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with images/training, images/validation and annotations/ with the same folders.

    A mask has its image's name; value 0 is void, 1 to 150 are the classes, and other values are faults.

    Args:
        root: the folder ADEChallengeData2016.
        split: "train" or "val".

    Raises:
        DataError: if a folder, the split or a mask is missing.
    """
    folder = FOLDERS.get(split, split)
    images, masks = sub_folder(root / "images", folder), root / "annotations" / folder
    pairs = [(image, masks / f"{stem}.png") for stem, image in by_stem(images).items()]
    if not pairs:
        raise DataError(f"{images}: no images in it")
    require_pairs(images, pairs, masks)
    label_map = make_label_map([[index + 1] for index in range(len(NAMES))], [0])
    return SegmentationFiles(root, split, NAMES, default_colours(len(NAMES)), [*pairs], label_map=label_map)
