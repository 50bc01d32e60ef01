"""Seconds of COCO's evaluation with each backend, end to end, on the same seeded synthetic detections.

    python benchmarks/coco_eval_speed.py

Ground truth has COCO's looks: 7 objects of 3 classes in an image, some of them crowds. Detections are each object a
few times, jittered, and noise of the same and of other classes. Both backends start from arrays. Rounds alternate;
prints the median seconds of each part and in all, the ratio and the largest difference among the twelve numbers, which
is of rounding, about 1e-15.
"""

import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from datasets import DetectionFiles, Objects
from tasks.detection.detections import Detections
from tasks.detection.metrics import BACKENDS, coco_evaluator
from tools.cli import command

HEIGHT, WIDTH = 480, 640
Random = np.random.Generator


def random_boxes(random: Random, count: int) -> Any:
    """Boxes of 8 to 400 pixels, small ones more often: float64 [count, 4] corners."""
    sizes = np.exp(random.uniform(np.log(8), np.log(400), (count, 2)))
    corners = random.uniform(0, 1, (count, 2)) * np.maximum((WIDTH, HEIGHT) - sizes, 1)
    return np.concatenate([corners, corners + sizes], axis=1).clip(0, (WIDTH, HEIGHT) * 2)


def random_objects(random: Random, classes: int) -> Objects:
    """The ground truth of one image."""
    count = 1 + random.poisson(6)
    present = random.integers(0, classes, 3)
    boxes = random_boxes(random, count).astype(np.float32)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1) * random.uniform(0.4, 1, count).astype(np.float32)
    none = np.zeros(count, dtype=bool)
    return Objects(boxes, random.choice(present, count), none, none, random.random(count) < 0.01, area)


def random_detections(random: Random, objects: Objects, count: int, classes: int) -> Detections:
    """What a middling detector would say of an image: the later a copy of an object, the lower its score."""
    copies = min(len(objects.boxes) * 3, count)
    source = np.arange(copies) % len(objects.boxes)
    sizes = np.tile(objects.boxes[source, 2:] - objects.boxes[source, :2], 2)
    near = objects.boxes[source] + random.normal(0, 0.08, (copies, 4)) * sizes
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    boxes = np.concatenate([near, random_boxes(random, count - copies)])
    noise = np.where(
        random.random(count - copies) < 0.5,
        random.choice(objects.labels, count - copies),
        random.integers(0, classes, count - copies),
    )
    sure = random.beta(4, 2, copies) * 0.5 ** (np.arange(copies) // len(objects.boxes))
    scores = np.concatenate([sure, random.beta(1, 6, count - copies)])
    order = np.argsort(-scores, kind="stable")
    labels = np.concatenate([objects.labels[source], noise])
    return Detections(boxes[order].astype(np.float32), scores[order].astype(np.float32), labels[order])


def timed(files: DetectionFiles, detections: list[Detections], backend: str) -> tuple[list[float], Any]:
    """Seconds of building the index, matching, accumulating and the twelve means; and the twelve numbers."""
    with contextlib.redirect_stdout(io.StringIO()):
        started = time.perf_counter()
        evaluator = coco_evaluator(files, detections, backend)
        marks = [started, time.perf_counter()]
        parts: list[Callable[[], Any]] = [evaluator.evaluate, evaluator.accumulate, evaluator.summarize]
        for part in parts:
            part()
            marks.append(time.perf_counter())
    return np.diff(marks).tolist(), evaluator.stats


def main(images: int = 5000, detections: int = 100, classes: int = 80, rounds: int = 3, seed: int = 0) -> None:
    """Print seconds of both backends, their ratio, and by how much the twelve numbers differ.

    Args:
        images: how many.
        detections: in each image.
        classes: how many.
        rounds: the backends run in turn this many times.
        seed: of the images.
    """
    random = np.random.default_rng(seed)
    objects = [random_objects(random, classes) for _ in range(images)]
    found = [random_detections(random, truth, detections, classes) for truth in objects]
    names = [f"class {index}" for index in range(classes)]
    paths = [Path(f"{index}.jpg") for index in range(images)]
    files = DetectionFiles(
        Path(), "val", names, paths, objects, list(range(images)), list(range(classes)), [None] * images, [], []
    )
    seconds: dict[str, list[list[float]]] = {backend: [] for backend in BACKENDS}
    stats = {}
    for _ in range(rounds):
        for backend, taken in seconds.items():
            parts, stats[backend] = timed(files, found, backend)
            taken.append(parts)
    print(f"{images} images x {detections} detections, {classes} classes, {rounds} rounds; seconds")
    print(f"{'':>12} {'index':>7} {'match':>7} {'accumulate':>10} {'means':>7} {'all':>8}")
    for backend, taken in seconds.items():
        index, match, accumulate, means = (statistics.median(part) for part in zip(*taken, strict=True))
        whole = statistics.median(map(sum, taken))
        print(f"{backend:>12} {index:7.2f} {match:7.2f} {accumulate:10.2f} {means:7.2f} {whole:8.2f}")
    ratio = statistics.median(sum(a) / sum(b) for a, b in zip(*seconds.values(), strict=True))
    one, other = stats.values()
    print(f"{'ratio':>12} {ratio:7.2f}")
    print(f"AP {one[0]:.4f}, AP50 {one[1]:.4f}; largest difference of the twelve {np.abs(one - other).max():.1e}")


if __name__ == "__main__":
    command(main)
