"""OpenVINO's .xml with its .bin, converted by way of ONNX, so that non-maximum suppression is inside."""

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.faults import one_line
from deploy.description import Description
from deploy.extras import DeployError, require
from deploy.formats import Format, Image, Run
from deploy.graph import Graph
from deploy.onnx_file import ENTRY, make_onnx
from deploy.onnx_precision import OUTSIDE
from deploy.seal import require_sealed, seal
from tasks.writing import whole


class OpenvinoFormat(Format):
    """OpenVINO's, for processors of Intel's kind."""

    name, suffix, beside, extra, suppresses = "openvino", ".xml", ".bin", "openvino", True
    precisions = ("float32", "float16", "int8")

    def write(self, graph: Graph, description: Description, path: Path, calibration: Sequence[Image] = ()) -> None:
        openvino = require("openvino", self.extra, "--format openvino")
        content = make_onnx(graph, description).SerializeToString()
        model = openvino.convert_model(io.BytesIO(content))
        if description.precision == "int8":
            model = quantise(model, calibration, description.input)
        model.set_rt_info(description.to_json(), [ENTRY])
        with whole(path) as unfinished, whole(path.with_suffix(".bin")) as weights:
            try:  # and the weights beside it
                openvino.save_model(model, unfinished, compress_to_fp16=description.precision == "float16")
            except RuntimeError as error:  # of a full disk, say
                raise OSError(one_line(error)) from None
            seal(unfinished, weights)

    def read_description(self, path: Path) -> Description:
        openvino = require("openvino", self.extra, str(path))
        if not path.with_suffix(".bin").is_file():
            raise DeployError(f"{path}: {path.with_suffix('.bin').name} must lie beside it, and does not")
        require_sealed(path, path.with_suffix(".bin"))
        try:
            model = openvino.Core().read_model(path)
            text = model.get_rt_info([ENTRY]).astype(str)
        except Exception as error:
            raise DeployError(f"{path}: OpenVINO cannot read it ({one_line(error)})") from None
        return Description.from_json(text, str(path))

    def open(self, path: Path, description: Description, threads: int | None = None) -> Run:
        return self.start(path, str(path), threads)

    def start(self, model: Path | bytes, where: str, threads: int | None = None, precision: str = "f32") -> Run:
        """Run a file, or the content of an ONNX file; errors name `where` it comes from.

        Float operations are computed in `precision`: OpenVINO's own choice would be "bf16" where the processor has it.
        """
        openvino = require("openvino", self.extra, where)
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            read = core.read_model(io.BytesIO(model) if isinstance(model, bytes) else model)
            compiled = core.compile_model(read, "CPU", options)
        except Exception as error:
            raise DeployError(f"{where}: OpenVINO cannot load it ({one_line(error)})") from None
        kind = np.uint8 if "u8" in str(compiled.inputs[0].element_type) else np.float32
        names = [output.any_name for output in compiled.outputs]

        def run(image: Any) -> dict[str, Any]:
            found = compiled(image.astype(kind, copy=False))
            return dict(zip(names, found.values(), strict=True))

        return run


def quantise(model: Any, images: Sequence[Image], kind: str) -> Any:
    """A model whose network computes in int8: symmetric weights with a scale for each output channel.

    What is around the network, and what decodes boxes and scores, stays in float.

    Args:
        model: of OpenVINO, with the names of `deploy.onnx_precision.name_outside`.
        images: uint8 [1, H, W, 3], on which the ranges of activations are measured.
        kind: of the model's input, "uint8" or "float32".
    """
    nncf = require("nncf", OpenvinoFormat.extra, "--int8 with --format openvino")
    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(
        model,
        nncf.Dataset([image.astype(kind) for image in images]),
        preset=nncf.QuantizationPreset.MIXED,  # weights symmetric, activations with a zero point
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(patterns=[f"{OUTSIDE}.*"], validate=False),
    )
