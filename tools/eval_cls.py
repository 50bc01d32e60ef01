"""Evaluate a classifier's checkpoint: top-1, top-5, accuracy of every class, confusion matrix, worst images.

python tools/eval_cls.py --checkpoint runs/shapes_v3-small/best.ckpt
python tools/eval_cls.py --checkpoint best.ckpt --dataset cifar10 --data-root DIR --split test
python tools/eval_cls.py --checkpoint best.ckpt --dataset folder --data-root DIR --split val --workers 4
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets.ranges import BATCH, check_options
from deploy.export_options import Runtime
from tasks.errors import require_checkpoint
from tasks.options import Evaluation, EvaluationData
from tools.cli import command


def eval_cls(
    data: EvaluationData, evaluation: Evaluation, checkpoint: Path, runtime: Runtime | None = None, batch_size: int = 64
) -> Path:
    """Evaluate a classifier's checkpoint on a split.

    Args:
        data: what is evaluated on.
        evaluation: how, and where to.
        checkpoint: written by train_cls, or exported from one by tools/export.py.
        runtime: torch, onnx, openvino, executorch, litert or mediapipe. By default torch for a checkpoint, whose
            network runs in onnx and openvino, too; and for an exported file the one that it is for.
        batch_size: images a step.
    """
    check_options(batch_size=(batch_size, *BATCH))
    require_checkpoint(checkpoint)
    from deploy.runtimes import loader
    from tasks.commands import evaluate

    return evaluate("classification", checkpoint, data, evaluation, load=loader(runtime), batch_size=batch_size)


if __name__ == "__main__":
    command(eval_cls)
