"""A checkpoint as a file for a runtime."""

import copy
import hashlib
from pathlib import Path

import torch

from deploy.description import Description, package_versions
from deploy.extras import DeployError
from deploy.graph import OUTPUTS, Graph
from deploy.runtimes import FORMATS
from tasks.wings import load_task

THRESHOLDS = {"score": 0.001, "iou": 0.55, "max_detections": 300}


def export(
    checkpoint: Path,
    format: str,
    path: Path | None = None,
    output_kind: str | None = None,
    size: tuple[int, int] | None = None,
    input: str = "uint8",
    precision: str = "float32",
) -> Path:
    """Write a checkpoint as a file for a runtime.

    Args:
        checkpoint: written by training.
        format: a key of `FORMATS`.
        path: of the file; by default beside the checkpoint, with the format's suffix.
        output_kind: of `deploy.graph.OUTPUTS`; by default the first one of the task.
        size: height and width of the image; by default those of training.
        input: "uint8" or "float32".
        precision: of `Format.precisions`.

    Returns:
        The file.

    Raises:
        CheckpointError, DeployError, TaskError: for whatever the user can mend, in one line.
    """
    writer = FORMATS[format]
    if precision not in writer.precisions:
        raise DeployError(f"{precision} is not to be had with --format {format}")
    path = path or checkpoint.with_suffix(writer.suffix)
    if path.suffix != writer.suffix:
        raise DeployError(f"--output {path}: files of {format} end in {writer.suffix}")
    task = load_task(checkpoint, "cpu")
    kind = output_kind or next(iter(OUTPUTS[task.kind]))
    graph = Graph(task, kind, size)
    _try(graph)
    description = Description(
        task=task.kind,
        spec=task.describe(),
        output_kind=kind,
        outputs=list(graph.names),
        size=graph.size,
        input=input,
        precision=precision,
        checkpoint=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        made_by=package_versions(),
        thresholds=THRESHOLDS if kind == "boxes" and writer.suppresses else {},
        anchors=graph.anchors.tolist() if kind == "raw" else None,
    )
    writer.write(graph, description, path)
    return path


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
