"""LiteRT's .tflite for phones and browsers."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.faults import one_line
from deploy.description import Description
from deploy.extras import DeployError, require
from deploy.formats import Format, Image, Run
from deploy.graph import Graph
from deploy.litert_postprocess import append_postprocess
from deploy.litert_quantization import at_precision, settle
from deploy.mediapipe_metadata import ENTRY as MEDIAPIPE_ENTRY
from deploy.mediapipe_metadata import append_labels, model_metadata, require_fit
from deploy.onnx_file import ENTRY
from deploy.seal import require_sealed, seal
from deploy.xnnpack import outside_of_tflite, print_outside
from tasks.writing import whole

IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # bytes


class LitertFormat(Format):
    """LiteRT's, which was TensorFlow Lite."""

    name, suffix, extra = "litert", ".tflite", "litert"
    precisions = ("float32", "float16", "int8")

    def write(self, graph: Graph, description: Description, path: Path, calibration: Sequence[Image] = ()) -> None:
        if description.target == "mediapipe":
            require_fit(description)
        litert = require("litert_torch", self.extra, "--format litert")
        example = torch.zeros(1, *graph.size, 3, dtype=getattr(torch, description.input))
        try:
            with redirect_stdout(StringIO()):  # a line for each of its steps
                converted = litert.convert(graph, (example,))
        except Exception as error:
            raise DeployError(f"--format litert: this network does not convert ({one_line(error)})") from error
        with whole(path) as unfinished:
            with redirect_stdout(StringIO()):
                converted.export(str(unfinished))
            content = at_precision(unfinished.read_bytes(), description, calibration, self.extra)
            unfinished.write_bytes(describe(content, description))
            if description.target == "mediapipe":
                append_labels(unfinished, description.spec["names"])
            seal(unfinished)
            print_outside(outside_of_tflite(self._start(unfinished, str(path))))

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
        interpreter = self._start(path, str(path), threads)
        (given,), outputs = interpreter.get_input_details(), interpreter.get_output_details()

        def run(image: Any) -> dict[str, Any]:
            interpreter.set_tensor(given["index"], image.astype(given["dtype"], copy=False))
            interpreter.invoke()
            return {output["name"]: interpreter.get_tensor(output["index"]) for output in outputs}

        return run

    def _start(self, path: Path, where: str, threads: int | None = None) -> Any:
        """LiteRT's interpreter of a file; errors name `where` it is."""
        runtime = require("ai_edge_litert.interpreter", self.extra, where)
        try:
            interpreter = runtime.Interpreter(str(path), num_threads=threads)
            interpreter.allocate_tensors()
        except Exception as error:
            raise DeployError(f"{where}: LiteRT cannot load it ({one_line(error)})") from None
        return interpreter


def describe(content: bytes, description: Description) -> bytes:
    """A .tflite file with names for its tensors, a description among its metadata, and what its target asks for."""
    flatbuffers = require("flatbuffers", LitertFormat.extra, "--format litert")
    schema: Any = require("ai_edge_litert.schema_py_generated", LitertFormat.extra, "--format litert")
    model = schema.ModelT.InitFromPackedBuf(content)
    settle(model, content)
    graph = model.subgraphs[0]
    if description.target == "mediapipe" and description.output_kind == "boxes":
        flexbuffers = require("flatbuffers.flexbuffers", LitertFormat.extra, "--target mediapipe")
        classes, thresholds = len(description.spec["names"]), description.thresholds
        append_postprocess(model, schema, flexbuffers, classes, description.outputs, thresholds)
    for tensor, name in zip([*graph.inputs, *graph.outputs], ["image", *description.outputs], strict=True):
        graph.tensors[tensor].name = name
    model.signatureDefs = None  # which have the converter's names
    entries = {ENTRY: description.to_json().encode()}
    if description.target == "mediapipe":
        entries[MEDIAPIPE_ENTRY] = model_metadata(description, flatbuffers)
    for name, value in entries.items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(value, dtype=np.uint8)
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [*(model.metadata or []), entry]
    builder = make_builder(flatbuffers, len(content) + 65536)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def make_builder(flatbuffers: Any, size: int) -> Any:
    """A builder of flatbuffers that writes equal arrays once.

    They begin at multiples of 16 bytes, which the schema asks for and its Python code forgets. What is written once is
    a quarter of a megabyte: AI Edge Quantizer has a zero of eight bytes for every channel of every layer.
    """
    made: dict[tuple[str, bytes], Any] = {}

    class Builder(flatbuffers.Builder):  # type: ignore[misc]
        def CreateNumpyVector(self, array: Any) -> Any:
            key = array.dtype.str, array.tobytes()
            if key not in made:
                self.Prep(ALIGNMENT, array.nbytes)
                made[key] = super().CreateNumpyVector(array)
            return made[key]

    return Builder(size)
