"""Shapes: a seeded, synthetic set in the VOC layout, so that every reader and tool runs without a download.

Textured shapes lie over one another on a quieter ground, among lines and shapeless blobs that are background. A class
has a hue and a texture of its own, which one shape in fourteen does not follow; small objects, blur and noise occur. A
void line (255) runs along outlines, as in VOC.
"""

import colorsys
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from datasets.faults import DataError
from datasets.files import IGNORE, default_colours
from datasets.segmentation.masks import write_mask

NAMES = ["background", "disc", "square", "triangle", "star", "cross"]
TEXTURES = ["stripes", "checks", "dots", "cloud", "gradient"]  # what discs, squares, ... mostly have
SPLITS = {"train": 1200, "val": 200, "test": 200}
Points = NDArray[np.float64]
Canvas = NDArray[np.float32]


def write_shapes(root: Path, seed: int = 0, splits: dict[str, int] | None = None) -> None:
    """Write the set to `root`, or leave it if it is there already.

    The tree is a VOC tree (JPEGImages, SegmentationClass, ImageSets/Segmentation, labels.txt) with
    annotations/instances_<split>.json in COCO's format: boxes and RLE of what is visible of every shape.

    Args:
        root: the folder to make.
        seed: of every random choice; the same seed writes the same masks.
        splits: how many images each split has; by default 1200 train, 200 val, 200 test.

    Raises:
        DataError: if `root` holds something else, or cannot be written.
    """
    splits = splits or SPLITS
    recipe = json.dumps({"generator": "shapes 1", "seed": seed, "splits": splits})
    marker = root / "shapes.json"
    if marker.is_file() and marker.read_text() == recipe:
        return
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise DataError(f"{root}: holds something else than this Shapes set; remove it or name another --data-root")
    try:
        _write(root, recipe, seed, splits)
    except OSError as error:
        raise DataError(
            f"{root}: the Shapes set cannot be written ({error.strerror or error}); name a folder with --data-root"
        ) from None


def _write(root: Path, recipe: str, seed: int, splits: dict[str, int]) -> None:
    """Write the set beside `root`, and move it there once it is whole."""
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=root.parent, prefix=".shapes-"))
    try:
        for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation", "annotations"):
            (unfinished / folder).mkdir(parents=True)
        for number, (split, count) in enumerate(splits.items()):
            _write_split(unfinished, split, count, [seed, number])
        (unfinished / "labels.txt").write_text("\n".join(NAMES) + "\n")
        (unfinished / "shapes.json").write_text(recipe)
        unfinished.chmod(0o755)
        _move(unfinished, root, recipe)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _move(unfinished: Path, root: Path, recipe: str) -> None:
    try:
        os.replace(unfinished, root)
    except OSError:
        # another process of the same run may have been faster
        if not (root / "shapes.json").is_file() or (root / "shapes.json").read_text() != recipe:
            raise


def _write_split(root: Path, split: str, count: int, seed: list[int]) -> None:
    colours = default_colours(len(NAMES))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        image, mask, instances = draw(np.random.default_rng([*seed, index]))
        stem = f"{split}_{index:04d}"
        Image.fromarray(image).save(root / "JPEGImages" / f"{stem}.jpg", quality=92)
        write_mask(root / "SegmentationClass" / f"{stem}.png", mask, colours)
        height, width = mask.shape
        images.append({"id": index + 1, "file_name": f"{stem}.jpg", "height": height, "width": width})
        for category, visible in instances:
            rle = coco_mask.encode(np.asfortranarray(visible))
            annotation = {
                "id": len(annotations) + 1,
                "image_id": index + 1,
                "category_id": category,
                "bbox": coco_mask.toBbox(rle).tolist(),
                "area": int(visible.sum()),
                "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode()},
                "iscrowd": 0,
            }
            annotations.append(annotation)
    categories = [{"id": index, "name": name} for index, name in enumerate(NAMES) if index]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    stems = [image["file_name"].removesuffix(".jpg") for image in images]
    (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(stems) + "\n")


def draw(
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[tuple[int, NDArray[np.uint8]]]]:
    """One image, uint8 [H, W, 3]; its mask, uint8 [H, W]; and (class, visible mask) of every shape still seen."""
    height, width = (int(side) for side in random.choice([112, 128, 144], 2))
    canvas = _texture(random, height, width, str(random.choice(["cloud", "gradient"])), random.random(), vivid=0.4)
    for _ in range(random.integers(1, 4)):
        _distract(random, canvas)
    mask = np.zeros((height, width), dtype=np.uint8)
    owner = np.zeros((height, width), dtype=np.uint8)
    categories: list[int] = []
    for _ in range(random.integers(3, 7)):
        category = int(random.integers(1, len(NAMES)))
        radius = float(np.exp(random.uniform(np.log(15), np.log(44))))
        centre = random.uniform((0, 0), (width, height))
        points = np.round(_outline(random, category, radius) + centre).astype(np.int32)
        categories.append(category)
        usual = random.random() < 0.93
        kind = TEXTURES[category - 1] if usual else str(random.choice(TEXTURES))
        hue = (category - 1) / 5 + random.normal(0, 0.03) if usual else random.random()
        _paint(random, canvas, points, partial(_texture, kind=kind, hue=hue, vivid=1.0))
        cv2.fillPoly(mask, [points], category)
        cv2.fillPoly(owner, [points], len(categories))
        cv2.polylines(mask, [points], isClosed=True, color=IGNORE, thickness=2)
    visible = [(category, (owner == number).astype(np.uint8)) for number, category in enumerate(categories, start=1)]
    if random.random() < 0.4:
        cv2.GaussianBlur(canvas, (0, 0), random.uniform(0.4, 1.0), dst=canvas)
    noisy = canvas + random.normal(0, random.uniform(2, 14), canvas.shape)
    return noisy.clip(0, 255).astype(np.uint8), mask, [(c, seen) for c, seen in visible if seen.sum() >= 16]


