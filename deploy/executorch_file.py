"""ExecuTorch's .pte for phones, its network run by XNNPACK, with a json of what it is beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from datasets.faults import one_line
from deploy.description import Description
from deploy.executorch_quantization import quantize
from deploy.extras import DeployError, require
from deploy.formats import Format, Image, Run
from deploy.graph import Graph
from deploy.seal import require_sealed, seal
from deploy.xnnpack import print_outside
from tasks.errors import TaskError
from tasks.writing import whole


class ExecutorchFormat(Format):
    """ExecuTorch's."""

    name, suffix, beside, extra = "executorch", ".pte", ".json", "executorch"
    precisions = ("float32", "int8")

    def write(self, graph: Graph, description: Description, path: Path, calibration: Sequence[Image] = ()) -> None:
        exir = require("executorch.exir", self.extra, "--format executorch")
        partition = require("executorch.backends.xnnpack.partition.xnnpack_partitioner", self.extra, "executorch")
        example = torch.zeros(1, *graph.size, 3, dtype=getattr(torch, description.input))
        try:
            module = quantize(graph, example, calibration, self.extra) if description.precision == "int8" else graph
            program = torch.export.export(module, (example,), strict=True)
            lowered = exir.to_edge_transform_and_lower(program, partitioner=[partition.XnnpackPartitioner()])
            content = lowered.to_executorch().buffer
        except TaskError:
            raise
        except Exception as error:
            raise DeployError(f"--format executorch: this network does not convert ({one_line(error)})") from error
        print_outside(_outside(lowered.exported_program()))
        beside = path.with_suffix(".json")
        with whole(path) as unfinished, whole(beside) as description_file:
            unfinished.write_bytes(content)
            description_file.write_text(description.to_json(), encoding="utf-8")
            seal(description_file, unfinished)

    def read_description(self, path: Path) -> Description:
        beside = path.with_suffix(".json")
        if not beside.is_file():
            raise DeployError(f"{path}: {beside.name}, which says what it is, must lie beside it, and does not")
        require_sealed(beside, path)
        return Description.from_json(beside.read_text(encoding="utf-8"), str(beside))

    def open(self, path: Path, description: Description, threads: int | None = None) -> Run:
        runtime = require("executorch.runtime", self.extra, str(path))
        if threads:
            require("executorch.extension.pybindings.portable_lib", self.extra, str(path))
            bindings = require("executorch.extension.pybindings._C", self.extra, str(path))
            bindings._unsafe_reset_threadpool(threads)  # of the whole process; there is no other
        try:
            method = runtime.Runtime.get().load_program(path).load_method("forward")
        except Exception as error:
            raise DeployError(f"{path}: ExecuTorch cannot load it ({one_line(error)})") from None
        kind = getattr(torch, description.input)

        def run(image: Any) -> dict[str, Any]:
            found = method.execute([torch.from_numpy(image).to(kind)])
            return {name: value.numpy() for name, value in zip(description.outputs, found, strict=True)}

        return run


def _outside(program: Any) -> list[str]:
    """The operators of a lowered program that XNNPACK does not run, one name for each."""
    kind = require("executorch.exir.dialects.edge._ops", "executorch", "--format executorch").EdgeOpOverload
    targets = (node.target for node in program.graph.nodes if node.op == "call_function")
    return [target.name() for target in targets if isinstance(target, kind)]
