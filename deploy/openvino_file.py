"""OpenVINO's .xml with its .bin, converted by way of ONNX, so that non-maximum suppression is inside."""

import io
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
from deploy.seal import require_sealed, seal
from tasks.writing import whole


class OpenvinoFormat(Format):
    """OpenVINO's, for processors of Intel's kind."""

    name, suffix, extra, suppresses = "openvino", ".xml", "openvino", True

    def write(self, graph: Graph, description: Description, path: Path, calibration: Sequence[Image] = ()) -> None:
        openvino = require("openvino", self.extra, "--format openvino")
        content = make_onnx(graph, description).SerializeToString()
        model = openvino.convert_model(io.BytesIO(content))
        model.set_rt_info(description.to_json(), [ENTRY])
        with whole(path) as unfinished, whole(path.with_suffix(".bin")) as weights:
            openvino.save_model(model, unfinished, compress_to_fp16=False)  # and the weights beside it
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
