"""Tasks: a network together with its criterion, its metrics and its predictions."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
if str(CHECKOUT) not in sys.path:  # an install makes backbones, heads and tasks known to other programs, and no more
    sys.path.append(str(CHECKOUT))

import datasets

if Path(datasets.__file__ or "").resolve().parent.parent != CHECKOUT:
    raise ImportError(
        f'tasks needs MobileDense\'s own datasets, and "import datasets" finds {datasets.__file__}, another package of '
        f'that name; write sys.path.insert(0, "{CHECKOUT}") before all other imports of a program that needs tasks'
    )

from tasks.checkpoints import read_checkpoint
from tasks.classification.distillation import Distillation
from tasks.classification.task import ClassificationSpec, ClassificationTask, classification_spec, classification_table
from tasks.detection.task import DetectionSpec, DetectionTask, detection_spec, detection_table
from tasks.errors import CheckpointError, NonFiniteLoss, RunError, TaskError
from tasks.optim import Optimization
from tasks.segmentation.task import (
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
