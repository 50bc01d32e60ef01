"""Tasks: a network together with its criterion, its metrics and its predictions."""

from pathlib import Path

from tasks.base import NonFiniteLoss
from tasks.checkpoints import CheckpointError, read_checkpoint
from tasks.detection import DetectionSpec, DetectionTask, detection_table
from tasks.optim import Optimization
from tasks.run import RunError
from tasks.segmentation import (
    SegmentationSpec,
    SegmentationTask,
    segmentation_scores,
    segmentation_table,
)


def load_task(path: str | Path, device: str = "auto") -> SegmentationTask | DetectionTask:
    """A trained task of either kind from its checkpoint alone; see `SegmentationTask.load`.

    Raises:
        CheckpointError: if the file is missing or unreadable.
    """
    kind = read_checkpoint(Path(path))["mobiledense"]["task"]
    return (DetectionTask if kind == "detection" else SegmentationTask).load(path, device)


__all__ = [
    "CheckpointError",
    "DetectionSpec",
    "DetectionTask",
    "NonFiniteLoss",
    "Optimization",
    "RunError",
    "SegmentationSpec",
    "SegmentationTask",
    "detection_table",
    "load_task",
    "segmentation_scores",
    "segmentation_table",
]
