"""Loading whatever predicts: a checkpoint, or a file that was exported from one."""

from pathlib import Path
from typing import Any

from deploy.executorch_file import ExecutorchFormat
from deploy.extras import DeployError
from deploy.formats import Format
from deploy.litert_file import LitertFormat
from deploy.onnx_file import OnnxFormat
from deploy.openvino_file import OpenvinoFormat
from deploy.predictors import PREDICTORS
from tasks.readiness import choose_device
from tasks.wings import load_task

FORMATS: dict[str, Format] = {
    format.name: format for format in (OnnxFormat(), OpenvinoFormat(), ExecutorchFormat(), LitertFormat())
}


def load(path: str | Path, device: str = "auto", threads: int | None = None) -> Any:
    """What has a `spec` and `predict(images)`: a task from its checkpoint, or an exported file with its runtime.

    Args:
        path: .ckpt or .safetensors of ours, .onnx, .xml (OpenVINO), .pte (ExecuTorch) or .tflite (LiteRT).
        device: of a checkpoint, see `tasks.readiness.choose_device`; exported files run on the CPU.
        threads: of an exported file's runtime; None for as many as it likes.

    Raises:
        CheckpointError, DeployError: if the file is missing, damaged, or none of ours, or its runtime is not installed.
    """
    path = Path(path)
    format = next((format for format in FORMATS.values() if format.suffix == path.suffix), None)
    if format is None:
        return load_task(path, choose_device(device)).fold()
    if not path.is_file():
        raise DeployError(f"{path}: no such file")
    description = format.read_description(path)
    if description.task not in PREDICTORS:
        raise DeployError(f"{path}: its task cannot be {description.task!r:.80}; there are {', '.join(PREDICTORS)}")
    return PREDICTORS[description.task](description, format.open(path, description, threads))
