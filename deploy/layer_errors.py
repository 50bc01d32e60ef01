"""How much of each layer's output eight bits lose, simulated in PyTorch, the worst layer first."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deploy.formats import Image
from deploy.graph import Graph

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
IMAGES = 16  # looked at
SHOWN = 8  # layers that are printed


@dataclass(frozen=True)
class LayerError:
    """Of one layer.

    Attributes:
        name: of its module in the network.
        sqnr: signal-to-quantisation-noise ratio of its output in dB: 20 is a tenth of the signal's size, 40 a
            hundredth.
        lowest: of its output in float.
        highest: likewise.
    """

    name: str
    sqnr: float
    lowest: float
    highest: float


@dataclass
class _Range:
    low: float = 0.0  # zero always has a value of its own
    high: float = 0.0

    def see(self, x: Tensor) -> None:
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    def quantise(self, x: Tensor) -> Tensor:
        """To 256 steps over the range, and back."""
        scale = max((self.high - self.low) / 255, 1e-12)
        return torch.fake_quantize_per_tensor_affine(x, scale, round(-self.low / scale), 0, 255)


def layer_errors(graph: Graph, images: Sequence[Image]) -> list[LayerError]:
    """What quantisation does to each layer by itself, all before it in float.

    It is what runtimes do, in the large: 8-bit weights, symmetric, a scale for each output channel; inputs and outputs
    in 256 steps between the least and the greatest value on the images. A runtime's own ranges, roundings and float
    parts may differ, so that this is no measurement of the file; which layers lose most is seldom different.

    Args:
        graph: in float.
        images: uint8 [1, H, W, 3]; at most 16 of them are looked at.

    Returns:
        Of each convolution and linear layer, the worst first.
    """
    images = images[:: max(1, len(images) // IMAGES)][:IMAGES]
    layers = {name: layer for name, layer in graph.network.named_modules() if isinstance(layer, LAYERS)}
    ranges = {name: (_Range(), _Range()) for name in layers}
    powers = {name: [0.0, 0.0] for name in layers}  # of signal and noise

    def measure(name: str, x: Tensor, y: Tensor) -> None:
        for seen, values in zip(ranges[name], (x, y), strict=True):
            seen.see(values)

    def compare(name: str, x: Tensor, y: Tensor) -> None:
        noise = y - _quantised(layers[name], x, *ranges[name])
        powers[name][0] += float(y.double().square().sum())
        powers[name][1] += float(noise.double().square().sum())

    for look in (measure, compare):
        _run(graph, layers, images, look)
    found = [
        LayerError(name, _decibels(*powers[name]), ranges[name][1].low, ranges[name][1].high)
        for name in layers
        if powers[name][0] > 0
    ]
    return sorted(found, key=lambda one: one.sqnr)


def _run(
    graph: Graph, layers: dict[str, Any], images: Sequence[Image], look: Callable[[str, Tensor, Tensor], None]
) -> None:
    """Have `look` see the name, the input and the output of each layer for each image."""
    hooks = [
        # an activation behind the layer may write over its output, and does so later
        layer.register_forward_hook(lambda _, given, y, name=name: look(name, given[0], y))
        for name, layer in layers.items()
    ]
    try:
        with torch.inference_mode():
            for image in images:
                graph(torch.from_numpy(image))
    finally:
        for hook in hooks:
            hook.remove()


def _quantised(layer: Any, x: Tensor, given: _Range, made: _Range) -> Tensor:
    """A layer's output with input, weights and output quantised."""
    weight = layer.weight
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    others = [dimension for dimension in range(weight.dim()) if dimension != axis]
    scale = (weight.abs().amax(others) / 127).clamp(min=1e-12)
    zero = torch.zeros(len(scale), dtype=torch.int32)
    rounded = torch.fake_quantize_per_channel_affine(weight, scale, zero, axis, -127, 127)
    layer.weight = nn.Parameter(rounded, requires_grad=False)
    try:
        return made.quantise(layer.forward(given.quantise(x)))  # not called, as that would come back here
    finally:
        layer.weight = weight


def _decibels(signal: float, noise: float) -> float:
    return 10 * math.log10(signal / noise) if noise else math.inf


def report(errors: Sequence[LayerError], most: int | None = None) -> str:
    """As text, a layer a line, the worst first.

    Args:
        errors: as `layer_errors` has them.
        most: layers; None for all.
    """
    shown = errors[:most]
    width = max((len(error.name) for error in shown), default=0)
    lines = [
        "Signal-to-quantisation-noise ratio of each layer by itself, simulated in PyTorch, the worst first:",
        f"{'layer':{width}}     dB  output in float",
        *(f"{e.name:{width}} {e.sqnr:6.1f}  {e.lowest:.4g} to {e.highest:.4g}" for e in shown),
    ]
    rest = len(errors) - len(shown)
    return "\n".join([*lines, f"and {rest} better ones"] if rest else lines)
