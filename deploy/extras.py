"""What deploying raises at a user's mistake. The message is one line: what is wrong, in which file, what to do."""

import importlib
from typing import Any

from tasks.errors import TaskError


class DeployError(TaskError):
    """A network cannot be exported, or an exported file cannot be read or run."""


def require(module: str, extra: str, needed_by: str) -> Any:
    """Import a package that only an extra installs.

    Args:
        module: to import.
        extra: the extra's name.
        needed_by: what wants it: an option, or a file.

    Raises:
        DeployError: naming the extra, if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        lacking = error.name or module
        raise DeployError(
            f"{needed_by} needs {lacking}, which is not installed; in the checkout: pip install -e '.[{extra}]'"
        ) from None