def _outline(random: np.random.Generator, category: int, radius: float) -> Points:
    """Corners around (0, 0) of a shape turned by a random angle and squeezed a little."""
    name = NAMES[category]
    if name == "cross":
        arm = 0.36
        corner = np.array([(arm, 1), (arm, arm), (1, arm), (1, -arm), (arm, -arm), (arm, -1)])
        points = np.concatenate([corner, -corner])
    else:
        corners = {"disc": 40, "square": 4, "triangle": 3, "star": 10}[name]
        angles = np.arange(corners) * 2 * np.pi / corners
        points = np.stack([np.cos(angles), np.sin(angles)], 1)
        if name == "star":
            points[1::2] *= 0.45
    points = points * radius * random.uniform(0.8, 1.2, 2)
    turn = random.uniform(0, 2 * np.pi)
    return points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])


def _texture(random: np.random.Generator, height: int, width: int, kind: str, hue: float, vivid: float) -> Canvas:
    """Two tones of one hue mixed in a pattern; `vivid` is the greatest saturation."""
    tones = []
    for value in random.permutation([random.uniform(0.3, 0.6), random.uniform(0.7, 1.0)]):
        tone = colorsys.hsv_to_rgb((hue + random.normal(0, 0.02)) % 1, random.uniform(0.5, 1.0) * vivid, value)
        tones.append(255 * np.array(tone))
    first, second = tones
    rows, columns = np.mgrid[0:height, 0:width]
    turn, period = random.uniform(0, np.pi), random.uniform(5, 11)
    along = rows * np.sin(turn) + columns * np.cos(turn)
    across = rows * np.cos(turn) - columns * np.sin(turn)
    waves = np.sin(along * 2 * np.pi / period), np.sin(across * 2 * np.pi / period)
    match kind:
        case "stripes":
            mix = (waves[0] > 0).astype(float)
        case "checks":
            mix = (waves[0] * waves[1] > 0).astype(float)
        case "dots":
            mix = (waves[0] + waves[1] > 0.9).astype(float)
        case "cloud":
            cells = (max(2, round(height / 14)), max(2, round(width / 14)))
            mix = cv2.resize(random.random(cells), (width, height), interpolation=cv2.INTER_CUBIC)
        case _:
            mix = (along - along.min()) / max(float(np.ptp(along)), 1.0)
    return (first + mix[..., None] * (second - first)).astype(np.float32)


def _paint(
    random: np.random.Generator, canvas: Canvas, points: NDArray[np.int32], texture: Callable[..., Canvas]
) -> None:
    """Fill a polygon with a texture."""
    low = points.min(0).clip(0, (canvas.shape[1], canvas.shape[0]))
    high = (points.max(0) + 1).clip(0, (canvas.shape[1], canvas.shape[0]))
    region = canvas[low[1] : high[1], low[0] : high[0]]
    if region.size:
        inside = np.zeros(region.shape[:2], dtype=np.uint8)
        cv2.fillPoly(inside, [points - low.astype(np.int32)], 1)
        region[inside > 0] = texture(random, *region.shape[:2])[inside > 0]


def _distract(random: np.random.Generator, canvas: Canvas) -> None:
    """A line or an irregular blob: something to see that is background."""
    height, width = canvas.shape[:2]
    if random.random() < 0.5:
        start, end = random.uniform((0, 0), (width, height), (2, 2)).astype(int)
        colour = tuple(float(value) for value in random.uniform(0, 255, 3))
        cv2.line(canvas, start.tolist(), end.tolist(), colour, int(random.integers(1, 5)))
        return
    angles = np.sort(random.uniform(0, 2 * np.pi, 9))
    reach = random.uniform(0.4, 1.0, 9) * random.uniform(10, 30)
    points = np.stack([np.cos(angles) * reach, np.sin(angles) * reach], 1) + random.uniform((0, 0), (width, height))
    texture = partial(_texture, kind=str(random.choice(TEXTURES)), hue=random.random(), vivid=0.6)
    _paint(random, canvas, points.astype(np.int32), texture)
