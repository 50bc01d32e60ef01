"""ONNX files, for ONNX Runtime and whatever else reads them; non-maximum suppression is inside."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.faults import one_line
from deploy.description import Description
from deploy.extras import DeployError, require
from deploy.formats import Format, Image, Run
from deploy.graph import Graph
from deploy.onnx_precision import OUTSIDE, halve, name_outside, quantise
from deploy.seal import require_sealed, seal
from tasks.writing import whole

ENTRY = "mobiledense"  # of metadata_props: our own description
TASKS = {"classification": "classify", "segmentation": "semantic", "detection": "detect"}  # as Ultralytics names them
TASKS["joint"] = "joint"  # which it does not have
OPSET = 20


def make_onnx(graph: Graph, description: Description, convert: Callable[[Any], Any] | None = None) -> Any:
    """The ONNX model of a graph, an `onnx.ModelProto`, with its metadata.

    Args:
        graph: what it is made of.
        description: goes into the metadata.
        convert: what makes another precision of the model, before suppression is put behind it.

    Raises:
        DeployError: if a package is missing, or something in the network cannot be converted.
    """
    onnx = require("onnx", "onnx", "--format onnx")
    require("onnxscript", "onnx", "--format onnx")
    example = torch.zeros(1, *graph.size, 3, dtype=getattr(torch, description.input))
    try:
        program: Any = torch.onnx.export(
            graph,
            (example,),
            input_names=["image"],
            output_names=list(graph.names),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise DeployError(f"--format onnx: this network does not convert ({one_line(error)})") from None
    model = program.model_proto
    name_outside(model)
    if convert is not None:
        model = convert(model)
    if description.thresholds:
        suppress(model, onnx, description)
    onnx.helper.set_model_props(model, metadata(description))
    onnx.checker.check_model(model, full_check=True)
    return model


def metadata(description: Description) -> dict[str, str]:
    """`metadata_props`: the keys that readers of Ultralytics' files know, what an app needs besides, and all of it."""
    spec = description.spec
    known = {
        "description": f"{spec['table']['name']} with {spec['head']}",
        "author": "MobileDense",
        "version": description.made_by.get("mobiledense", ""),
        "task": TASKS[description.task],
        "batch": 1,
        "imgsz": list(description.size),
        "names": dict(enumerate(spec["names"])),
        "license": description.license or "",
    }
    ours = {"mean": spec["mean"], "std": spec["std"], "colours": spec["colours"], "thresholds": description.thresholds}
    texts = {name: str(value) for name, value in known.items()} | {k: json.dumps(v) for k, v in ours.items()}
    return texts | {ENTRY: description.to_json()}


def suppress(model: Any, onnx: Any, description: Description) -> None:
    """Put non-maximum suppression behind boxes [1, A, 4] and scores [1, A, K], as `heads.decode_detections` does it.

    Outputs are boxes float32 [1, n, 4], scores float32 [1, n], falling, classes int64 [1, n] and count int64 [1].
    """
    helper, graph = onnx.helper, model.graph
    most, thresholds = int(description.thresholds["max_detections"]), description.thresholds
    boxes, scores = graph.output[-2:]
    anchors = scores.type.tensor_type.shape.dim[1].dim_value

    def constant(name: str, values: Any) -> str:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(values), name))
        return name

    def node(kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(kind, inputs, outputs, f"{OUTSIDE}{outputs[0]}", **attributes))
        return outputs[0]

    renamed = {boxes.name: "all_boxes", scores.name: "all_scores"}
    for made in graph.node:
        made.output[:] = [renamed.get(name, name) for name in made.output]
        made.input[:] = [renamed.get(name, name) for name in made.input]
    del graph.output[-2:]
    limit = constant("limit", [most])
    by_class = node("Transpose", ["all_scores"], "scores_by_class", perm=[0, 2, 1])
    node("TopK", [by_class, constant("per_class", [min(most, anchors)])], "class_best", "class_place", axis=2)
    least = node("ReduceMin", ["class_best", constant("axis_2", [2])], "class_least", keepdims=1)
    best = node("GreaterOrEqual", [by_class, least], "is_candidate")
    candidates = node("Where", [best, by_class, constant("zero", np.float32(0))], "candidates")
    thresholds_in = [
        constant(name, np.array([thresholds[key]], dtype=np.float32))
        for name, key in (("iou", "iou"), ("least_score", "score"))
    ]
    kept = node("NonMaxSuppression", ["all_boxes", candidates, limit, *thresholds_in], "kept")
    kept_scores = node("GatherND", [candidates, kept], "kept_scores")
    count = node("Min", [node("Shape", [kept_scores], "kept_count"), limit], "count")
    node("TopK", [kept_scores, count], "sorted_scores", "order", axis=0)
    kept = node("Gather", [kept, "order"], "sorted_kept", axis=0)
    for name, column in (("kept_class", 1), ("kept_anchor", 2)):
        node("Gather", [kept, constant(f"column_{column}", column)], name, axis=1)
    node("Gather", ["all_boxes", "kept_anchor"], "boxes", axis=1)
    zero = constant("axis_0", [0])
    node("Unsqueeze", ["sorted_scores", zero], "scores")
    node("Unsqueeze", ["kept_class", zero], "classes")
    float32, int64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    for name, kind, shape in (
        ("boxes", float32, [1, "n", 4]),
        ("scores", float32, [1, "n"]),
        ("classes", int64, [1, "n"]),
        ("count", int64, [1]),
    ):
        graph.output.append(helper.make_tensor_value_info(name, kind, shape))


class OnnxFormat(Format):
    """ONNX Runtime's."""

    name, suffix, extra, suppresses = "onnx", ".onnx", "onnx", True
    precisions = ("float32", "float16", "int8")

    def write(self, graph: Graph, description: Description, path: Path, calibration: Sequence[Image] = ()) -> None:
        converts = {"float32": None, "float16": halve, "int8": partial(quantise, images=calibration)}
        content = make_onnx(graph, description, converts[description.precision]).SerializeToString()
        with whole(path) as unfinished:
            unfinished.write_bytes(content)
            seal(unfinished)

    def read_description(self, path: Path) -> Description:
        onnx = require("onnx", self.extra, str(path))
        try:
            model = onnx.load(path, load_external_data=False)
        except Exception as error:  # protobuf's DecodeError, of one of two packages
            raise DeployError(f"{path}: no ONNX file, or a damaged one ({one_line(error)})") from None
        found = {entry.key: entry.value for entry in model.metadata_props}
        if ENTRY not in found:
            raise DeployError(f'{path}: its metadata_props lack "{ENTRY}", so that this package did not write it')
        require_sealed(path)
        return Description.from_json(found[ENTRY], str(path))

    def open(self, path: Path, description: Description, threads: int | None = None) -> Run:
        return self.start(path, str(path), threads)

    def start(self, model: Path | bytes, where: str, threads: int | None = None) -> Run:
        """Run a file, or its content; errors name `where` it comes from."""
        runtime = require("onnxruntime", self.extra, where)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors: it warns of constants that it does not fold, which changes nothing
        try:
            content = model if isinstance(model, bytes) else str(model)
            session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise DeployError(f"{where}: ONNX Runtime cannot load it ({one_line(error)})") from None
        (given,), names = session.get_inputs(), [output.name for output in session.get_outputs()]
        kind = np.uint8 if "uint8" in given.type else np.float32

        def run(image: Any) -> dict[str, Any]:
            return dict(zip(names, session.run(names, {given.name: image.astype(kind, copy=False)}), strict=True))

        return run
