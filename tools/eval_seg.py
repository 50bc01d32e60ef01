"""Evaluate a segmentation checkpoint: IoU of every class, mIoU and pixel accuracy, each image at its own size.

python tools/eval_seg.py --checkpoint runs/shapes_v3-small_lraspp/best.ckpt
python tools/eval_seg.py --checkpoint best.ckpt --dataset voc --data-root DIR --tta-scales 0.75 1 1.25 --tta-flip
python tools/eval_seg.py --checkpoint best.ckpt --dataset voc --data-root DIR --output-stride 8
"""

import sys
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets.ranges import WINDOW, check_options
from deploy.export_options import Runtime
from tasks.errors import require_checkpoint
from tasks.options import Evaluation, EvaluationData
from tools.cli import command


def eval_seg(
    data: EvaluationData,
    evaluation: Evaluation,
    checkpoint: Path,
    tta_scales: list[float] = [1.0],  # noqa: B006 the parser reads the default and nobody changes it
    tta_flip: bool = False,
    window: tuple[int, int] | None = None,
    output_stride: Literal[8, 16, 32] | None = None,
    runtime: Runtime | None = None,
) -> Path:
    """Evaluate a segmentation checkpoint on a split.

    Args:
        data: what is evaluated on.
        evaluation: how, and where to.
        checkpoint: written by train_seg, or exported from one by tools/export.py.
        tta_scales: sizes at which the network sees an image (0.75 1 1.25); probabilities are averaged.
        tta_flip: also mirrored, averaged likewise.
        window: height and width of a sliding window with half overlap, for images much larger than those of training.
        output_stride: of the backbone, in place of the one that it was trained with; the papers train at 16 and
            evaluate at 8.
        runtime: torch, onnx, openvino, executorch, litert or mediapipe. By default torch for a checkpoint, whose
            network runs in onnx and openvino, too; and for an exported file the one that it is for.
    """
    check_options(tta_scales=(tta_scales, 0.1, 4), window=(window, *WINDOW))
    require_checkpoint(checkpoint)
    from deploy.runtimes import loader
    from tasks.commands import evaluate

    options: dict[str, Any] = {"tta_scales": tta_scales, "tta_flip": tta_flip, "window": window}
    return evaluate("segmentation", checkpoint, data, evaluation, None, output_stride, loader(runtime), **options)


if __name__ == "__main__":
    command(eval_seg)
