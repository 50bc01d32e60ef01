"""Evaluate a classifier's checkpoint: top-1, top-5, accuracy of every class, confusion matrix, worst images.

python tools/eval_cls.py --checkpoint runs/shapes_v3-small/best.ckpt
python tools/eval_cls.py --checkpoint best.ckpt --dataset cifar10 --data-root DIR --split test
python tools/eval_cls.py --checkpoint best.ckpt --dataset folder --data-root DIR --split val --workers 4
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets import (
    BATCH,
    DRAWN,
    WORKERS,
    check_classification,
    check_options,
    find_classification,
    limit_classification,
)
from tasks.classification.evaluation import judge_classifier
from tasks.readiness import choose_device, require_folder
from tools.cli import command


def eval_cls(
    checkpoint: Path,
    dataset: str = "shapes",
    data_root: Path | None = None,
    split: str = "val",
    drawn: int = 40,
    batch_size: int = 64,
    workers: int = 1,
    check_data: bool = True,
    max_images: int | None = None,
    device: str = "auto",
    output: Path | None = None,
) -> Path:
    """Evaluate a classifier's checkpoint on a split.

    Args:
        checkpoint: written by train_cls.
        dataset: shapes, cifar10, mnist or folder, as in train_cls.
        data_root: where the data is.
        split: the split to evaluate on.
        drawn: how many of the worst images to draw.
        batch_size: images a step.
        workers: loader processes.
        check_data: read all files first and tell of all faults at once.
        max_images: use only so many images, from all over the split.
        device: cpu, cuda, or auto.
        output: folder for scores and images; by default eval_SPLIT beside the checkpoint.
    """
    check_options(drawn=(drawn, *DRAWN), batch_size=(batch_size, *BATCH), workers=(workers, *WORKERS))
    folder, device = require_folder(output or checkpoint.parent / f"eval_{split}"), choose_device(device)
    files = limit_classification(find_classification(dataset, [split], data_root)[0], max_images)
    check_classification(files, read=check_data)
    judge_classifier(checkpoint, files, folder, drawn, batch_size, workers, device)
    return folder


if __name__ == "__main__":
    command(eval_cls)
