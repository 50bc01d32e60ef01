"""A checkpoint's network in a runtime that is faster than torch on the CPU; all around it stays the task's own."""

import hashlib
import importlib.util
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deploy.any_size import OUTPUTS, export_network
from deploy.description import package_versions
from deploy.extras import DeployError, require
from deploy.formats import Run
from deploy.network_cache import read_entry, write_entry
from deploy.onnx_file import OnnxFormat
from deploy.openvino_file import OpenvinoFormat
from tasks.base import Task

RUNTIMES: dict[str, OnnxFormat | OpenvinoFormat] = {"onnx": OnnxFormat(), "openvino": OpenvinoFormat()}
TITLES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}
MODULES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino")}
SOURCES = ("backbones", "heads", "tasks", "deploy")
START, CONVERT = 50, 200  # images that it takes to be worth the start of a runtime, and a conversion
TOLERANCE = 1e-3  # of the largest value of an output


class RuntimeNetwork(nn.Module):
    """In place of a task's network: float32 [N, 3, H, W], normalised -> its raw outputs, from a runtime.

    Args:
        run: of the runtime.
        names: of the outputs, in the network's order.
    """

    def __init__(self, run: Run, names: tuple[str, ...]) -> None:
        super().__init__()
        self.run, self.names = run, names

    def forward(self, images: Tensor) -> Any:
        found = self.run(images.contiguous().numpy())
        outputs = tuple(torch.from_numpy(found[name]) for name in self.names)
        return outputs if len(outputs) > 1 else outputs[0]


def accelerate(task: Task, checkpoint: Path, runtime: str, threads: int | None = None) -> Task:
    """Put a runtime in place of a task's network, which is converted unless the cache has it.

    Args:
        task: on the CPU, as it predicts; it is changed.
        checkpoint: that it came from.
        runtime: a key of `RUNTIMES`.
        threads: None for as many as torch takes.

    Raises:
        DeployError: if the runtime is not installed, or the network does not convert.
    """
    for module in MODULES[runtime]:
        require(module, runtime, f"--runtime {runtime}")
    if task.device.type != "cpu":
        raise DeployError(f"--runtime {runtime} runs on the CPU; give --device cpu, or leave --runtime out")
    key = _key(task)
    known = read_entry(key)
    if known is None:
        print(f"converting the network for {TITLES[runtime]}, which is done once for each checkpoint", flush=True)
    content = known or export_network(task)
    run = RUNTIMES[runtime].start(content, str(checkpoint), threads or torch.get_num_threads())
    network = RuntimeNetwork(run, OUTPUTS[task.kind])
    _require_equal(network, task)
    if known is None:
        write_entry(key, content)
    task.network, task.memory_format = network, torch.contiguous_format
    return task


def accelerate_if_worth_it(task: Task, checkpoint: Path, images: float) -> Task:
    """The same with the fastest runtime that is installed, for so many images; or torch, if that is as well.

    Says in one line which it is.
    """
    runtime = _fastest(task, images) if task.device.type == "cpu" else None
    if runtime is None or images < START:
        return _told(task, "torch" if runtime is None else f"torch; {TITLES[runtime]} takes over from {START} images")
    if images < CONVERT and read_entry(_key(task)) is None:
        return _told(task, f"torch; {TITLES[runtime]} takes over from {CONVERT} images, or with --runtime {runtime}")
    try:
        return _told(accelerate(task, checkpoint, runtime), f"{TITLES[runtime]} {version(MODULES[runtime][-1])}")
    except DeployError as error:
        return _told(task, f"torch, since {TITLES[runtime]} cannot: {error}")


def _told(task: Task, where: str) -> Task:
    print(f"the network runs in {where}", flush=True)
    return task


def _fastest(task: Task, images: float) -> str | None:
    """OpenVINO, but for images of many sizes, each of which it plans anew; then ONNX Runtime; None for torch."""
    one_size = task.kind != "segmentation" or images == float("inf")
    for runtime in ("openvino", "onnx") if one_size else ("onnx", "openvino"):
        if all(importlib.util.find_spec(module) for module in MODULES[runtime]):
            return runtime
    return None


def _key(task: Task) -> str:
    """Of the cache: another one for whatever may change what is converted.

    Weights are told by their values: the checkpoint that they came from may have been replaced since.
    """
    told = hashlib.sha256(json.dumps([task.describe(), package_versions(), _sources()]).encode())
    for name, value in task.state_dict().items():
        told.update(name.encode() + value.numpy().tobytes())
    return told.hexdigest()


@cache
def _sources() -> str:
    """SHA-256 of this package's own files, which change between releases too."""
    told, root = hashlib.sha256(), Path(__file__).resolve().parents[1]
    for path in sorted(path for folder in SOURCES for path in (root / folder).rglob("*.py")):
        told.update(path.read_bytes())
    return told.hexdigest()


def _require_equal(network: RuntimeNetwork, task: Task) -> None:
    """See that a runtime gives what the network gives, for segmentation on images of other sizes too.

    Raises:
        DeployError: if it does not.
    """
    height, width = task.spec.input_size
    others = [(2, height + 37, width + 90), (1, 96, 64)] if task.kind == "segmentation" else [(2, height, width)]
    for count, *size in [(1, height, width), *others]:
        images = torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected, found = task.network(images), network(images)
        pairs = zip(expected, found, strict=True) if isinstance(found, tuple) else [(expected, found)]
        for plain, fast in pairs:
            if plain.shape != fast.shape or not torch.allclose(plain, fast, atol=TOLERANCE * float(plain.abs().max())):
                raise DeployError(f"its outputs are others than torch's on images of {size[0]}x{size[1]}")
