"""LiteRT's .tflite for phones and browsers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.faults import one_line
from deploy.description import Description
from deploy.extras import DeployError, require
from deploy.formats import Format, Image, Run
from deploy.graph import Graph
from deploy.litert_quantization import at_precision, settle
from deploy.onnx_file import ENTRY
from deploy.seal import require_sealed, seal
from tasks.writing import whole

IDENTIFIER = b"TFL3"


class LitertFormat(Format):
    """LiteRT's, which was TensorFlow Lite."""

    name, suffix, extra = "litert", ".tflite", "litert"
    precisions = ("float32", "float16", "int8")

    def write(self, graph: Graph, description: Description, path: Path, calibration: Sequence[Image] = ()) -> None:
        litert = require("litert_torch", self.extra, "--format litert")
        example = torch.zeros(1, *graph.size, 3, dtype=getattr(torch, description.input))
        try:
            converted = litert.convert(graph, (example,))
        except Exception as error:
            raise DeployError(f"--format litert: this network does not convert ({one_line(error)})") from error
        with whole(path) as unfinished:
            converted.export(str(unfinished))
            content = at_precision(unfinished.read_bytes(), description, calibration, self.extra)
            unfinished.write_bytes(describe(content, description))
            seal(unfinished)

    def read_description(self, path: Path) -> Description:
        schema = require("ai_edge_litert.schema_py_generated", self.extra, str(path))
        content = path.read_bytes()
        if content[4:8] != IDENTIFIER:
            raise DeployError(f"{path}: no .tflite file")
        require_sealed(path)
        model = schema.ModelT.InitFromPackedBuf(content)
        for entry in model.metadata or []:
            if entry.name == ENTRY.encode():
                return Description.from_json(bytes(model.buffers[entry.buffer].data).decode(), str(path))
        raise DeployError(f'{path}: its metadata lacks "{ENTRY}", so that this package did not write it')

    def open(self, path: Path, description: Description, threads: int | None = None) -> Run:
        runtime = require("ai_edge_litert.interpreter", self.extra, str(path))
        try:
            interpreter = runtime.Interpreter(str(path), num_threads=threads)
            interpreter.allocate_tensors()
        except Exception as error:
            raise DeployError(f"{path}: LiteRT cannot load it ({one_line(error)})") from None
        (given,), outputs = interpreter.get_input_details(), interpreter.get_output_details()

        def run(image: Any) -> dict[str, Any]:
            interpreter.set_tensor(given["index"], image.astype(given["dtype"], copy=False))
            interpreter.invoke()
            return {output["name"]: interpreter.get_tensor(output["index"]) for output in outputs}

        return run


def describe(content: bytes, description: Description) -> bytes:
    """A .tflite file with names for its tensors and a description among its metadata."""
    schema: Any = require("ai_edge_litert.schema_py_generated", LitertFormat.extra, "--format litert")
    model = schema.ModelT.InitFromPackedBuf(content)
    builder = settle(model, content)
    graph = model.subgraphs[0]
    for tensor, name in zip([*graph.inputs, *graph.outputs], ["image", *description.outputs], strict=True):
        graph.tensors[tensor].name = name
    model.signatureDefs = None  # which have the converter's names
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(description.to_json().encode(), dtype=np.uint8)
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
