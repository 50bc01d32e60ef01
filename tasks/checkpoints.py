"""Checkpoints: whole or not there, read without running anything in them, and checked against damage."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from backbones import BackboneError
from backbones.weights_download import sha256
from backbones.weights_files import (
    CHECKSUM,
    DESCRIPTION,
    checksum,
    read_safetensors,
    read_torch,
    require_checksums,
)
from tasks.errors import CheckpointError, NonFiniteLoss, TaskError, require_checkpoint
from tasks.writing import whole

VERSION = 2  # of the format; files of release 0.1.0 have none, and are read as 1


def read_checkpoint(path: Path, task: str | None = None) -> dict[str, Any]:
    """The content of a checkpoint written by this package, or of the weights that `export_weights` made of one.

    Every part of a checkpoint has a checksum (CRC-32, as in any zip archive), which torch itself does not look at.

    Args:
        path: the file.
        task: "classification", "detection" or "segmentation", or None for any.

    Raises:
        CheckpointError: if it is missing, damaged, no checkpoint of ours, of another task or of a later version.
    """
    require_checkpoint(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read(path)
    description = content.get("mobiledense") if isinstance(content, dict) else None
    if not isinstance(description, dict) or not isinstance(content.get("state_dict"), dict):
        raise CheckpointError(f"{path}: not written by this package; plain weights go to --weights")
    kind, version = description.get("task"), description.get("version", 1)
    if not isinstance(version, int) or version > VERSION:
        raise CheckpointError(f"{path}: is of format {version}, and this release reads up to {VERSION}; update it")
    if task is not None and kind != task:
        raise CheckpointError(f"{path}: a checkpoint for {kind}, not for {task}")
    return content


@contextmanager
def unchanged(path: Path, digest: str | None = None) -> Iterator[str | None]:
    """The SHA-256 of what the block reads from a file, which a training may replace at any time.

    Args:
        path: of the file; one on the hub has no hash here, and never changes.
        digest: of the file, where it was read before.

    Raises:
        CheckpointError: if the file was replaced before the block ended.
    """
    digest = digest or (sha256(path) if path.is_file() else None)
    yield digest
    if digest is not None and sha256(path) != digest:
        raise CheckpointError(f"{path}: was replaced while it was read, by a training perhaps; start again")


def _read(path: Path) -> Any:
    try:
        content = read_torch(path, "checkpoint")
        require_checksums(path)
    except BackboneError as error:
        raise CheckpointError(str(error)) from None
    return content


def _read_safetensors(path: Path) -> Any:
    try:
        return read_safetensors(path, "checkpoint")
    except BackboneError as error:
        raise CheckpointError(str(error)) from None


def export_weights(checkpoint: Path, path: Path) -> None:
    """Write a checkpoint's weights as safetensors, with all that is needed to use them in its metadata.

    Whatever takes a checkpoint takes the file too, except `--resume`.

    Args:
        checkpoint: written by training; the averaged weights are taken where there are some.
        path: ends in .safetensors.

    Raises:
        CheckpointError: if the checkpoint cannot be read.
        TaskError: if the file cannot be written.
    """
    content = read_checkpoint(checkpoint)
    write_safetensors(content["state_dict"], content["mobiledense"], path)


def write_safetensors(state: Mapping[str, Tensor], description: dict[str, Any], path: Path) -> None:
    """Write weights with what they are of, as `read_checkpoint` reads them.

    Args:
        state: of a task.
        description: see `Task.describe`.
        path: ends in .safetensors.

    Raises:
        TaskError: if the file cannot be written.
    """
    text = json.dumps(description)
    tensors = {key: value.cpu().contiguous() for key, value in state.items()}
    metadata = {"format": "pt", DESCRIPTION: text, CHECKSUM: checksum(tensors, text)}
    with whole(path) as unfinished:
        try:
            save_file(tensors, unfinished, metadata)
        except SafetensorError as error:  # of a full disk, say
            raise OSError(str(error)) from None


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the final name and renames, so that the previous checkpoint survives a write that fails."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint, complete or not at all.

        Raises:
            NonFiniteLoss: if weights are infinite or not a number.
            CheckpointError: if the file cannot be written.
        """
        final = Path(path)
        kept = f"; {final.name} from before is kept" if final.exists() else ""
        for part in ("state_dict", "current_model_state"):
            broken = first_not_finite(checkpoint.get(part, {}).items())
            if broken:
                step = checkpoint.get("global_step")
                raise NonFiniteLoss(f"{broken} became infinite or not a number by step {step}; lower --lr{kept}")
        try:
            with whole(final) as unfinished, unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (TaskError, RuntimeError) as error:
            # torch's writer tells of a full disk in words of its own (enforce fail at inline_container.cc)
            reason = "the disk is full, most likely" if "inline_container" in str(error) else str(error).splitlines()[0]
            raise CheckpointError(f"{final}: could not be saved ({reason}){kept}") from None

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """The content of a checkpoint of ours; see `read_checkpoint`."""
        return read_checkpoint(Path(path))


def first_not_finite(tensors: Iterable[tuple[str, Any]]) -> str | None:
    """The name of the first tensor that has a value which is infinite or not a number, or None."""
    for name, tensor in tensors:
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return name
    return None
