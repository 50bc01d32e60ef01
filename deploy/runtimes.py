"""Loading whatever predicts: a checkpoint, or a file that was exported from one."""

from functools import partial
from pathlib import Path
from typing import Any

from datasets.faults import one_line
from deploy.acceleration import RUNTIMES, accelerate, accelerate_if_worth_it
from deploy.executorch_file import ExecutorchFormat
from deploy.extras import DeployError
from deploy.formats import Format
from deploy.litert_file import LitertFormat
from deploy.mediapipe_runtime import open_mediapipe
from deploy.onnx_file import OnnxFormat
from deploy.openvino_file import OpenvinoFormat
from deploy.predictors import PREDICTORS
from tasks.commands import Load, load_predictor
from tasks.hub_checkpoints import SAFE, local_checkpoint
from tasks.wings import WINGS

FORMATS: dict[str, Format] = {
    format.name: format for format in (OnnxFormat(), OpenvinoFormat(), ExecutorchFormat(), LitertFormat())
}
BESIDE = {SAFE: ""} | {format.suffix: format.beside for format in FORMATS.values()}  # of what the hub may have


def loader(runtime: str | None, images: float | None = None) -> Load:
    """`load` with a runtime, as `tasks.commands` takes it."""
    return partial(load, runtime=runtime, images=images)


def format_of(path: Path) -> Format | None:
    """The format of an exported file, or None for other files."""
    return next((format for format in FORMATS.values() if format.suffix == path.suffix), None)


def parts(path: Path) -> list[Path]:
    """A file, and what must lie beside it."""
    beside = BESIDE.get(path.suffix)
    return [path, path.with_suffix(beside)] if beside else [path]


def load(
    path: str | Path,
    device: str = "auto",
    output_stride: int | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    images: float | None = None,
) -> Any:
    """What has a `spec` and `predict(images)`: a task from its checkpoint, or an exported file with its runtime.

    `predict` returns bare arrays; `load(path)(images)` a `tasks.results.Result` for each image, with its classes.

    Args:
        path: .ckpt or .safetensors of ours, .onnx, .xml (OpenVINO), .pte (ExecuTorch) or .tflite (LiteRT); or
            hf://OWNER/NAME for the task of a repository on the hub, and hf://OWNER/NAME/FILE for a file of it.
        device: of a checkpoint, see `tasks.readiness.choose_device`; exported files run on the CPU.
        output_stride: of a checkpoint, see `Task.at_output_stride`; None for that of training.
        runtime: of `deploy.export_options.Runtime`; None for the one that the file is for, which is torch for a
            checkpoint. A checkpoint's network runs in onnx and openvino, too, the rest in torch. mediapipe is MediaPipe
            Tasks as an app has them, for a .tflite that was exported for them.
        threads: of a runtime; None for as many as it likes, which MediaPipe always takes.
        images: how many a checkpoint is to predict, where it may run in whatever is fastest, see
            `deploy.acceleration`; infinity for a video, None for torch.

    Raises:
        CheckpointError, DeployError: if the file is missing, damaged, or none of ours, or its runtime is not installed.
    """
    path = local_checkpoint(path, BESIDE)
    format = format_of(path)
    made_for = "torch" if format is None else format.name
    takes = {"torch": ("torch", *RUNTIMES), "litert": ("litert", "mediapipe")}.get(made_for, (made_for,))
    if runtime not in (None, *takes):
        raise DeployError(f"--runtime {runtime}: {path} is for {made_for}; tools/export.py makes files for others")
    if format is None:
        task = load_predictor(path, device, output_stride)
        if runtime in RUNTIMES:
            return accelerate(task, path, runtime, threads)
        return task if runtime or images is None else accelerate_if_worth_it(task, path, images)
    if not path.is_file():
        raise DeployError(f"{path}: no such file")
    if output_stride is not None:
        raise DeployError(f"--output-stride is for a checkpoint, and {path} is an exported file")
    description = format.read_description(path)
    if description.task not in PREDICTORS:
        raise DeployError(f"{path}: its task cannot be {description.task!r:.80}; there are {', '.join(PREDICTORS)}")
    try:
        WINGS[description.task].task.spec_type.from_dict(description.spec)
    except Exception as error:  # whatever an entry of another type or of a later release runs into
        raise DeployError(
            f"{path}: the network that it describes is none that this release knows ({one_line(error)}); update it, or "
            "export the file again"
        ) from error
    if runtime == "mediapipe":
        return open_mediapipe(path, description)
    return PREDICTORS[description.task](description, format.open(path, description, threads))
