"""A checkpoint as a file for a runtime."""

import copy
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from deploy.calibration import Calibration, digest, find_calibration, read, read_calibration, require_no_overlap
from deploy.description import Description, package_versions
from deploy.export_options import Gate, Quantisation
from deploy.extras import DeployError
from deploy.formats import Image
from deploy.gate import Result, compare_predictions, compare_scores, evaluation_files
from deploy.graph import OUTPUTS, TARGETS, Graph
from deploy.layer_errors import SHOWN, layer_errors, report
from deploy.mediapipe_outputs import PLAIN_THRESHOLDS
from deploy.predictors import PREDICTORS, Predictor
from deploy.qat import train_rounded
from deploy.runtimes import FORMATS, load
from tasks.base import Task
from tasks.checkpoints import unchanged
from tasks.hub_checkpoints import local_checkpoint, place
from tasks.readiness import require_folder
from tasks.wing import Wing
from tasks.wings import WINGS, load_task
from tasks.writing import whole

THRESHOLDS = {"score": 0.001, "iou": 0.55, "max_detections": 300}
LONGEST_LICENSE = 200  # characters; it is a name, not the text
FLOAT, NO_GATE = Quantisation(), Gate()


def export(
    checkpoint: str | Path,
    format: str,
    path: Path | None = None,
    output_kind: str | None = None,
    size: tuple[int, int] | None = None,
    input: str | None = None,
    target: str | None = None,
    license: str | None = None,
    quantisation: Quantisation = FLOAT,
    gate: Gate = NO_GATE,
) -> Path:
    """Write a checkpoint as a file for a runtime.

    Args:
        checkpoint: written by training, or hf://OWNER/NAME.
        format: a key of `FORMATS`.
        path: of the file; by default beside the checkpoint, with the format's suffix, behind .int8 or .float16.
        output_kind: of `deploy.graph.TARGETS`; by default the first one of the task.
        size: height and width of the image; by default those of training.
        input: "uint8" or "float32"; by default float32 for MediaPipe, whose GPU delegate takes no other, and uint8
            otherwise.
        target: "mediapipe" for a .tflite that MediaPipe Tasks takes.
        license: of the data that the network was trained on; by default what the checkpoint says.
        quantisation: how numbers are kept.
        gate: what the file has to show; without a dataset, int8 is compared with float on images that were kept back
            from calibration.

    Returns:
        The file.

    Raises:
        CheckpointError, DataError, DeployError, TaskError: for whatever the user can mend, in one line.
    """
    if format not in FORMATS:
        raise DeployError(f"--format {format}: there are {', '.join(FORMATS)}")
    checkpoint, writer, precision = Path(checkpoint), FORMATS[format], quantisation.precision
    if precision not in writer.precisions:
        raise DeployError(f"--{precision} is not to be had with --format {format}")
    if target and format != "litert":
        raise DeployError(f"--target {target} is for --format litert, not for {format}")
    if license is not None and not 0 < len(license.strip()) <= LONGEST_LICENSE:
        raise DeployError(f"--license: give 1 to {LONGEST_LICENSE} characters, such as its name and where it stands")
    path = path or place(checkpoint).with_suffix(("" if precision == "float32" else f".{precision}") + writer.suffix)
    if path.suffix != writer.suffix:
        raise DeployError(f"--output {path}: files of {format} end in {writer.suffix}")
    if path.is_dir():
        raise DeployError(f"--output {path}: is a folder; name a file")
    require_folder(path.parent)
    if checkpoint.suffix in {known.suffix for known in FORMATS.values()}:
        raise DeployError(f"--checkpoint {checkpoint}: was exported already; give the checkpoint that it was made from")
    checkpoint = local_checkpoint(checkpoint)
    with unchanged(checkpoint) as origin:
        task = load_task(checkpoint, "cpu")
    kind, wing = output_kind or next(iter(TARGETS[target].get(task.kind, OUTPUTS[task.kind]))), WINGS[task.kind]
    calibration = find_calibration(wing, quantisation, gate)
    if calibration.sources and not quantisation.int8 and gate.dataset:
        raise DeployError(f"{calibration.where}: is not needed for --{precision}, which is evaluated on --dataset")
    files = evaluation_files(wing, gate, task.spec)
    original, in_float, read_first = checkpoint, task, origin
    if quantisation.qat:
        checkpoint = _train_on(checkpoint, wing, quantisation, calibration, files, path)
        with unchanged(checkpoint) as origin:
            task = load_task(checkpoint, "cpu")
    graph = Graph(task, kind, size, target)
    _try(graph)
    description = Description(
        task=task.kind,
        spec=task.describe(),
        output_kind=kind,
        outputs=list(graph.names),
        size=graph.size,
        input=input or ("float32" if target == "mediapipe" else "uint8"),
        precision=precision,
        checkpoint=str(origin),
        made_by=package_versions(),
        thresholds=_thresholds(graph, writer.suppresses or target == "mediapipe"),
        anchors=graph.anchors.tolist() if kind == "raw" else None,
        target=target,
        license=license or (str(in_float.license) if in_float.license else None),
        scores=dict(in_float.scores),
    )
    plain = _in_torch(in_float, kind, description)
    images: list[Image] = []
    if quantisation.int8:
        images, shown = read_calibration(calibration, plain.prepare)
        if files is not None:
            require_no_overlap(wing, files, shown, calibration.where)
    if files is None and not calibration.kept_back:
        writer.write(graph, description, path, images)
        return path
    with draft(path) as unfinished:
        writer.write(graph, description, unfinished, images)
        file = load(unfinished)
        if files is None:
            result = compare_predictions(task.kind, plain, file, calibration.kept_back)
        else:
            with unchanged(original, read_first):
                result = compare_scores(wing, original, file, files, gate.max_drop)
        print(result.said)
        _conclude(path, result, graph, images)
    return path


