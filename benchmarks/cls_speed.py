"""Whether the images keep up with the network: samples/s of the loader beside those of the training step.

    python benchmarks/cls_speed.py

Both run in one process, in turn, on the GPU if there is one. The images are 50,000 of 32x32 in memory, as CIFAR-10's
are; the step is forward, loss, backward and SGD of a classifier with the small-image stem.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch
from torch.nn import functional as F

from datasets import (
    ClassificationAugmentation,
    ClassificationDataset,
    ClassificationFiles,
    default_colours,
    train_loader,
    training_samples,
)
from tasks import ClassificationSpec, ClassificationTask, Optimization, classification_table
from tasks.optim import build_optimizer
from tasks.trainer import keep_freed_memory

AUGMENTATIONS = {
    "shift, flip": ClassificationAugmentation(),
    "and RandAugment, erasing, mixup, cutmix": ClassificationAugmentation(
        randaugment=2, erasing=0.25, mixup=0.2, cutmix=1.0
    ),
}
NAMES = [f"class {number}" for number in range(10)]


def rate(work: Callable[[], int], device: torch.device) -> float:
    """Images/s of something that says how many images it worked on."""
    started = time.perf_counter()
    images = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return images / (time.perf_counter() - started)


def read(dataset: ClassificationDataset, batch_size: int, steps: int) -> int:
    """Make batches and do nothing with them."""
    for _ in zip(range(steps), train_loader(dataset, batch_size, 0), strict=False):
        pass
    return steps * batch_size


def train(task: ClassificationTask, optimizer: torch.optim.Optimizer, batch: dict, steps: int) -> int:
    """Train on one batch over and over."""
    for _ in range(steps):
        logits = task.network(task.normalise(batch["image"]))
        loss = F.cross_entropy(logits, batch["target"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * len(batch["image"])


def main(backbone: str = "v3-large", batch_size: int = 64, steps: int = 10, rounds: int = 3) -> None:
    """Print samples/s of the loader and of the training step, and their ratio.

    Args:
        backbone: as in train_cls.
        batch_size: images a step.
        steps: measured training steps a round; the loader makes ten times as many batches.
        rounds: both sides run in turn this many times; medians are printed.
    """
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8)
    labels = random.integers(0, len(NAMES), len(images))
    files = ClassificationFiles(Path("none"), "train", NAMES, [""] * len(images), labels, images)
    datasets = {name: training_samples(files, (32, 32), augmentation) for name, augmentation in AUGMENTATIONS.items()}
    table = classification_table(backbone, (32, 32))
    task = ClassificationTask(ClassificationSpec(table, "classifier", NAMES, default_colours(10), (32, 32)))
    task = task.to(device).train()
    optimizer = build_optimizer(Optimization(optimizer="sgd"), task.network, 1000)["optimizer"]
    for dataset in datasets.values():
        dataset.to(device)
    batch = next(iter(train_loader(datasets["shift, flip"], batch_size, 0)))
    train(task, optimizer, batch, 2)
    rates: dict[str, list[float]] = {name: [] for name in [*datasets, "step"]}
    for _ in range(rounds):
        for name, dataset in datasets.items():
            rates[name].append(rate(lambda dataset=dataset: read(dataset, batch_size, 10 * steps), device))
        rates["step"].append(rate(lambda: train(task, optimizer, batch, steps), device))
    need = statistics.median(rates["step"])
    print(f"images/s, median of {rounds}, {device}, {torch.get_num_threads()} threads")
    print(f"training step of {backbone} at 32x32, batch {batch_size}: {need:,.0f}")
    for name in datasets:
        made = statistics.median(rates[name])
        print(f"loader with {name}: {made:,.0f}, {made / need:.1f} times the step's need")


if __name__ == "__main__":
    from tools.cli import command

    command(main)
