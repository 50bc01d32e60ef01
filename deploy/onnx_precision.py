"""ONNX models in other precisions: static int8 as QuantizeLinear and DequantizeLinear around operators, and float16."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy.extras import require
from deploy.formats import Image

# what is computed in eight bits; hard-swish, squeeze-and-excitation's means and gates, and resizing stay in float
QUANTISED = ["Conv", "ConvTranspose", "Gemm", "Add", "Relu", "Clip"]
OUTSIDE = "outside/"  # begins the names of nodes around the network: normalisation and decoding
SCOPES = "pkg.torch.onnx.name_scopes"  # entry of a node's metadata


def name_outside(model: Any) -> None:
    """Have the names of nodes begin with `OUTSIDE` unless they are the network's own, and drop what else is told.

    The exporter tells of each node which module it is from, and which lines of whose files.
    """
    for number, node in enumerate(model.graph.node):
        scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
        prefix = "" if "'network'" in scopes else OUTSIDE
        node.name = f"{prefix}{node.op_type}_{number}"
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
        value.doc_string = ""
    del model.graph.metadata_props[:]


def outside(model: Any) -> list[str]:
    """The nodes around the network."""
    return [node.name for node in model.graph.node if node.name.startswith(OUTSIDE)]


def quantise(model: Any, images: Sequence[Image]) -> Any:
    """A model whose network computes in int8: symmetric weights with a scale for each output channel.

    What is around the network, and what joins or decodes boxes and scores, stays in float, so that no two of them have
    one scale.

    Args:
        model: an `onnx.ModelProto` in float, of `name_outside`.
        images: uint8 [1, H, W, 3], on which the ranges of activations are measured.
    """
    tools: Any = require("onnxruntime.quantization", "onnx", "--int8")
    onnx = require("onnx", "onnx", "--int8")
    given = model.graph.input[0]
    kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    begin = fold_normalisation(model, onnx.numpy_helper)
    ranges = {}
    if begin is not None:
        least, most = (np.float32(end - begin.zero) for end in (0, 255))
        ranges[begin.output] = [{"rmin": least, "rmax": most}]

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> Any:
            image = next(self.left, None)
            return None if image is None else {given.name: image.astype(kind)}

    before = logging.root.level
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "int8.onnx")
        try:
            logging.root.setLevel(logging.ERROR)  # it advises to simplify the model first, which the exporter did
            tools.quantize_static(
                model,
                result,
                Reader(),
                quant_format=tools.QuantFormat.QDQ,
                op_types_to_quantize=QUANTISED,
                nodes_to_exclude=outside(model),
                per_channel=True,
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
                calibrate_method=tools.CalibrationMethod.MinMax,
                extra_options={"WeightSymmetric": True, "TensorQuantOverrides": ranges},
            )
        finally:
            logging.root.setLevel(before)
        made = onnx.load(result)
    if begin is not None and kind == np.uint8:
        _take_bytes(made, begin)
        _drop_unread(made)
    _share(made)
    del made.graph.value_info[:]
    return made


@dataclass(frozen=True)
class Begin:
    """Where a network begins that takes an image's values less one number.

    Attributes:
        output: the tensor of these.
        zero: the number, 0 to 255.
    """

    output: str
    zero: int


def fold_normalisation(model: Any, arrays: Any) -> Begin | None:
    """Work scale and mean into the first convolution, so that the image's own bytes are what int8 computes with.

    Between image and convolution one number for all channels is left to subtract, the middle one of the mean's, which
    is a zero point and costs nothing; ONNX Runtime takes longer to normalise in float than is won by int8. At the
    image's border, where the convolution pads, that number stands in place of the mean.

    Args:
        model: an `onnx.ModelProto` of `Graph`, which is changed.
        arrays: the module `onnx.numpy_helper`.

    Returns:
        None if the network does not begin with a convolution.
    """
    constants = {constant.name: constant for constant in model.graph.initializer}
    nodes = model.graph.node
    scaled = next(node for node in nodes if node.op_type == "Mul")
    shifted = next(node for node in nodes if node.output[0] == scaled.input[0])
    readers = [node for node in nodes if scaled.output[0] in node.input]
    if [node.op_type for node in readers] != ["Conv"] or readers[0].input[1] not in constants:
        return None
    (conv,) = readers
    mean, scale = (arrays.to_array(constants[node.input[1]]) for node in (shifted, scaled))
    zero = int(np.clip(np.median(mean), 0, 255).round())
    weight = arrays.to_array(constants[conv.input[1]]) * scale
    bias = -(weight * (mean - zero)).sum((1, 2, 3))
    if len(conv.input) > 2:
        bias += arrays.to_array(constants[conv.input[2]])
    new = {"begin.weight": weight, "begin.bias": bias, "begin.zero": np.array(zero, dtype=np.float32)}
    model.graph.initializer.extend(arrays.from_array(value.astype(np.float32), name) for name, value in new.items())
    conv.input[:] = [shifted.output[0], "begin.weight", "begin.bias"]
    shifted.input[1] = "begin.zero"
    nodes.remove(scaled)
    _drop_unread(model)
    return Begin(shifted.output[0], zero)


def _take_bytes(model: Any, begin: Begin) -> None:
    """Have the first convolution take the image's bytes: cast, subtracted and quantised they are what they were."""
    nodes = model.graph.node
    shifted = next(node for node in nodes if begin.output in node.output)
    cast = next(node for node in nodes if shifted.input[0] in node.output)
    (quantised,) = (node for node in nodes if begin.output in node.input)
    for node in nodes:
        node.input[:] = [cast.input[0] if name == quantised.output[0] else name for name in node.input]
    for node in (cast, shifted, quantised):
        nodes.remove(node)


def _drop_unread(model: Any) -> None:
    read = {name for node in model.graph.node for name in node.input}
    for constant in [*model.graph.initializer]:
        if constant.name not in read:
            model.graph.initializer.remove(constant)


def _share(model: Any) -> None:
    """Keep one of all constants that are the same, which are zero points, mostly."""
    first: dict[Any, str] = {}
    renamed: dict[str, str] = {}
    for constant in [*model.graph.initializer]:
        content: Any = (constant.data_type, tuple(constant.dims), constant.raw_data, tuple(constant.int32_data))
        content += (tuple(constant.float_data), tuple(constant.int64_data))
        kept = first.setdefault(content, constant.name)
        if kept != constant.name:
            renamed[constant.name] = kept
            model.graph.initializer.remove(constant)
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def halve(model: Any) -> Any:
    """A model with weights and activations of the network in float16; what goes in and comes out stays as it is.

    Normalisation and decoding stay in float32: in float16 a box on an image 1024 pixels wide is off by half a pixel.

    Args:
        model: an `onnx.ModelProto` in float, of `name_outside`.
    """
    tools = require("onnxruntime.transformers.float16", "onnx", "--float16")
    halved = tools.convert_float_to_float16(model, keep_io_types=True, node_block_list=outside(model))
    sorting = require("onnxruntime.transformers.onnx_model", "onnx", "--float16")
    sorting.OnnxModel.graph_topological_sort(halved.graph)  # the new casts are last
    del halved.graph.value_info[:]  # of which some are wrong now
    return halved
