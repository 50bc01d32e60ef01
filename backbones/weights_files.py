"""Weights files: read without running what is in them, and refused in one line where they cannot be used."""

import json
import math
import pickle
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from safetensors import safe_open
from torch import Tensor

from backbones.tables import BackboneError

CHECKSUM = "crc32"  # the entry of a safetensors file of ours with its `checksum`
DESCRIPTION = "mobiledense"  # the entry in which a file of ours says what network it is of


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a weights file, and what a file of ours says of its network (nothing for other files).

    Args:
        path: a .pth, .pt, .ckpt or .safetensors file.

    Raises:
        FileNotFoundError: if there is no such file.
        BackboneError: if it cannot be read, holds no tensors, or says of its network what we do not write.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such weights file (published ones are "imagenet" and, for detection, "coco")'
        )
    now = path.stat()
    return _read_once(path, now.st_mtime_ns, now.st_size)


@lru_cache(maxsize=1)
def _read_once(path: Path, _changed: int, _size: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A file is asked for its normalisation, its network and its values one after the other, and read for the first."""
    content = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    description = content.get(DESCRIPTION, {}) if isinstance(content, dict) else {}
    _require_description(path, description)
    if description and path.suffix != ".safetensors":
        require_checksums(path)
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    entries = content.items() if isinstance(content, dict) else ()
    # nested tensors have no shape to compare
    tensors = {k: v for k, v in entries if isinstance(k, str) and isinstance(v, Tensor) and not v.is_nested}
    if not tensors:
        raise BackboneError(f"{path}: holds no state dict")
    return tensors, description


def read_torch(path: Path, kind: str = "weights file") -> Any:
    """What `torch.save` wrote into a file: tensors and plain values; anything else is refused and never run.

    Args:
        path: the file.
        kind: what the message calls it.

    Raises:
        BackboneError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(2)
        if head == b"PK":
            with ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > path.stat().st_size:  # torch.save stores without compression
                raise BackboneError(f"{path}: not a readable {kind} (it unpacks to more than its own size)")
        elif head[:1] != b"\x80":  # a pickle's first byte
            raise BackboneError(f"{path}: not a readable {kind} ({'no PyTorch file' if head else 'it is empty'})")
        return torch.load(path, map_location="cpu", weights_only=True)
    except BackboneError:
        raise
    except Exception as error:  # bytes that are no weights can raise anything at all in an unpickler
        raise BackboneError(f"{path}: not a readable {kind} ({_reason(error)})") from None


def require_checksums(path: Path) -> None:
    """Compare every part of what `torch.save` wrote with its checksum (CRC-32), at which `torch.load` does not look.

    Raises:
        BackboneError: naming a part that does not have its checksum.
    """
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
    except BadZipFile:
        damaged = "its index"
    if damaged:
        raise BackboneError(f"{path}: is damaged ({damaged} does not have its checksum); take an earlier copy")


def _reason(error: Exception) -> str:
    """Why a file cannot be read, in our words: torch's advise to run whatever is in it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "TorchScript" in str(error):
        return "a TorchScript archive; save the state_dict() of its network instead"
    if isinstance(error, pickle.UnpicklingError):
        return "it holds other objects than tensors and plain values, or is damaged"
    return "it is damaged, or of another kind"


def read_safetensors(path: Path, kind: str = "weights file") -> dict[str, Any]:
    """The tensors of a safetensors file under "state_dict", and what one of ours says of its network.

    Args:
        path: the file.
        kind: what the message calls it.

    Raises:
        BackboneError: if it cannot be read, or its content is not what its checksum is of.
    """
    try:
        with safe_open(path, "pt") as file:
            content: dict[str, Any] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        description = json.loads(metadata.get(DESCRIPTION, "{}"))
    except Exception as error:
        raise BackboneError(f"{path}: not a readable {kind} ({_reason(error)})") from None
    if CHECKSUM in metadata and metadata[CHECKSUM] != checksum(content, metadata.get(DESCRIPTION, "")):
        raise BackboneError(f"{path}: damaged, its checksum is of another content; copy it anew")
    return {"state_dict": content, DESCRIPTION: description}


def checksum(tensors: Mapping[str, Tensor], description: str) -> str:
    """The CRC-32 of tensors, their names, types and shapes, and of a text."""
    found = zlib.crc32(description.encode())
    for key in sorted(tensors):
        tensor = tensors[key].contiguous()
        found = zlib.crc32(f"{key} {tensor.dtype} {list(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"", found)
    return f"{found:08x}"


def is_normalisation(value: Any) -> bool:
    """Whether a value can be a mean or a standard deviation of the three channels."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(number, int | float) and math.isfinite(number) for number in value)
    )


def _require_description(path: Path, description: Any) -> None:
    """Refuse entries of other types than we write, before anything trips over them; each may be lacking."""
    fits = {
        "table": lambda value: isinstance(value, dict) and isinstance(value.get("name"), str),
        "task": lambda value: isinstance(value, str),
        "names": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
        "mean": is_normalisation,
        "std": lambda value: is_normalisation(value) and min(value) > 0,
    }
    held = description if isinstance(description, dict) else {}
    wrong = [key for key in fits if key in held and not fits[key](held[key])]
    if wrong or held is not description:
        what = f"its entry {' and '.join(wrong)} is" if wrong else "it is"
        raise BackboneError(f"{path}: what it says of its network is damaged ({what} not as this package writes it)")


def require_usable(source: str | Path, key: str, tensor: Tensor, own: Tensor) -> None:
    """Refuse values that a network cannot be filled with.

    Args:
        source: what the message begins with.
        key: of the tensor, in the source.
        tensor: of the shape of `own`.
        own: what it is to replace.

    Raises:
        BackboneError: for values that are no plain real numbers, or not finite.
    """
    dense = tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
    real = not tensor.is_complex() and tensor.dtype != torch.bool
    if not (dense and real and (tensor.is_floating_point() or not own.is_floating_point())):
        kind = "without values" if tensor.is_meta else f"{tensor.layout} of {tensor.dtype}".replace("torch.", "")
        raise BackboneError(f"{source}: {key} is {kind}, and the network wants plain {own.dtype} values")
    if not tensor.float().isfinite().all():
        raise BackboneError(f"{source}: {key} holds infinite values or NaN; the file is of a training that diverged")
