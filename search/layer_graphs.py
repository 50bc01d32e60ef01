"""Single layers as ONNX models, built node by node: torch's exporter takes a second for each of thousands."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from deploy.extras import require
from deploy.onnx_file import OPSET
from search.layer_modules import layer_inputs
from search.layers import Layer

ACTIVATIONS = {"relu": "Relu", "hard_swish": "HardSwish"}


def layer_graph(layer: Layer) -> bytes:
    """A layer as an ONNX model with random weights, as `deploy.onnx_file` has it in a whole network.

    Inputs are called x0, x1 and so on, float32, of the shapes of `layer_modules.layer_inputs`.

    Raises:
        DeployError: if the package onnx is missing.
    """
    onnx = require("onnx", "onnx", "--runtime onnxruntime")
    helper, nodes, weights = onnx.helper, [], []
    random = np.random.default_rng(0)

    def constant(name: str, values: Any, kind: type = np.float32) -> str:
        weights.append(onnx.numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def node(kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def convolve(x: str, shape: Sequence[int], name: str, **attributes: Any) -> str:
        weight = constant(f"{name}_weight", random.normal(size=shape))
        return node("Conv", [x, weight, constant(f"{name}_bias", np.zeros(shape[0]))], name, **attributes)

    def activate(x: str, kind: str, name: str) -> str:
        if kind == "none":
            return x
        if kind in ("relu6", "hard_sigmoid"):  # the rest of which is in the convolutions around it
            return node("Clip", [x, constant("low", 0), constant("high", 6)], name)
        return node(ACTIVATIONS.get(kind, "Sigmoid"), [x], name)

    def convolution() -> list[str]:
        groups = layer.channels_in if layer.kind == "depthwise" else 1
        shape = layer.channels_out, layer.channels_in // groups, layer.kernel, layer.kernel
        padding = (layer.kernel - 1) // 2 * layer.dilation
        strides, dilations = [layer.stride] * 2, [layer.dilation] * 2
        made = convolve("x0", shape, "conv", group=groups, strides=strides, dilations=dilations, pads=[padding] * 4)
        return [activate(made, layer.activation, "activation")]

    def linear() -> list[str]:
        weight = constant("weight", random.normal(size=(layer.channels_out, layer.channels_in)))
        made = node("Gemm", ["x0", weight, constant("bias", np.zeros(layer.channels_out))], "linear", transB=1)
        return [activate(made, layer.activation, "activation")]

    def squeeze_excite() -> list[str]:
        pooled = node("ReduceMean", ["x0", constant("axes", [2, 3], np.int64)], "pooled", keepdims=1)
        squeezed = node("Relu", [convolve(pooled, (layer.channels_out, layer.channels_in, 1, 1), "reduce")], "squeezed")
        gates = activate(
            convolve(squeezed, (layer.channels_in, layer.channels_out, 1, 1), "expand"), layer.activation, "gates"
        )
        return [node("Mul", ["x0", gates], "product")]

    def gate() -> list[str]:
        window = [min(layer.kernel, layer.height), min(layer.kernel, layer.width)]
        pooled = node("AveragePool", ["x0"], "pooled", kernel_shape=window, strides=[max(window)] * 2)
        return [pooled, node("Mul", ["x2", node("Sigmoid", ["x1"], "gates")], "product")]

    def resize() -> list[str]:
        sizes = constant("sizes", [1, layer.channels_in, layer.height, layer.width], np.int64)
        return [node("Resize", ["x0", "", "", sizes], "resized", mode="linear")]

    builders = {
        "conv": convolution,
        "depthwise": convolution,
        "linear": linear,
        "squeeze_excite": squeeze_excite,
        "add": lambda: [node("Add", ["x0", "x1"], "sum")],
        "pool": lambda: [node("ReduceMean", ["x0", constant("axes", [2, 3], np.int64)], "pooled", keepdims=0)],
        "gate": gate,
        "resize": resize,
        "boxes": lambda: [node("Concat", ["x0", "x1"], "boxes", axis=1)],
    }
    outputs = builders[layer.kind]()
    float32 = onnx.TensorProto.FLOAT
    given = [helper.make_tensor_value_info(f"x{i}", float32, x.shape) for i, x in enumerate(layer_inputs(layer))]
    made = [helper.make_tensor_value_info(name, float32, None) for name in outputs]
    graph = helper.make_graph(nodes, "layer", given, made, weights)
    opsets = [helper.make_opsetid("", OPSET)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