def _thresholds(graph: Graph, suppresses: bool) -> dict[str, float]:
    """Those of non-maximum suppression, where it is inside a file."""
    if graph.output_kind == "plain":
        return PLAIN_THRESHOLDS
    return THRESHOLDS if suppresses and {"scores", "count"} & {*graph.names} else {}


def _train_on(
    checkpoint: Path, wing: Wing, quantisation: Quantisation, calibration: Calibration, files: Any, path: Path
) -> Path:
    """A checkpoint after quantisation-aware training; its run is beside the file that is exported.

    Raises:
        DeployError: without labels to train on, or without others to evaluate the file on.
    """
    if calibration.files is None or files is None:
        raise DeployError(
            "--qat trains on labels and is evaluated on others: name a dataset with --calibration NAME:SPLIT, and "
            "another split of it with --dataset and --split"
        )
    shown = {digest(read(source)): str(source) for source in wing.images(calibration.files)}
    require_no_overlap(wing, files, shown, calibration.where)
    folder = path.with_name(f"{path.stem}.qat")
    return train_rounded(checkpoint, calibration.files, quantisation.qat_epochs, quantisation.qat_lr, folder)


def _in_torch(task: Task, kind: str, description: Description) -> Predictor:
    """What is exported, as it predicts before that; for MediaPipe by the plain outputs."""
    if description.target is not None:
        kind = next(iter(OUTPUTS[task.kind]))
    graph = Graph(task, kind, description.size)
    description = replace(description, target=None, thresholds={})

    def run(image: Image) -> dict[str, Any]:
        with torch.inference_mode():
            return {
                name: value.numpy() for name, value in zip(graph.names, graph(torch.from_numpy(image)), strict=True)
            }

    return PREDICTORS[description.task](description, run)


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """A path of the same name in a temporary folder; what is there in the end goes to `path` and beside it.

    Whatever ends the block early leaves what was at `path` before. The folder is one of the system's, so that an export
    that is killed leaves nothing beside `path`.

    Raises:
        TaskError: if files cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, path.name)
        with ExitStack() as files:  # they take their names once all are whole, `path` itself last
            for made in sorted(Path(folder).iterdir(), key=lambda made: made.name != path.name):
                shutil.copyfile(made, files.enter_context(whole(path.with_name(made.name))))


def _conclude(path: Path, result: Result, graph: Graph, images: Sequence[Image]) -> None:
    """Write and print a report for int8, and end the export of a file that did not pass.

    Raises:
        DeployError: if so.
    """
    beside = path.with_name(f"{path.name}.quantisation.txt")
    if images:
        errors = layer_errors(graph, images)
        print(report(errors, SHOWN))
        with whole(beside) as unfinished:
            unfinished.write_text(f"{path.name}: {result.said}\n\n{report(errors)}\n", encoding="utf-8")
    if not result.passed:
        told = f"; {beside.name} has the error of every layer" if images else ""
        raise DeployError(f"{path}: was not written, as it loses too much: {result.said}{told}")


def _try(graph: Graph) -> None:
    """See that a network takes images of the size.

    Raises:
        DeployError: if it does not.
    """
    try:
        copy.deepcopy(graph).to("meta")(torch.zeros(1, *graph.size, 3, device="meta"))
    except (ValueError, RuntimeError) as error:
        height, width = graph.size
        raise DeployError(f"--size {height} {width}: the network cannot take it ({error})") from None
