"""Segmentation data: which files belong to a split (VOC trees, images/ beside masks/), and samples read from them."""

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datasets.download import download_voc2012
from datasets.files import (
    IGNORE,
    IMAGE_SUFFIXES,
    Colour,
    DataError,
    default_colours,
    one_line,
    read_labels,
    read_lines,
    read_upright,
    read_upright_mask,
)
from datasets.ranges import COUNT, check_options
from datasets.shapes import write_shapes

# fmt: off
VOC_NAMES = [
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]
# fmt: on
DATASETS = ("shapes", "voc", "folder")
Transform = Callable[[NDArray[np.uint8], NDArray[np.uint8], int, int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


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


def find_segmentation(
    dataset: str, split: str, data_root: Path | None = None, download: bool = False
) -> SegmentationFiles:
    """The files of one split of a dataset.

    Args:
        dataset: "shapes" (written on first use), "voc" (the VOC layout) or "folder" (images/ beside masks/).
        split: "train", "val", "test" or any other list the tree has.
        data_root: the tree; by default data/shapes, or data/VOCdevkit/VOC2012.
        download: fetch VOC2012 if it is not there.

    Raises:
        DataError: if the dataset, the tree, the split or an image is missing, or the split is empty.
    """
    if dataset == "shapes":
        root = data_root or Path("data/shapes")
        write_shapes(root)
        return voc_files(root, split)
    if dataset == "voc":
        root = data_root or Path("data/VOCdevkit/VOC2012")
        if download:
            download_voc2012(root)
        return voc_files(root, split)
    if dataset == "folder":
        if data_root is None:
            raise DataError("--dataset folder needs --data-root DIR, where DIR holds images/, masks/ and labels.txt")
        return folder_files(data_root, split)
    near = difflib.get_close_matches(dataset, DATASETS, 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    raise DataError(f'there is no dataset "{dataset}"{hint} (there are {", ".join(DATASETS)})')


def voc_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with JPEGImages, SegmentationClass and ImageSets/Segmentation/<split>.txt.

    Classes come from labels.txt; without it, a folder named VOC20.. has VOC's 21. Where ImageSets has trainaug.txt and
    SegmentationClassAug is there (the SBD masks, 10,582 images), "train" means that list.

    Raises:
        DataError: see `find_segmentation`.
    """
    lists = root / "ImageSets" / "Segmentation"
    if not lists.is_dir():
        hint = " (--download fetches it)" if root.name == "VOC2012" else ""
        raise DataError(f"{lists}: no such folder; a VOC tree has JPEGImages, SegmentationClass and ImageSets{hint}")
    if root.name.startswith("VOC20") and not (root / "labels.txt").exists():
        names, given = VOC_NAMES, None
    else:
        names, given = read_labels(root / "labels.txt")
    masks = root / "SegmentationClass"
    augmented = root / "SegmentationClassAug"
    if split in ("train", "trainaug") and (lists / "trainaug.txt").exists() and augmented.is_dir():
        split, masks = "trainaug", augmented
    listing = lists / f"{split}.txt"
    if not listing.is_file():
        raise DataError(f"{listing}: no such split; there are {', '.join(sorted(p.stem for p in lists.glob('*.txt')))}")
    stems = [line.strip() for line in read_lines(listing) if line.strip()]
    if not stems:
        raise DataError(f"{listing}: the split is empty; list one image name a line")
    twice = [stem for stem, count in Counter(stems).items() if count > 1]
    if twice:
        raise DataError(f"{listing}: {len(twice)} name{'s' * (len(twice) > 1)} listed more than once: {_first(twice)}")
    images = _by_stem(root / "JPEGImages")
    absent = [stem for stem in stems if stem not in images]
    if absent:
        raise DataError(_list_absent(listing, absent, root / "JPEGImages"))
    pairs = [(images[stem], masks / f"{stem}.png") for stem in stems]
    return SegmentationFiles(root, split, names, given or default_colours(len(names)), pairs, given)


def folder_files(root: Path, split: str) -> SegmentationFiles:
    """A split of a tree with images/, masks/ and labels.txt; a mask has its image's name.

    Splits are sub-folders of both (images/train, masks/train) where there are any. Otherwise every fifth image, by a
    hash of its name, is "val" and the others are "train", so that adding images moves none from one to the other.

    Raises:
        DataError: see `find_segmentation`.
    """
    names, given = read_labels(root / "labels.txt")
    images, masks = root / "images", root / "masks"
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; --dataset folder reads images/ and masks/ side by side")
    divided = any(path.is_dir() and not path.name.startswith(".") for path in images.iterdir())
    if divided:
        images, masks = images / split, masks / split
        if not images.is_dir():
            there = sorted(path.name for path in images.parent.iterdir() if path.is_dir())
            raise DataError(f"{images}: no such split; there are {', '.join(there)}")
    image_paths, drawn = _by_stem(images), _by_stem(masks)
    stems = sorted(image_paths)
    if not divided:
        if split not in ("train", "val"):
            raise DataError(f"{images}: no split {split}; without sub-folders there are train, val")
        held_out = {stem for stem in stems if int(hashlib.sha256(stem.encode()).hexdigest(), 16) % 5 == 0}
        stems = [stem for stem in stems if (stem in held_out) == (split == "val")]
    if not stems:
        raise DataError(f'{images}: split "{split}" is empty: no images ({", ".join(IMAGE_SUFFIXES)}) belong to it')
    absent = [stem for stem in stems if stem not in drawn]
    if absent:
        raise DataError(_list_absent(images, absent, masks))
    pairs = [(image_paths[stem], drawn[stem]) for stem in stems]
    return SegmentationFiles(root, split, names, given or default_colours(len(names)), pairs, given)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            if path.stem in found:
                raise DataError(
                    f"{path}: has the name of {found[path.stem].name}; images and masks are matched by name"
                )
            found[path.stem] = path
    return found


def _list_absent(source: Path, absent: Sequence[str], folder: Path) -> str:
    return f"{source}: {len(absent)} names have no file in {folder}: {_first(absent)}"


def _first(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def read_pair(files: SegmentationFiles, image_path: Path, drawn: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image as uint8 [H, W, 3] RGB and its mask as uint8 [H, W] of class indices and 255, both upright.

    Some tools show an image turned upright by its EXIF orientation while masks are drawn, and some do not. A turn by a
    quarter is told by the sides of the mask, if they differ; where they do not tell, an image whose orientation its
    mask has not too is a fault.

    Raises:
        DataError: if either cannot be read, their sides or orientations differ, or the mask has a value that is neither
            a class nor 255.
    """
    image, turned = read_upright(image_path)
    mask, mask_turned = read_upright_mask(drawn, files.mask_colours)
    fault = pair_fault(files, image_path, drawn, mask, image.shape[:2], (turned, mask_turned))
    if fault:
        raise DataError(fault[1])
    return image, mask


def pair_fault(
    files: SegmentationFiles,
    image: Path,
    drawn: Path,
    mask: NDArray[np.uint8],
    size: tuple[int, ...],
    turned: tuple[int, int],
) -> tuple[str, str] | None:
    """What `read_pair` refuses in a mask that can be read: "size", "turn" or "values", and the message.

    Args:
        files: the split.
        image: of the mask.
        drawn: the mask's file.
        mask: uint8 [H, W].
        size: height and width of the image.
        turned: EXIF orientation of the image and of the mask.
    """
    height, width = size
    if mask.shape != (height, width):
        other = f"{mask.shape[1]}x{mask.shape[0]}"
        return "size", f"{drawn}: {other}, but its image {image.name} is {width}x{height} once upright"
    told = turned[1] == 1 and turned[0] >= 5 and height != width
    if turned[0] != turned[1] and not told:
        return "turn", (
            f"{image}: EXIF orientation {turned[0]}, and its mask {drawn.name} has {turned[1]}, so that nothing "
            "tells whether the mask is for the upright image; save the image upright and without EXIF orientation"
        )
    if (mask + np.uint8(1)).max() > len(files.names):  # 255 becomes 0; most masks are sound, and pass in one look
        pixels = np.bincount(mask.ravel(), minlength=256)
        beyond = [value for value in np.flatnonzero(pixels) if len(files.names) <= value < IGNORE]
        values = ", ".join(f"{value} on {pixels[value]:,} pixels" for value in beyond[:3])
        classes = f"0 {files.names[0]} to {len(files.names) - 1} {files.names[-1]}"
        return "values", f"{drawn}: mask value {values}; classes are {classes}, and 255 for void"
    return None


class SegmentationDataset(Dataset[dict[str, object]]):
    """Samples of one split.

    `dataset[epoch, index]` is {"image": uint8 [H, W, 3] RGB, "mask": uint8 [H, W], "file": str, "size": (H, W) as on
    disk}; `dataset[index]` is epoch 0. The transform gets (image, mask, epoch, index) and nothing else to depend on.
    What `read_pair` refuses is an error on reading a sample.

    Args:
        files: what to read.
        transform: what to do with an image and its mask, or None.
    """

    def __init__(self, files: SegmentationFiles, transform: Transform | None = None) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files.pairs)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, object]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        image_path, drawn = self.files.pairs[index]
        image, mask = read_pair(self.files, image_path, drawn)
        size = image.shape[:2]
        if self.transform is not None:
            image, mask = self.transform(image, mask, epoch, index)
        return {"image": image, "mask": mask, "file": str(image_path), "size": size}


def limit(files: SegmentationFiles, most: int | None) -> SegmentationFiles:
    """The first `most` images of a split, at least one, or all of them for None."""
    check_options(max_images=(most, *COUNT))
    return replace(files, pairs=files.pairs[:most])
