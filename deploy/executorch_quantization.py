"""Static int8 for ExecuTorch: the network's convolutions, sums and products, and nothing of what is around it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from deploy.extras import require
from deploy.formats import Image
from deploy.graph import Graph

QUANTIZER = "executorch.backends.xnnpack.quantizer.xnnpack_quantizer"
PT2E = "torchao.quantization.pt2e.quantize_pt2e"
ATEN = torch.ops.aten
# a ReLU6 is either one, once it is exported
CLAMPS = [ATEN.relu6.default, ATEN.relu6_.default, ATEN.hardtanh.default, ATEN.hardtanh_.default]


def quantize(graph: Graph, example: Tensor, calibration: Sequence[Image], extra: str) -> nn.Module:
    """A graph whose network computes in int8, for `torch.export`.

    Weights have a scale for every output channel, symmetric about 0; what comes between layers has one for all of its
    channels, out of a histogram over the calibration images. Normalisation and decoding are outside the network, and
    stay float; so do concatenations, so that no two branches (and no boxes and scores) share a scale, and hard-swish,
    which XNNPACK does not have in int8.

    Args:
        graph: in float.
        example: of its input.
        calibration: images as the graph takes them, uint8 [1, H, W, 3].
        extra: of the install, which has the packages.
    """
    pt2e, xnnpack = require(PT2E, extra, "--int8"), require(QUANTIZER, extra, "--int8")
    program = torch.export.export(graph, (example,), strict=True).module()
    observed = pt2e.prepare_pt2e(program, _quantizer(xnnpack))
    with torch.inference_mode():
        for image in calibration:
            observed(torch.from_numpy(image).to(example.dtype))
    return pt2e.convert_pt2e(observed)


def _quantizer(xnnpack: Any) -> Any:
    """XNNPACK's quantizer for what is inside of `Graph.network`."""
    config = xnnpack.get_symmetric_quantization_config(is_per_channel=True)

    class NetworkQuantizer(xnnpack.XNNPACKQuantizer):  # type: ignore[misc, name-defined]
        def annotate(self, model: GraphModule) -> GraphModule:
            _annotate_clamped(model, config)
            return super().annotate(model)

    quantizer = NetworkQuantizer().set_global(config)
    return quantizer.set_filter_function(_is_inside)


def _is_inside(node: Node) -> bool:
    """Whether a node, which may be a parameter, belongs to the network, and is not to stay float."""
    if node.op == "get_attr":
        return True
    modules = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
    return any("network" in name.split(".") for name in modules) and node.target is not torch.ops.aten.cat.default


def _annotate_clamped(model: GraphModule, config: Any) -> None:
    """Have a convolution and the ReLU6 behind it be one operator; XNNPACK's quantizer itself knows ReLU alone."""
    annotation = require("torchao.quantization.pt2e.quantizer", "executorch", "--int8").QuantizationAnnotation
    for clamp in model.graph.nodes:
        convolution = clamp.args[0] if clamp.target in CLAMPS else None
        if not isinstance(convolution, Node) or convolution.target is not torch.ops.aten.conv2d.default:
            continue
        if len(convolution.users) > 1 or not _is_inside(convolution):
            continue
        given, weight = convolution.args[:2]
        scales = {given: config.input_activation, weight: config.weight}
        convolution.meta["quantization_annotation"] = annotation(input_qspec_map=scales, _annotated=True)
        clamp.meta["quantization_annotation"] = annotation(output_qspec=config.output_activation, _annotated=True)
