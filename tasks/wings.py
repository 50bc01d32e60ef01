"""All tasks, and loading a trained one of any kind."""

from pathlib import Path
from typing import Any

from tasks.base import Spec
from tasks.checkpoints import read_checkpoint
from tasks.classification.wing import ClassificationWing
from tasks.detection.wing import DetectionWing
from tasks.errors import CheckpointError
from tasks.hub_checkpoints import local_checkpoint
from tasks.joint.wing import JointWing
from tasks.segmentation.wing import SegmentationWing
from tasks.wing import Wing

WINGS: dict[str, Wing] = {
    wing.task.kind: wing for wing in (ClassificationWing(), DetectionWing(), SegmentationWing(), JointWing())
}


def wing_of(spec: Spec) -> Wing:
    """The wing of the task that a spec is for."""
    return next(wing for wing in WINGS.values() if wing.task.spec_type is type(spec))


def load_task(path: str | Path, device: str = "auto") -> Any:
    """A trained task of any kind from its checkpoint alone; see `tasks.base.Task.load`.

    Raises:
        CheckpointError: if the file is missing or unreadable.
        FileNotFoundError, ConnectionError: for one on the hub, if it is not there or cannot be fetched.
    """
    path = local_checkpoint(path)
    kind = read_checkpoint(path)["mobiledense"].get("task")
    if kind not in [*WINGS]:  # a list, since a damaged entry may be what no dictionary takes as a key
        raise CheckpointError(f"{path}: its task cannot be {kind!r:.80}; there are {', '.join(WINGS)}")
    return WINGS[kind].task.load(path, device)
