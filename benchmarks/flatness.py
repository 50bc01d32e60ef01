"""Whether memory and open files stay flat over thousands of predictions or training steps.

    python benchmarks/flatness.py --what predict
    python benchmarks/flatness.py --what train

Predicts 10,000 small images with a network of each task, through what tools/predict.py calls, results written; or
trains for 2,000 steps on Shapes through tools/train_seg.py, with its validations, images and checkpoints. Prints the
resident memory and the open file handles of the process on the way, and what came to them in the second half.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

import lightning.pytorch as L
import numpy as np
from PIL import Image

import tasks.run
from datasets import default_colours
from tasks import (
    ClassificationSpec,
    ClassificationTask,
    DetectionSpec,
    DetectionTask,
    SegmentationSpec,
    SegmentationTask,
    classification_table,
    detection_table,
    segmentation_table,
)
from tasks.options import Prediction
from tasks.sources import find_sources
from tasks.wings import WINGS
from tools.cli import command
from tools.train_seg import train_seg

SAMPLES = 100
NAMES = [f"class {number}" for number in range(6)]


class Samples:
    """Resident memory in MiB and open handles of this process, a hundred times over `steps` calls."""

    def __init__(self, steps: int) -> None:
        self.steps, self.calls = steps, 0
        self.memory: list[float] = []
        self.handles: list[int] = []

    def __call__(self) -> None:
        """Count a step, and look if it is time to."""
        self.calls += 1
        if self.calls % max(1, self.steps // SAMPLES) == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            self.handles.append(len(os.listdir("/proc/self/fd")))

    def growth(self) -> tuple[float, int]:
        """What the last tenth has more than the sixth one had: MiB, between medians, and handles, between maxima."""
        half, tenth = len(self.memory) // 2, max(1, len(self.memory) // 10)
        first, last = slice(half, half + tenth), slice(-tenth, None)
        memory = float(np.median(self.memory[last]) - np.median(self.memory[first]))
        return memory, max(self.handles[last]) - max(self.handles[first])

    def show(self, title: str) -> None:
        """Print every tenth sample and the growth."""
        print(f"{title}, {self.calls:,} steps")
        tenth = max(1, len(self.memory) // 10)
        for index in range(tenth - 1, len(self.memory), tenth):
            step = (index + 1) * max(1, self.steps // SAMPLES)
            print(f"  {step:6,}: {self.memory[index]:7.1f} MiB, {self.handles[index]} handles")
        memory, handles = self.growth()
        print(f"  second half: {memory:+.1f} MiB, {handles:+d} handles")


def small_tasks() -> list[Any]:
    """A small network of each task, with random weights."""
    size, colours, option = (64, 64), default_colours(len(NAMES)), {"width": 0.5}
    common: list[Any] = [NAMES, colours, size]
    return [
        SegmentationTask(SegmentationSpec(segmentation_table("v3-small", "lraspp", **option), "lraspp", *common)),
        DetectionTask(DetectionSpec(detection_table("v3-small", **option), "ssdlite", *common)),
        ClassificationTask(ClassificationSpec(classification_table("v3-small", size, **option), "classifier", *common)),
    ]


def write_sources(folder: Path, count: int) -> None:
    """Images of 50 sizes and contents, under `count` names."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        if number < 50:
            height, width = random.integers(40, 100, 2)
            image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / f"{number}.jpg")
        else:
            os.link(folder / f"{number % 50}.jpg", folder / f"{number}.jpg")


def watch_prediction(task: Any, folder: Path, count: int) -> Samples:
    """Predict `count` small images as tools/predict.py does."""
    samples, task = Samples(count), task.eval().fold()
    write_sources(folder / "in", count)
    sources, output = find_sources(str(folder / "in"), folder / "out"), folder / "out"
    predict = task.predict

    def watched(images: Any, *args: Any, **options: Any) -> Any:
        for _ in images:
            samples()
        return predict(images, *args, **options)

    task.predict = watched
    written = WINGS[task.kind].predict_images(task, sources, output, Prediction(json=True))
    assert written == count == samples.calls
    return samples


class Watch(L.Callback):
    """Takes samples at the end of training steps."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def on_train_batch_end(self, *_: Any) -> None:
        self.samples()


def watch_training(folder: Path, steps: int) -> Samples:
    """Train on Shapes as tools/train_seg.py does."""
    samples, build = Samples(steps), tasks.run.build_trainer

    def watched(*args: Any, **options: Any) -> L.Trainer:
        trainer = build(*args, **options)
        trainer.callbacks.append(Watch(samples))  # type: ignore[attr-defined]
        return trainer

    options = {"data-root": folder / "shapes", "output": folder / "runs", "trainer.max_steps": steps, "epochs": steps}
    options |= {"batch-size": 8, "trainer.enable_progress_bar": "false"}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    tasks.run.build_trainer = watched
    try:
        command(train_seg, [*arguments, "--crop", "64", "64"])
    finally:
        tasks.run.build_trainer = build
    assert samples.calls == steps
    return samples


def flatness(what: Literal["predict", "train"] = "predict", count: int | None = None) -> None:
    """Watch a process.

    Args:
        what: predict or train.
        count: images of each task, by default 10,000; or steps, by default 2,000.
    """
    with tempfile.TemporaryDirectory() as folder:
        if what == "train":
            watch_training(Path(folder), count or 2000).show("training of segmentation")
            return
        for task in small_tasks():
            place = Path(folder) / task.kind
            place.mkdir()
            watch_prediction(task, place, count or 10_000).show(f"prediction, {task.kind}")


if __name__ == "__main__":
    command(flatness)
