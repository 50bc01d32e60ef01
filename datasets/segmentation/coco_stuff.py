"""COCO-Stuff: PNG masks of COCO's 80 things and 91 kinds of stuff (arXiv 1612.03716)."""

from pathlib import Path
from typing import Any

from datasets.detection.coco_trees import find_images
from datasets.faults import DataError
from datasets.files import default_colours
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.label_maps import make_label_map
from datasets.segmentation.trees import by_stem, labels_of, sub_folder

# ids 1 to 182, of which a pixel holds the id less one; the empty ones never occur
# fmt: off
NAMES = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "", "backpack", "umbrella", "", "", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "",
    "dining table", "", "", "toilet", "", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave",
    "oven", "toaster", "sink", "refrigerator", "", "book", "clock", "vase", "scissors", "teddy bear", "hair drier",
    "toothbrush", "", "banner", "blanket", "branch", "bridge", "building-other", "bush", "cabinet", "cage", "cardboard",
    "carpet", "ceiling-other", "ceiling-tile", "cloth", "clothes", "clouds", "counter", "cupboard", "curtain",
    "desk-stuff", "dirt", "door-stuff", "fence", "floor-marble", "floor-other", "floor-stone", "floor-tile",
    "floor-wood", "flower", "fog", "food-other", "fruit", "furniture-other", "grass", "gravel", "ground-other", "hill",
    "house", "leaves", "light", "mat", "metal", "mirror-stuff", "moss", "mountain", "mud", "napkin", "net", "paper",
    "pavement", "pillow", "plant-other", "plastic", "platform", "playingfield", "railing", "railroad", "river", "road",
    "rock", "roof", "rug", "salad", "sand", "sea", "shelf", "sky-other", "skyscraper", "snow", "solid-other", "stairs",
    "stone", "straw", "structural-other", "table", "tent", "textile-other", "towel", "tree", "vegetable", "wall-brick",
    "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile", "wall-wood", "water-other", "waterdrops",
    "window-blind", "window-other", "wood",
]
# fmt: on


def coco_stuff_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with stuffthingmaps/<split>2017/*.png beside COCO's images.

    Classes are the 171 that occur, or those of a labels.txt in the tree (see `read_label_lines`). Images are looked for
    as by `coco_detection`.

    Raises:
        DataError: if a folder or the split is missing.
    """
    folder = root / "stuffthingmaps"
    year = f"{split}2017"
    masks = by_stem(sub_folder(folder, year if (folder / year).is_dir() else split))
    if not masks:
        raise DataError(f"{folder / split}: no masks in it")
    pairs: list[Any] = [
        *zip(find_images(root, split, folder, [f"{stem}.jpg" for stem in masks]), masks.values(), strict=True)
    ]
    if (root / "labels.txt").exists():
        return SegmentationFiles(root, split, pairs=pairs, **labels_of(root))
    values = [value for value, name in enumerate(NAMES) if name]
    names = [NAMES[value] for value in values]
    label_map = make_label_map([[value] for value in values], [])
    return SegmentationFiles(root, split, names, default_colours(len(names)), pairs, label_map=label_map)
