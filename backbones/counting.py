"""Parameters and multiply-adds, counted as the papers count them."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backbones.mobilenet import Bottleneck, SqueezeExcite


@dataclass(frozen=True)
class Costs:
    """What a network costs.

    Attributes:
        params: with batch norm's scale and offset (V3 paper, Tables 3 and 7).
        params_without_norm: weights and biases of convolutions and linear layers (V1, V2, V3 Table 6).
        madds: multiply-adds of convolutions and linear layers for one image.
    """

    params: int
    params_without_norm: int
    madds: int


@dataclass(frozen=True)
class LayerCosts(Costs):
    """What a convolution or linear layer costs, together with the batch norm behind it.

    Attributes:
        name: of the module.
        kind: such as "3x3 depthwise, stride 2".
        output: its shape for one image, without the batch.
    """

    name: str
    kind: str
    output: tuple[int, ...]


@torch.no_grad()
def count_layers(network: nn.Module, height: int, width: int) -> list[LayerCosts]:
    """The costs of every convolution and linear layer in one forward pass of float32 [1, 3, height, width].

    Nothing is computed, shapes alone are followed. A layer that runs more than once has its parameters counted once.

    Args:
        network: any module that takes one batch of images; it is left as it was.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    network = copy.deepcopy(network).to("meta").eval()
    names = {module: name for name, module in network.named_modules()}
    layers: list[dict[str, Any]] = []
    seen: set[nn.Module] = set()

    def add(module: Any, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        params = 0 if module in seen else sum(p.numel() for p in module.parameters(recurse=False))
        seen.add(module)
        if isinstance(module, nn.BatchNorm2d):
            if layers:
                layers[-1]["params"] += params
            return
        taps = module.weight[0].numel() if isinstance(module, nn.Conv2d) else module.in_features
        layers.append(
            {
                "params": params,
                "params_without_norm": params,
                "madds": output[0].numel() * taps,
                "name": names[module],
                "kind": _kind(module),
                "output": tuple(output.shape[1:]),
            }
        )

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.register_forward_hook(add)
    network(torch.empty(1, 3, height, width, device="meta"))
    return [LayerCosts(**layer) for layer in layers]


def count_costs(network: nn.Module, height: int, width: int) -> Costs:
    """Count one forward pass of float32 [1, 3, height, width]; see `count_layers`.

    Parameters that the pass does not use are counted too.
    """
    madds = sum(layer.madds for layer in count_layers(network, height, width))
    norm = sum(p.numel() for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    params = sum(p.numel() for p in network.parameters())
    return Costs(params, params - norm, madds)


@torch.no_grad()
def count_profiled(network: nn.Module, height: int, width: int) -> int:
    """What TensorFlow's profiler charges beside multiply-adds, as in the V3 paper's Tables 7 and 8: within 0.4 % there.

    It halves operations, of which it registers three an element for h-swish, and one for the pool and the product of
    squeeze-and-excitation, for residual additions and for the biases of convolutions. A dilated convolution works on
    sides that are multiples of its rate.

    Args:
        network: any module of ours that takes one batch of images; it is left as it was.
        height: of the image, in pixels.
        width: likewise.
    """
    network = copy.deepcopy(network).to("meta").eval()
    operations = 0

    def add(module: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal operations
        if isinstance(module, nn.Hardswish):
            operations += 3 * output.numel()
        elif isinstance(module, SqueezeExcite):
            operations += inputs[0].numel() + output.numel()
        elif isinstance(module, Bottleneck):
            operations += output[2].numel() if module.shortcut else 0
        elif isinstance(module, nn.Conv2d):
            operations += output.numel() if module.bias is not None else 0
            (rows, columns), rate = output.shape[2:], module.dilation[0]
            padded = math.ceil(rows / rate) * rate * math.ceil(columns / rate) * rate
            operations += 2 * output.shape[1] * module.weight[0].numel() * (padded - rows * columns)

    for module in network.modules():
        module.register_forward_hook(add)
    network(torch.empty(1, 3, height, width, device="meta"))
    return operations // 2


def _kind(layer: nn.Module) -> str:
    if not isinstance(layer, nn.Conv2d):
        return "linear"
    text = "x".join(map(str, layer.kernel_size))
    if layer.groups == layer.in_channels > 1:
        text += " depthwise"
    elif layer.groups > 1:
        text += f" in {layer.groups} groups"
    if layer.stride != (1, 1):
        text += f", stride {layer.stride[0]}"
    if layer.dilation != (1, 1):
        text += f", rate {layer.dilation[0]}"
    return text
