"""What runs single layers and whole networks, so that both can be timed alike."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from deploy.description import Description
from deploy.extras import require
from deploy.graph import OUTPUTS, Graph
from deploy.litert_file import LitertFormat
from deploy.onnx_file import OnnxFormat
from search.layer_graphs import layer_graph
from search.layer_modules import layer_inputs, layer_module
from search.layers import Layer
from tasks.base import Spec
from tasks.wings import wing_of

Call = Callable[[], Any]  # runs something once


@dataclass(frozen=True)
class Runtime(ABC):
    """A runtime with a number of threads.

    Attributes:
        threads: for each layer and network.
    """

    name: ClassVar[str]
    threads: int

    @abstractmethod
    def layer(self, layer: Layer) -> Call:
        """One layer with random weights, ready to run.

        Raises:
            DeployError: if a package is missing.
        """

    @abstractmethod
    def network(self, spec: Spec) -> Call:
        """A whole network with random weights, ready to run: up to its raw outputs, without their decoding.

        Raises:
            DeployError: if a package is missing.
        """


class TorchRuntime(Runtime):
    """torch, as a checkpoint predicts: eager, with batch norms folded."""

    name = "torch"

    def layer(self, layer: Layer) -> Call:
        return self._call(layer_module(layer), *layer_inputs(layer))

    def network(self, spec: Spec) -> Call:
        task = _task(spec).fold()
        image = torch.rand(1, 3, *spec.input_size).to(memory_format=task.memory_format)
        return self._call(task.network, image)

    def _call(self, module: nn.Module, *inputs: Tensor) -> Call:
        @torch.inference_mode()
        def call() -> Any:
            return module(*inputs)

        torch.set_num_threads(self.threads)
        return call


class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"

    def layer(self, layer: Layer) -> Call:
        runtime = require("onnxruntime", "onnx", f"--runtime {self.name}")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        session = runtime.InferenceSession(layer_graph(layer), options, providers=["CPUExecutionProvider"])
        feeds = {f"x{index}": x.contiguous().numpy() for index, x in enumerate(layer_inputs(layer))}
        return lambda: session.run(None, feeds)

    def network(self, spec: Spec) -> Call:
        return _exported(OnnxFormat(), spec, self.threads)


class Litert(Runtime):
    """LiteRT with XNNPACK."""

    name = "litert"

    def layer(self, layer: Layer) -> Call:
        runtime = require("ai_edge_litert.interpreter", "litert", f"--runtime {self.name}")
        interpreter = runtime.Interpreter(model_content=layer_tflite(layer), num_threads=self.threads)
        interpreter.allocate_tensors()
        for given in interpreter.get_input_details():
            interpreter.set_tensor(given["index"], np.random.default_rng(0).random(given["shape"], np.float32))
        return lambda: interpreter.invoke()

    def network(self, spec: Spec) -> Call:
        return _exported(LitertFormat(), spec, self.threads)


RUNTIMES: dict[str, type[Runtime]] = {runtime.name: runtime for runtime in (TorchRuntime, OnnxRuntime, Litert)}


class _ChannelsLast(nn.Module):
    """A layer that takes and gives maps as [1, H, W, C], which is how .tflite files have them inside."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        given = (x.permute(0, 3, 1, 2) if x.ndim == 4 else x for x in inputs)
        found = self.module(*given)
        made = found if isinstance(found, tuple) else (found,)
        return tuple(x.permute(0, 2, 3, 1) if x.ndim == 4 else x for x in made)


def layer_tflite(layer: Layer) -> bytes:
    """A layer as a .tflite file with random weights.

    Raises:
        DeployError: if a package is missing.
    """
    litert = require("litert_torch", "litert", "a .tflite of a layer")
    given = tuple(x.permute(0, 2, 3, 1).contiguous() if x.ndim == 4 else x for x in layer_inputs(layer))
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        path = Path(folder) / "layer.tflite"
        litert.convert(_ChannelsLast(layer_module(layer)).eval(), given).export(str(path))
        return path.read_bytes()


def _task(spec: Spec) -> Any:
    task: Any = wing_of(spec).task
    return task(spec).eval()


def _exported(format: Any, spec: Spec, threads: int) -> Call:
    task = _task(spec)
    kind = "raw" if "raw" in OUTPUTS[task.kind] else next(iter(OUTPUTS[task.kind]))
    graph = Graph(task, kind)
    description = Description(
        task=task.kind,
        spec=task.describe(),
        output_kind=kind,
        outputs=list(graph.names),
        size=graph.size,
        input="uint8",
        precision="float32",
        checkpoint="",
        made_by={},
        anchors=graph.anchors.tolist() if kind == "raw" else None,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{format.suffix}"
        with redirect_stdout(StringIO()):
            format.write(graph, description, path)
        run = format.open(path, description, threads)
    image = np.zeros((1, *graph.size, 3), dtype=np.uint8)
    return lambda: run(image)
