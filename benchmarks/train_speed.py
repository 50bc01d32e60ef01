"""Training images/s, reading and augmentation included: ours against torchvision's model in its reference pipeline.

    python benchmarks/train_speed.py --data-root DIR

Same images, batch and crop, both eager, each side in a process of its own, in turn; prints the ratio for one thread
and for two. DIR is a tree in the VOC layout with a labels.txt. Both sides run once as PyTorch comes, and once with
freed memory kept by the allocator (`tasks.trainer.keep_freed_memory`, which our tools always do).
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])


def torchvision_rate(root: Path, crop: tuple[int, int], batch_size: int, steps: int) -> float:
    """Images/s of the reference recipe after two steps of warm-up."""
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    from benchmarks.torchvision_reference import VocTree, parameter_groups_and_schedule, train_transform

    classes = len((root / "labels.txt").read_text().split())
    net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes).train()
    dataset = VocTree(root, "train", train_transform(min(crop), crop))
    loader = DataLoader(dataset, batch_size, shuffle=True, num_workers=1, drop_last=True)
    optimizer, schedule = parameter_groups_and_schedule(net, 1000)
    torch.manual_seed(0)
    for step, (image, mask) in enumerate(loader):
        if step == 2:
            started = time.perf_counter()
        loss = F.cross_entropy(net(image)["out"], mask, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        loss.item()
        if step == steps + 1:
            break
    return steps * batch_size / (time.perf_counter() - started)


def our_rate(root: Path, crop: tuple[int, int], batch_size: int, steps: int) -> float:
    """Images/s of `tools/train_seg.py --backbone v3-large`, its trainer, logging and averaged weights included."""
    import lightning.pytorch as L

    from datasets import AugmentSegmentation, SegmentationAugmentation, SegmentationDataset, find_segmentation
    from tasks import SegmentationSpec, SegmentationTask, segmentation_table
    from tasks.loaders import Loaders
    from tasks.trainer import build_trainer

    class Clock(L.Callback):
        started = finished = 0.0

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 1:
                self.started = time.perf_counter()
            self.finished = time.perf_counter()

    files = find_segmentation("voc", "train", root)
    spec = SegmentationSpec(segmentation_table("v3-large", "lraspp"), "lraspp", files.names, files.colours, crop)
    data, clock = SegmentationDataset(files, AugmentSegmentation(SegmentationAugmentation(), crop)), Clock()
    options = {"limit_train_batches": steps + 2, "limit_val_batches": 0, "enable_progress_bar": False}
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(Path(folder), "train/loss", 1, 0.998, None, [clock], options)
        trainer.fit(SegmentationTask(spec), Loaders(data, data, batch_size, 1, 0))
    return steps * batch_size / (clock.finished - clock.started)


def measure(side: str, cores: int, keep: bool, *arguments: Any) -> float:
    """Run one side in a process of its own on `cores` processors."""
    call = json.dumps([side, cores, keep, *arguments], default=str)
    done = subprocess.run([sys.executable, __file__, call], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return float(done.stdout.split()[-1])


def measured(
    side: Literal["torchvision", "ours"], cores: int, keep: bool, root: str, crop: list[int], *rest: int
) -> float:
    """What the child process does."""
    os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[:cores]))
    import torch

    torch.set_num_threads(cores)
    from tasks import trainer

    if keep:
        trainer.keep_freed_memory()
    else:
        trainer.keep_freed_memory = lambda: None
    rate = torchvision_rate if side == "torchvision" else our_rate
    return rate(Path(root), (crop[0], crop[1]), *rest)


def main(
    data_root: Path, crop: tuple[int, int] = (360, 480), batch_size: int = 8, steps: int = 8, rounds: int = 3
) -> None:
    """Print images/s of both sides and their ratio.

    Args:
        data_root: a tree in the VOC layout with a labels.txt.
        crop: height and width of the training crop.
        batch_size: images a step.
        steps: measured steps a round.
        rounds: the sides run in turn this many times; medians are printed.
    """
    print(
        f"images/s, median of {rounds}\n"
        f"{'threads':>7} {'freed memory':>12} {'torchvision':>12} {'ours':>8} {'ratio':>6}"
    )
    for cores in (1, 2):
        for keep in (False, True):
            rates: dict[str, list[float]] = {"torchvision": [], "ours": []}
            for _ in range(rounds):
                for side, found in rates.items():
                    found.append(measure(side, cores, keep, data_root, crop, batch_size, steps))
            peer, ours = (statistics.median(found) for found in rates.values())
            ratio = statistics.median(b / a for a, b in zip(*rates.values(), strict=True))
            print(f"{cores:>7} {'kept' if keep else 'returned':>12} {peer:12.2f} {ours:8.2f} {ratio:6.2f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("["):
        print(measured(*json.loads(sys.argv[1])))
    else:
        from tools.cli import command

        command(main)
