"""Evaluate a detection checkpoint, or anybody's detections: the twelve COCO numbers and VOC's average precision.

python tools/eval_det.py --checkpoint runs/shapes_v3-small_ssdlite/best.ckpt
python tools/eval_det.py --checkpoint best.ckpt --dataset voc --data-root DIR --split test
python tools/eval_det.py --predictions results.json --annotations instances_val2017.json --backend faster
python tools/eval_det.py --predictions results/VOC2007/Main --dataset voc --data-root VOCdevkit --split test
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets.ranges import BATCH, WINDOW, check_options
from deploy.export_options import Runtime
from tasks.errors import TaskError, require_checkpoint
from tasks.options import Evaluation, EvaluationData
from tools.cli import command


def eval_det(
    data: EvaluationData,
    evaluation: Evaluation,
    checkpoint: Path | None = None,
    predictions: Path | None = None,
    annotations: Path | None = None,
    backend: Literal["pycocotools", "faster"] = "pycocotools",
    tile: tuple[int, int] | None = None,
    runtime: Runtime | None = None,
    batch_size: int = 8,
) -> Path:
    """Evaluate detections on a split.

    Args:
        data: what is evaluated on.
        evaluation: how, and where to.
        checkpoint: written by train_det, or exported from one by tools/export.py.
        predictions: to evaluate in place of a checkpoint: COCO results json, or a folder with result files of PASCAL
            VOC's development kit, comp4_det_SPLIT_CLASS.txt.
        annotations: COCO json that holds the ground truth, in place of --dataset and --split; images are looked for in
            --data-root and drawn if they are there.
        backend: pycocotools, or faster (faster-coco-eval: the same numbers to about 1e-15, sooner).
        tile: height and width of tiles, overlapping by a fifth, that are looked at beside the whole image, for objects
            that are small in it.
        runtime: torch, onnx, openvino, executorch, litert or mediapipe. By default torch for a checkpoint, whose
            network runs in onnx and openvino, too; and for an exported file the one that it is for.
        batch_size: images a step.
    """
    check_options(batch_size=(batch_size, *BATCH), tile=(tile, *WINDOW))
    if (checkpoint is None) == (predictions is None):
        raise TaskError("give either --checkpoint or --predictions")
    if predictions is not None and data.max_images is not None:
        raise TaskError("--max-images is for checkpoints; predictions are evaluated on the whole split")
    if predictions is not None and tile is not None:
        raise TaskError("--tile is for checkpoints; predictions are evaluated as they are")
    if checkpoint is not None:
        require_checkpoint(checkpoint)
    from datasets.detection.find import find_detection, find_files
    from deploy.runtimes import loader
    from tasks.commands import evaluate
    from tasks.detection.evaluation import evaluate_results

    files = None
    if annotations is not None:
        above = annotations.parent
        root = data.data_root or (above.parent if above.name == "annotations" else above)
        data = replace(data, dataset="coco", split=annotations.stem.removeprefix("instances_"), data_root=root)
        files = find_detection("coco", data.split, root, annotations=annotations)
    if predictions is not None:
        if files is None:
            files = find_files(data.dataset, [data.split], data.data_root, False, data.group_by, data.classes)[0]
        return evaluate_results(predictions, files, evaluation, backend)
    assert checkpoint is not None
    options: dict[str, Any] = {"backend": backend, "batch_size": batch_size}
    return evaluate("detection", checkpoint, data, evaluation, files, load=loader(runtime), tile=tile, **options)


if __name__ == "__main__":
    command(eval_det)
