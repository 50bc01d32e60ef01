"""What tasks raise at a user's mistake. The message is one line: what is wrong, in which file, what to do."""

from pathlib import Path

ON_HUB = "hf:"  # the first part of the path that hf://OWNER/NAME is
OF_TORCHVISION = "torchvision:"  # what torchvision:NAME begins with


class TaskError(ValueError):
    """Something that a task was asked for cannot be done."""


class CheckpointError(TaskError):
    """A checkpoint cannot be read or written."""


class RunError(TaskError):
    """A run cannot be started or gone on with as asked."""


class NonFiniteLoss(TaskError):
    """Training diverged: the loss or the weights became infinite or not a number."""


def require_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that is not there, which a tool does before it imports what takes seconds.

    One on the hub or of torchvision's is looked for once it is loaded.

    Raises:
        CheckpointError: if so.
    """
    elsewhere = path.parts[:1] == (ON_HUB,) or str(path).startswith(OF_TORCHVISION)
    if not elsewhere and not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
