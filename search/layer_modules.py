"""Single layers as modules, with random weights, to be measured and exported on their own."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from backbones.mobilenet import ACTIVATIONS, SqueezeExcite
from heads.lraspp import gate_pool, resize
from search.layers import Layer


class Gate(nn.Module):
    """LR-ASPP's gate without its convolution: `gate(deep, gates, branch)`, see `heads.lraspp.LRASPP.forward`."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.pool = gate_pool(768 // (layer.kernel - 1))

    def forward(self, deep: Tensor, gates: Tensor, branch: Tensor) -> tuple[Tensor, Tensor]:
        return self.pool(deep), branch * resize(gates.sigmoid(), branch.shape[2:])


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def layer_module(layer: Layer) -> nn.Module:
    """What a layer does, batch norms folded in, as it runs in a network that predicts."""
    if layer.kind in ("conv", "depthwise", "linear"):
        return _with_activation(layer)
    if layer.kind == "squeeze_excite":
        return SqueezeExcite(layer.channels_in, layer.channels_out, layer.activation).eval()
    if layer.kind == "gate":
        return Gate(layer)
    functions: dict[str, Callable[..., Tensor]] = {
        "add": lambda one, other: one + other,
        "pool": lambda x: x.mean((2, 3)),
        "resize": lambda x: resize(x, (layer.height, layer.width)),
        "boxes": lambda *maps: torch.cat(maps, dim=1),
    }
    return Calls(functions[layer.kind])


def _with_activation(layer: Layer) -> nn.Module:
    channels = layer.channels_in, layer.channels_out
    if layer.kind == "linear":
        module: nn.Module = nn.Linear(*channels)
    else:
        padding = (layer.kernel - 1) // 2 * layer.dilation
        groups = layer.channels_in if layer.kind == "depthwise" else 1
        module = nn.Conv2d(*channels, layer.kernel, layer.stride, padding, layer.dilation, groups)
    if layer.activation != "none":
        module = nn.Sequential(module, ACTIVATIONS[layer.activation](inplace=True))
    return module.to(memory_format=torch.channels_last).eval()


def layer_inputs(layer: Layer) -> list[Tensor]:
    """Random inputs of a layer, float32 [1, C, H, W] in channels_last memory, or [1, C] of "linear"."""
    channels, size = layer.channels_in, (layer.height, layer.width)
    smaller = -(-layer.height // layer.stride), -(-layer.width // layer.stride)
    if layer.kind == "linear":
        return [torch.rand(1, channels)]
    shapes: dict[str, list[tuple[int, int, int]]] = {
        "add": [(channels, *size)] * 2,
        "gate": [(channels, *size), (layer.channels_out, 1, 1), (layer.channels_out, *size)],
        "resize": [(channels, *smaller)],
    }
    if layer.kind == "boxes":
        return [torch.rand(1, part, channels) for part in (layer.height - layer.height // 4, layer.height // 4)]
    given = [torch.rand(1, *shape) for shape in shapes.get(layer.kind, [(channels, *size)])]
    return [x.to(memory_format=torch.channels_last) for x in given]
