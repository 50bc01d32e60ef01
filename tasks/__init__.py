"""Tasks: a network together with its criterion, its metrics and its predictions."""

from pathlib import Path

from tasks.checkpoints import read_checkpoint
from tasks.classification import ClassificationSpec, ClassificationTask, classification_spec, classification_table
from tasks.detection import DetectionSpec, DetectionTask, detection_spec, detection_table
from tasks.distillation import Distillation
from tasks.errors import CheckpointError, NonFiniteLoss, RunError, TaskError
from tasks.optim import Optimization
from tasks.segmentation import (
    SegmentationSpec,
    SegmentationTask,
    segmentation_scores,
    segmentation_spec,
    segmentation_table,
)

TASKS = {task.kind: task for task in (ClassificationTask, DetectionTask, SegmentationTask)}


def load_task(path: str | Path, device: str = "auto") -> ClassificationTask | DetectionTask | SegmentationTask:
    """A trained task of any kind from its checkpoint alone; see `tasks.base.Task.load`.

    Raises:
        CheckpointError: if the file is missing or unreadable.
    """
    return TASKS[read_checkpoint(Path(path))["mobiledense"]["task"]].load(path, device)


__all__ = [
    "CheckpointError",
    "ClassificationSpec",
    "ClassificationTask",
    "DetectionSpec",
    "DetectionTask",
    "Distillation",
    "NonFiniteLoss",
    "Optimization",
    "RunError",
    "SegmentationSpec",
    "SegmentationTask",
    "TaskError",
    "classification_spec",
    "classification_table",
    "detection_spec",
    "detection_table",
    "load_task",
    "segmentation_scores",
    "segmentation_spec",
    "segmentation_table",
]
