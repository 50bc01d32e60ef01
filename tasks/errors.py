"""What tasks raise at a user's mistake. The message is one line: what is wrong, in which file, what to do."""


class TaskError(ValueError):
    """Something that a task was asked for cannot be done."""


class CheckpointError(TaskError):
    """A checkpoint cannot be read or written."""


class RunError(TaskError):
    """A run cannot be started or gone on with as asked."""


class NonFiniteLoss(TaskError):
    """Training diverged: the loss or the weights became infinite or not a number."""
