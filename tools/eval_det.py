"""Evaluate a detection checkpoint, or anybody's detections: the twelve COCO numbers and VOC's average precision.

python tools/eval_det.py --checkpoint runs/shapes_v3-small_ssdlite/best.ckpt
python tools/eval_det.py --checkpoint best.ckpt --dataset voc --data-root DIR --split test
python tools/eval_det.py --predictions results.json --annotations instances_val2017.json --backend faster
"""

import sys
from pathlib import Path
from typing import Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets import BATCH, DRAWN, WORKERS, check_detection, check_options, find_detection, limit_detection
from tasks import TaskError
from tasks.detection.evaluation import judge, judge_results
from tasks.readiness import choose_device, require_folder
from tools.cli import command


def eval_det(
    checkpoint: Path | None = None,
    predictions: Path | None = None,
    annotations: Path | None = None,
    dataset: str = "shapes",
    data_root: Path | None = None,
    split: str = "val",
    backend: Literal["pycocotools", "faster"] = "pycocotools",
    batch_size: int = 8,
    workers: int = 1,
    drawn: int = 6,
    check_data: bool = True,
    max_images: int | None = None,
    device: str = "auto",
    output: Path | None = None,
) -> Path:
    """Evaluate detections on a split.

    Args:
        checkpoint: written by train_det.
        predictions: COCO results json to judge in place of a checkpoint.
        annotations: COCO json that holds the ground truth, in place of --dataset and --split; images are looked for
            in --data-root and drawn if they are there.
        dataset: shapes, voc or coco, as in train_det.
        data_root: where the data is.
        split: the split to evaluate on.
        backend: pycocotools, or faster (faster-coco-eval: the same numbers to about 1e-15, sooner).
        batch_size: images a step.
        workers: loader processes.
        drawn: how many images to draw, from all over the split.
        check_data: read all files first and tell of all faults at once.
        max_images: use only the first so many images.
        device: cpu, cuda, or auto.
        output: folder for scores and images; by default eval_SPLIT beside the checkpoint or the predictions.
    """
    check_options(drawn=(drawn, *DRAWN), batch_size=(batch_size, *BATCH), workers=(workers, *WORKERS))
    if (checkpoint is None) == (predictions is None):
        raise TaskError("give either --checkpoint or --predictions")
    if predictions is not None and max_images is not None:
        raise TaskError("--max-images is for checkpoints; predictions are evaluated on the whole split")
    if annotations is not None:
        above = annotations.parent
        data_root = data_root or (above.parent if above.name == "annotations" else above)
        dataset, split = "coco", annotations.stem.removeprefix("instances_")
    folder = require_folder(output or (checkpoint or predictions).parent / f"eval_{split}")  # type: ignore[union-attr]
    device = choose_device(device)
    files = limit_detection(find_detection(dataset, split, data_root, annotations=annotations), max_images)
    if predictions is not None:
        judge_results(predictions, files, folder, backend, drawn)
    elif checkpoint is not None:
        if check_data:
            print("\n".join(check_detection(files).lines()))
        judge(checkpoint, files, folder, backend, drawn, batch_size, workers, device)
    return folder


if __name__ == "__main__":
    command(eval_det)
