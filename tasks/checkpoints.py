"""Checkpoints: read with clear errors, and written so that a full disk leaves the previous one whole."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from tasks.errors import CheckpointError


def read_checkpoint(path: Path, task: str | None = None) -> dict[str, Any]:
    """The content of a checkpoint written by this package.

    Args:
        path: the file.
        task: "classification", "detection" or "segmentation", or None for any.

    Raises:
        CheckpointError: if it is missing, unreadable, or of another task.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler trips over garbage in any way it likes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason})") from None
    description = content.get("mobiledense") if isinstance(content, dict) else None
    if not description:
        raise CheckpointError(f"{path}: not written by this package; plain weights go to --weights")
    if task is not None and description["task"] != task:
        raise CheckpointError(f"{path}: a checkpoint for {description['task']}, not for {task}")
    return content


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the final name and renames, so that the previous checkpoint survives a write that fails."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        final = Path(path)
        final.parent.mkdir(parents=True, exist_ok=True)
        unfinished = final.with_name(f".{final.name}.part")
        try:
            with unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, final)
        except (OSError, RuntimeError) as error:
            unfinished.unlink(missing_ok=True)
            kept = "; the previous one is kept" if final.exists() else ""
            raise CheckpointError(f"{final}: could not be saved ({error}){kept}") from None
