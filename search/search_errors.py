"""What searching raises at a user's mistake. The message is one line: what is wrong, in which file, what to do."""

from tasks.errors import TaskError


class SearchError(TaskError):
    """A latency table does not fit, or a search cannot be begun or gone on with as asked."""
