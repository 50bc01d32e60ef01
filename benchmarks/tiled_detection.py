"""Where tiles help a detector and where they hurt: COCO's AP with and without, on images as they are and laid together.

    python benchmarks/tiled_detection.py --checkpoint best.ckpt --dataset coco --data-root DIR --tile 320 320
    python benchmarks/tiled_detection.py --checkpoint best.ckpt --dataset coco --data-root DIR --tile 320 320 --grid 4

With a grid of 4, every four by four images of the split make one, in which objects are a quarter as large as those that
the network learned. COCO counts the best hundred detections of a class in an image, so that images with more objects
score lower.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from datasets import DetectionFiles, find_detection, limit_detection, read_image
from datasets.detection.files import Objects
from datasets.images import MEAN
from tasks.detection.evaluation import percent
from tasks.detection.metrics import STATS, coco_scores
from tasks.detection.tiles import Tiled, lay_tiles
from tasks.readiness import choose_device
from tasks.wings import load_task
from tools.cli import command


def lay_together(files: DetectionFiles, grid: int) -> tuple[NDArray[np.uint8], Objects]:
    """The images of a split, no more than grid * grid, as one of grid by grid cells, and the objects of all of them."""
    images = [read_image(path) for path in files.image_paths]
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    whole = np.full((grid * height, grid * width, 3), MEAN, dtype=np.uint8)
    moved = [Objects.none()]
    for number, (image, objects) in enumerate(zip(images, files.objects, strict=True)):
        top, left = number // grid * height, number % grid * width
        whole[top : top + image.shape[0], left : left + image.shape[1]] = image
        moved.append(replace(objects, boxes=objects.boxes + np.array([left, top] * 2, dtype=np.float32)))
    return whole, moved[0].joined(moved[1:])


def main(
    checkpoint: Path,
    data_root: Path,
    tile: tuple[int, int],
    dataset: str = "coco",
    split: str = "val",
    grid: int = 1,
    max_images: int | None = None,
    device: str = "auto",
) -> None:
    """Print AP without and with tiles.

    Args:
        checkpoint: of a detector.
        data_root: see `tools/eval_det.py`.
        tile: height and width.
        dataset: see `tools/eval_det.py`.
        split: likewise.
        grid: images that are laid beside and below each other.
        max_images: of the split.
        device: cpu, cuda, or auto.
    """
    plain = load_task(checkpoint, choose_device(device)).fold()
    tiled = Tiled(plain, tile)
    files = limit_detection(find_detection(dataset, split, data_root), max_images)
    truth, looks = [], 0
    found = dict[str, list]({"whole images": [], f"tiles of {tile[1]}x{tile[0]}": []})
    for start in track(range(0, len(files.image_paths), grid * grid), "Detecting", transient=True):
        image, objects = lay_together(files.at(range(len(files.image_paths))[start : start + grid * grid]), grid)
        truth.append(objects)
        tiles = len(lay_tiles((image.shape[0], image.shape[1]), tile))
        looks += tiles + (tiles > 1)
        for detections, predictor in zip(found.values(), (plain, tiled), strict=True):
            detections += predictor.predict([image])
    count = len(truth)
    whole = replace(files.at(range(count)), objects=truth, ids=list(range(count)))
    height, width = image.shape[:2]
    print(f"{count} images, of {grid}x{grid} each; the last is {width}x{height}; with tiles {looks / count:.1f} looks")
    for name, detections in found.items():
        stats = zip(STATS[:6], coco_scores(whole, detections).stats, strict=False)
        print(f"{name}: " + ", ".join(f"{stat} {percent(value)}" for stat, value in stats))


if __name__ == "__main__":
    command(main)
