"""Whether the machine and the network can do what is asked, found out before hours of work."""

import copy
import os
from pathlib import Path

import torch
from torch import nn

from tasks.errors import TaskError


def choose_device(name: str) -> str:
    """The device to predict on: "cpu", "cuda", one GPU such as "cuda:1", or "auto" for a GPU where there is one.

    Raises:
        TaskError: for another name, or a device that is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if count else "cpu"
    there = ["cpu", *(["cuda"] if count else []), *(f"cuda:{index}" for index in range(count))]
    if name not in there:
        raise TaskError(f"--device {name}: this machine has {', '.join(there)}; auto chooses")
    return name


def require_folder(path: Path) -> Path:
    """The folder that results are to go to, once it is known that it can be made and written; nothing is made yet.

    Raises:
        TaskError: if a file is in its place, or this user may not write there.
    """
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise TaskError(f"{there}: is a file; name a folder with --output")
    if not os.access(there, os.W_OK):
        raise TaskError(f"{there}: this user may not write there; name another folder with --output")
    return path


def require_step(network: nn.Module, batch_size: int, size: tuple[int, int]) -> None:
    """Go through the shapes of one training step, without values.

    Args:
        network: takes float32 [N, 3, H, W].
        batch_size: N, over all processes, which share their batch norms' statistics.
        size: H and W.

    Raises:
        TaskError: if batch norm has one value a channel to work with, or the size is too small for the network.
    """
    trial = copy.deepcopy(network).to("meta").train()
    shape = f"{batch_size} of {size[0]}x{size[1]}"
    try:
        with torch.no_grad():
            trial(torch.empty(batch_size, 3, *size, device="meta"))
    except (ValueError, RuntimeError) as error:
        if "more than 1 value per channel" in str(error):
            raise TaskError(
                f"a batch of {shape} leaves batch norm one value a channel to average; raise --batch-size to 2 or more"
            ) from None
        raise TaskError(f"the network cannot be trained on a batch of {shape} ({str(error).splitlines()[0]})") from None
