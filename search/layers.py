"""What a network is made of, layer by layer, as a latency table prices it.

A layer is a convolution with its batch norm folded in and its activation, a whole squeeze-and-excitation, the addition
of a shortcut, or what a head does beside its convolutions. The sum of their latencies is a network's price.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from backbones import Table
from backbones.mobilenet import ACTIVATIONS, GATES, Bottleneck, ConvNormAct, SqueezeExcite
from heads.classifier import Classifier
from heads.lraspp import LRASPP
from heads.ssdlite import SSDLite
from search.search_errors import SearchError
from tasks.base import Spec
from tasks.wings import wing_of

HEADS = (Classifier, LRASPP, SSDLite)  # those whose layers are known
NAMES: dict[type[nn.Module], str] = {kind: name for name, kind in (ACTIVATIONS | GATES).items()}


@dataclass(frozen=True)
class Layer:
    """A layer and the size of what it is given.

    Attributes:
        kind: "conv" (not depthwise), "depthwise", "linear", "squeeze_excite", "add" (two maps), "pool" (global
            average), "gate" (LR-ASPP's pool, and the product of what comes of it with the branch), "resize" (LR-ASPP's
            branch to the size of the skip) or "boxes" (SSDLite's outputs of all maps in one tensor).
        channels_in: of what comes in; of "boxes" the values of one anchor.
        channels_out: of what comes out; of "squeeze_excite" the channels between its two convolutions; of "gate" the
            branch's.
        height: of what comes in; of "resize" of what comes out, of "boxes" the number of anchors.
        width: likewise; of "boxes" 1.
        kernel: side of the filter; of "gate" of the pool's window.
        stride: of the convolution; of "resize" how many times smaller what comes in is.
        dilation: of the convolution.
        activation: relu, relu6, hard_swish or none; of "squeeze_excite" its gate, sigmoid or hard_sigmoid.
        is_output: whether its channels out are the network's outputs, as many as classes and boxes ask for. Two layers
            are equal without it.
    """

    kind: str
    channels_in: int
    channels_out: int
    height: int = 1
    width: int = 1
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    activation: str = "none"
    is_output: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        text = f"{self.kind} {self.kernel}x{self.kernel}" if self.kernel > 1 else self.kind
        text += f", {self.channels_in} to {self.channels_out} channels at {self.height}x{self.width}"
        text += f", stride {self.stride}" if self.stride > 1 else ""
        text += f", rate {self.dilation}" if self.dilation > 1 else ""
        return text if self.activation == "none" else f"{text}, {self.activation}"


def network_layers(spec: Spec, size: tuple[int, int] | None = None) -> list[Layer]:
    """The layers of one forward pass of a network on one image, in their order.

    Args:
        spec: of a classifier, LR-ASPP or SSDLite on a table of rows.
        size: height and width of the image; by default those of the spec.

    Raises:
        SearchError: for a backbone of timm's, or another head.
    """
    require_rows(spec)
    with torch.device("meta"):
        network = wing_of(spec).network(spec).eval()
    if type(network.head) not in HEADS:
        raise SearchError(f"{spec.head}: its layers are not known; a search works on classifiers, lraspp and ssdlite")
    found: list[Layer] = []
    activations, outputs = _activations(network), network.head.last_layers
    inner = {conv for module in network.modules() if isinstance(module, SqueezeExcite) for conv in module.children()}

    def add(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if module not in inner:
            layers = _layers(module, inputs[0], output, activations)
            found.extend(replace(layer, is_output=module in outputs) for layer in layers)

    for module in network.modules():
        module.register_forward_hook(add)
    with torch.no_grad():
        network(torch.empty(1, 3, *(size or spec.input_size), device="meta"))
    return found


def require_rows(spec: Spec) -> Table:
    """The table of a spec.

    Raises:
        SearchError: for a backbone of timm's, which has no rows.
    """
    if not isinstance(spec.table, Table):
        raise SearchError(f"{spec.table.name}: is no table of rows, which is what a search changes")
    return spec.table


def _activations(network: nn.Module) -> dict[nn.Module, str]:
    """Convolutions and linear layers that an activation follows, and which."""
    found: dict[nn.Module, str] = {}
    for module in network.modules():
        if isinstance(module, ConvNormAct):
            found[module.conv] = NAMES.get(type(module.activation), "none")
        elif isinstance(module, nn.Sequential):
            children = list(module)
            for child in children[1:]:
                if type(child) in NAMES:
                    found[children[0]] = NAMES[type(child)]
    return found


def _layers(module: Any, given: Any, output: Any, activations: Mapping[nn.Module, str]) -> Iterator[Layer]:
    """Those that one module is, beside the modules inside it."""
    activation = activations.get(module, "none")
    if isinstance(module, nn.Conv2d):
        kind = "depthwise" if module.groups > 1 else "conv"
        height, width = given.shape[2:]
        shape = module.kernel_size[0], module.stride[0], module.dilation[0], activation
        yield Layer(kind, module.in_channels, module.out_channels, height, width, *shape)
    elif isinstance(module, nn.Linear):
        yield Layer("linear", module.in_features, module.out_features, activation=activation)
    elif isinstance(module, SqueezeExcite):
        squeezed, (height, width) = module.reduce.out_channels, given.shape[2:]
        yield Layer("squeeze_excite", given.shape[1], squeezed, height, width, activation=NAMES[type(module.gate)])
    elif isinstance(module, Bottleneck) and module.shortcut:
        yield _addition(given)
    elif isinstance(module, Classifier):
        deep = given["c5"]
        yield Layer("pool", deep.shape[1], deep.shape[1], *deep.shape[2:])
    elif isinstance(module, LRASPP):
        low, high = (given[tap] for tap in module.taps)
        filters, (height, width), (rows, columns) = module.gate.out_channels, high.shape[2:], low.shape[2:]
        yield Layer("gate", high.shape[1], filters, height, width, module.pool.window)
        yield Layer("resize", filters, filters, rows, columns, stride=round(rows / height))
        yield _addition(output)
    elif isinstance(module, SSDLite):
        values = output[0].shape[2] + output[1].shape[2]
        yield Layer("boxes", values, values, output[0].shape[1])


def _addition(given: Tensor) -> Layer:
    return Layer("add", given.shape[1], given.shape[1], *given.shape[2:])
