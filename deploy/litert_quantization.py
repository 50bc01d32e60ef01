"""Static int8 and float16 for LiteRT, by AI Edge Quantizer."""

from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import numpy as np

from datasets.faults import one_line
from deploy.description import Description
from deploy.extras import DeployError, require
from deploy.formats import Image

LAST_NAME = "^serving_default_output"
AROUND = rf"^deploy\.graph\.Graph;|{LAST_NAME}"  # names of what `Graph` itself computes, outside of the network
# XNNPACK has no hard-swish in int8, and every one would break off its part of the graph
FLOAT = ("HARD_SWISH", "INPUT", "OUTPUT", "CONCATENATION")
LAST = ("CONV_2D", "FULLY_CONNECTED")  # of a network whose last layer gives the output
WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_2D_TRANSPOSE")


def at_precision(content: bytes, description: Description, calibration: Sequence[Image], extra: str) -> bytes:
    """A .tflite file in float32, as it is converted, with its numbers kept as a description says.

    Raises:
        DeployError: if a package is missing, or an operator cannot be quantised.
    """
    try:
        if description.precision == "int8":
            return quantize(content, calibration, description.input, extra)
        return halve(content, extra) if description.precision == "float16" else content
    except (ValueError, RuntimeError) as error:
        raise DeployError(
            f"--format litert: AI Edge Quantizer cannot make {description.precision} of this ({one_line(error)})"
        ) from error


def quantize(content: bytes, calibration: Sequence[Image], input: str, extra: str) -> bytes:
    """A .tflite file whose network computes in int8.

    Weights have a scale for every output channel, what comes between layers one for all of its channels. Normalisation
    and decoding stay float; so do concatenations, so that no boxes and scores share a scale.

    Args:
        content: of the file in float, as it is converted.
        calibration: images as the graph takes them, uint8 [1, H, W, 3].
        input: type of the file's input.
        extra: of the install, which has the packages.
    """
    quantizer = require("ai_edge_quantizer.quantizer", extra, "--int8").Quantizer(content)
    quantizer.add_static_config(".*", "*", 8, 8)
    for operator in FLOAT:
        quantizer.update_quantization_recipe(".*", operator, algorithm_key="no_quantize")
    quantizer.update_quantization_recipe(AROUND, "*", algorithm_key="no_quantize")
    for operator in LAST:
        quantizer.add_static_config(LAST_NAME, operator, 8, 8)
    runtime = require("ai_edge_litert.interpreter", extra, "--int8")
    ((signature, names),) = runtime.Interpreter(model_content=content).get_signature_list().items()
    samples = [{names["inputs"][0]: np.ascontiguousarray(image, dtype=input)} for image in calibration]
    with redirect_stderr(StringIO()):  # progress bars, most of which no option turns off; errors are raised
        ranges = quantizer.calibrate({signature: samples}, num_threads=1)
        return bytes(quantizer.quantize(ranges, enable_progress_report=False).quantized_model)


def halve(content: bytes, extra: str) -> bytes:
    """A .tflite file with its weights in float16, which phone GPUs compute in, and CPUs turn into float32."""
    quantizer = require("ai_edge_quantizer.quantizer", extra, "--float16").Quantizer(content)
    recipes = require("ai_edge_quantizer.qtyping", extra, "--float16")
    weights = recipes.TensorQuantizationConfig(num_bits=16, dtype=recipes.TensorDataType.FLOAT)
    config = recipes.OpQuantizationConfig(
        weight_tensor_config=weights, compute_precision=recipes.ComputePrecision.FLOAT, explicit_dequantize=True
    )
    for operator in WEIGHTS:
        quantizer.update_quantization_recipe(".*", operator, config, "float_casting")
    with redirect_stderr(StringIO()):
        return bytes(quantizer.quantize(enable_progress_report=False).quantized_model)


def settle(model: Any, content: bytes) -> None:
    """Have a parsed .tflite file hold all that it needs, and no more.

    AI Edge Quantizer puts weights behind the model itself, where packing would lose them. The converter's names of
    tensors tell of all modules that they are in.

    Args:
        model: `ModelT` of the schema; it is changed.
        content: the file that it was parsed from.
    """
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors):
        tensor.name = tensor.name.rpartition(b"/")[2]
