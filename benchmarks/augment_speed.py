"""Samples/s of the training augmentation at crop 512 on one core: ours against torchvision's transforms v2.

    python benchmarks/augment_speed.py --data-root DIR

The same operations at the same strengths on the same decoded images: scale 0.5-2, crop with padding, flip, colour
jitter, Gaussian blur. v2 gets uint8 tensors, its fast path. Rounds alternate; the ratio is the median over rounds.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from datasets import AugmentSegmentation, SegmentationAugmentation, SegmentationDataset, find_segmentation
from tools.cli import command


class RandomScale(v2.Transform):
    """Both sides times one random factor: v2 has it only with a fixed short side."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        factor = float(torch.empty(()).uniform_(0.5, 2.0))
        return {"size": [round(height * factor), round(width * factor)]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(v2.functional.resize, inpt, params["size"], antialias=True)


def torchvision_transform(crop: int) -> v2.Transform:
    """What `AugmentSegmentation(SegmentationAugmentation(), (crop, crop))` does, in torchvision's operations."""
    return v2.Compose(
        [
            RandomScale(),
            v2.RandomCrop((crop, crop), pad_if_needed=True, fill={tv_tensors.Mask: 255, "others": 127}),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.04)], 0.8),
            v2.RandomApply([v2.GaussianBlur(3)], 0.1),
        ]
    )


def rate(augment: Callable[[int], Any], samples: int) -> float:
    """Samples/s over `samples` calls."""
    started = time.perf_counter()
    for index in range(samples):
        augment(index)
    return samples / (time.perf_counter() - started)


def main(data_root: Path, crop: int = 512, samples: int = 200, rounds: int = 5) -> None:
    """Print samples/s of both sides and their ratio.

    Args:
        data_root: a tree in the VOC layout with a labels.txt.
        crop: side of the crop, in pixels.
        samples: measured calls a round.
        rounds: the sides run in turn this many times.
    """
    torch.set_num_threads(1)
    data = SegmentationDataset(find_segmentation("voc", "train", data_root))
    arrays = [(sample["image"], sample["mask"]) for sample in (data[index] for index in range(min(32, len(data))))]
    tensors = [
        (
            tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1).contiguous()),
            tv_tensors.Mask(torch.from_numpy(mask)),
        )
        for image, mask in arrays
    ]
    ours, theirs = AugmentSegmentation(SegmentationAugmentation(), (crop, crop)), torchvision_transform(crop)
    sides: dict[str, Callable[[int], Any]] = {
        "torchvision v2": lambda index: theirs(*tensors[index % len(tensors)]),
        "ours": lambda index: ours(*arrays[index % len(arrays)], 0, index),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, augment in sides.items():
            augment(0)
            rates[name].append(rate(augment, samples))
    for name, found in rates.items():
        print(f"{name:>15} {statistics.median(found):8.1f} samples/s")
    ratio = statistics.median(b / a for a, b in zip(*rates.values(), strict=True))
    print(f"{'ratio':>15} {ratio:8.2f} (median of {rounds} rounds, one thread, crop {crop})")


if __name__ == "__main__":
    command(main)
