"""Tasks: a network together with its criterion, its metrics and its predictions."""

from tasks.checkpoints import CheckpointError
from tasks.optim import Optimization
from tasks.run import RunError
from tasks.segmentation import (
    NonFiniteLoss,
    SegmentationSpec,
    SegmentationTask,
    segmentation_scores,
    segmentation_table,
)

__all__ = [
    "CheckpointError",
    "NonFiniteLoss",
    "Optimization",
    "RunError",
    "SegmentationSpec",
    "SegmentationTask",
    "segmentation_scores",
    "segmentation_table",
]
