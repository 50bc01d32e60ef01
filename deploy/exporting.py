"""A checkpoint as a file for a runtime."""

import copy
import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from deploy.description import Description
from deploy.extras import DeployError
from deploy.graph import TARGETS, Graph
from deploy.mediapipe_outputs import PLAIN_THRESHOLDS
from deploy.runtimes import FORMATS
from tasks.wings import load_task

THRESHOLDS = {"score": 0.001, "iou": 0.55, "max_detections": 300}
LONGEST_LICENSE = 200  # characters; it is a name, not the text
PACKAGES = ("mobiledense", "torch", "onnx", "onnxruntime", "openvino", "executorch", "litert-torch")


def export(
    checkpoint: Path,
    format: str,
    path: Path | None = None,
    output_kind: str | None = None,
    size: tuple[int, int] | None = None,
    input: str | None = None,
    precision: str = "float32",
    target: str | None = None,
    license: str | None = None,
) -> Path:
    """Write a checkpoint as a file for a runtime.

    Args:
        checkpoint: written by training.
        format: a key of `FORMATS`.
        path: of the file; by default beside the checkpoint, with the format's suffix.
        output_kind: of `deploy.graph.TARGETS`; by default the first one of the task.
        size: height and width of the image; by default those of training.
        input: "uint8" or "float32"; by default float32 for MediaPipe, whose GPU delegate takes no other, and uint8
            otherwise.
        precision: of `Format.precisions`.
        target: "mediapipe" for a .tflite that MediaPipe Tasks takes.
        license: of the data that the network was trained on.

    Returns:
        The file.

    Raises:
        CheckpointError, DeployError, TaskError: for whatever the user can mend, in one line.
    """
    writer = FORMATS[format]
    if precision not in writer.precisions:
        raise DeployError(f"{precision} is not to be had with --format {format}")
    if target and format != "litert":
        raise DeployError(f"--target {target} is for --format litert, not for {format}")
    if license is not None and not 0 < len(license.strip()) <= LONGEST_LICENSE:
        raise DeployError(f"--license: give 1 to {LONGEST_LICENSE} characters, such as its name and where it stands")
    path = path or checkpoint.with_suffix(writer.suffix)
    if path.suffix != writer.suffix:
        raise DeployError(f"--output {path}: files of {format} end in {writer.suffix}")
    task = load_task(checkpoint, "cpu")
    kind = output_kind or next(iter(TARGETS[target][task.kind]))
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
        checkpoint=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        made_by=_versions(),
        thresholds=_thresholds(kind, writer.suppresses or target == "mediapipe"),
        anchors=graph.anchors.tolist() if kind == "raw" else None,
        target=target,
        license=license,
    )
    writer.write(graph, description, path)
    return path


def _thresholds(kind: str, suppresses: bool) -> dict[str, float]:
    """Those of non-maximum suppression, where it is inside a file."""
    return {"boxes": THRESHOLDS if suppresses else {}, "plain": PLAIN_THRESHOLDS}.get(kind, {})


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


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
