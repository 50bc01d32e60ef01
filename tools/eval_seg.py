"""Evaluate a segmentation checkpoint: IoU of every class, mIoU and pixel accuracy, each image at its own size.

python tools/eval_seg.py --checkpoint runs/shapes_v3-small_lraspp/best.ckpt
python tools/eval_seg.py --checkpoint best.ckpt --dataset voc --data-root DIR --tta-scales 0.75 1 1.25 --tta-flip
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets import (
    DRAWN,
    WORKERS,
    SegmentationDataset,
    check_options,
    check_segmentation,
    eval_loader,
    find_segmentation,
    limit,
)
from tasks import SegmentationTask, TaskError
from tasks.readiness import choose_device, require_folder
from tasks.segmentation.evaluation import evaluate_segmentation, print_scores, write_evaluation
from tools.cli import command


def eval_seg(
    checkpoint: Path,
    dataset: str = "shapes",
    data_root: Path | None = None,
    split: str = "val",
    tta_scales: list[float] = [1.0],  # noqa: B006 the parser reads the default and nobody changes it
    tta_flip: bool = False,
    window: tuple[int, int] | None = None,
    drawn: int = 6,
    workers: int = 1,
    check_data: bool = True,
    max_images: int | None = None,
    device: str = "auto",
    output: Path | None = None,
) -> Path:
    """Evaluate a segmentation checkpoint on a split.

    Args:
        checkpoint: written by train_seg.
        dataset: shapes, voc or folder, as in train_seg.
        data_root: where the data is.
        split: the split to evaluate on.
        tta_scales: sizes at which the network sees an image (0.75 1 1.25); probabilities are averaged.
        tta_flip: also mirrored, averaged likewise.
        window: height and width of a sliding window with half overlap, for images much larger than those of training.
        drawn: how many images to draw: the worst ones, and as many from all over the split.
        workers: loader processes.
        check_data: read all files first and tell of all faults at once.
        max_images: use only the first so many images.
        device: cpu, cuda, or auto.
        output: folder for scores and images; by default eval_SPLIT beside the checkpoint.
    """
    check_options(drawn=(drawn, *DRAWN), workers=(workers, *WORKERS))
    folder = require_folder(output or checkpoint.parent / f"eval_{split}")
    task = SegmentationTask.load(checkpoint, choose_device(device))
    files = limit(find_segmentation(dataset, split, data_root), max_images)
    if len(files.names) < len(task.spec.names):
        raise TaskError(
            f"{checkpoint} has {len(task.spec.names)} classes ({', '.join(task.spec.names)}), "
            f"{files.root} only {len(files.names)} ({', '.join(files.names)})"
        )
    if files.names != task.spec.names:
        raise TaskError(
            f"classes differ: {checkpoint} has {', '.join(task.spec.names)}; {files.root} {', '.join(files.names)}"
        )
    if check_data:
        check_segmentation(files)
    loader = eval_loader(SegmentationDataset(files), workers)
    evaluation = evaluate_segmentation(task, loader, tta_scales, tta_flip, window)
    print_scores(evaluation.scores, task.spec.names, f"{files.root}, {split}, {len(files.pairs)} images")
    settings = {"checkpoint": str(checkpoint), "data": str(files.root), "split": split, "images": len(files.pairs)}
    settings |= {"tta_scales": tta_scales, "tta_flip": tta_flip, "window": window}
    write_evaluation(folder, task, evaluation, files, settings, drawn)
    print(f"wrote scores.json, confusion.png, samples.png and worst.png to {folder}")
    print(f"image grid (input, truth, prediction): {folder / 'samples.png'}")
    return folder


if __name__ == "__main__":
    command(eval_seg)
