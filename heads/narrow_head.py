"""Weights of a wider head in a narrower one of the same kind, behind a backbone of which some channels are kept.

As in `backbones.narrow`, the importance of a channel is the norm of the filter that produces it, times the scale of its
batch norm; those of a convolution and the depthwise one behind it are multiplied.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from heads.classifier import Classifier
from heads.inputs import HeadError
from heads.lraspp import LRASPP
from heads.ssdlite import SSDLite

# its name, and the indices of what is kept of the channels in and out, int64 [any]; None for all, and for the channels
# in of a depthwise convolution
Layer = tuple[str, Tensor | None, Tensor | None]


@torch.no_grad()
def narrow_head(wide: Any, slim: Any, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with as many channels as a narrower head has.

    Args:
        wide: whose weights they are.
        slim: the narrower head, for its widths.
        kept: of the taps that both read, indices of the channels in the wider network, int64 [any].

    Returns:
        A state dict for `slim`. Counters of batch norms that were cut are 0, so that training counts their statistics
        anew.

    Raises:
        HeadError: for a head of another kind than the three below.
    """
    if type(wide) not in LAYERS:
        raise HeadError(f"{type(wide).__name__} cannot be made narrower")
    state = dict(wide.state_dict())
    for name, inputs, outputs in LAYERS[type(wide)](wide, slim, kept):
        for key in [key for key in state if key.startswith(f"{name}.")]:
            tensor = state[key]
            if outputs is not None and tensor.ndim:
                tensor = tensor[outputs]
            if inputs is not None and tensor.ndim > 1:
                tensor = tensor[:, inputs]
            counter = key.replace("running_var", "num_batches_tracked")
            if counter != key and tensor.shape != state[key].shape:
                state[counter] = torch.zeros_like(state[counter])
            state[key] = tensor
    return state


def _strongest(count: int, *layers: Any) -> Tensor:
    """The most important of the channels that a chain of layers puts out, in their old order, int64 [count]."""
    importance = torch.ones(())
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                importance = importance * module.weight.flatten(1).norm(dim=1)
            elif isinstance(module, nn.BatchNorm2d):
                importance = importance * module.weight.abs()
    return importance.argsort(descending=True, stable=True)[:count].sort().values


def _classifier(wide: Any, slim: Any, kept: Mapping[str, Tensor]) -> list[Layer]:
    if not len(wide.hidden):
        return [("classify", kept["c5"], None)]
    hidden = _strongest(slim.classify.in_features, wide.hidden)
    return [("hidden", kept["c5"], hidden), ("classify", hidden, None)]


def _lraspp(wide: Any, slim: Any, kept: Mapping[str, Tensor]) -> list[Layer]:
    low, high = (kept[tap] for tap in wide.taps)
    filters = _strongest(slim.classify_high.in_channels, wide.branch)
    gated: list[Layer] = [("branch", high, filters), ("gate", high, filters)]
    return [*gated, ("classify_high", filters, None), ("classify_low", low, None)]


def _ssdlite(wide: Any, slim: Any, kept: Mapping[str, Tensor]) -> list[Layer]:
    maps = [kept[tap] for tap in wide.taps]
    layers: list[Layer] = []
    for index, (before, after) in enumerate(zip(wide.extra, slim.extra, strict=True)):
        name = f"extra.{index}"
        half = _strongest(after[0][0].out_channels, before[0], before[1])
        depth = _strongest(after[2][0].out_channels, before[2])
        layers += [(f"{name}.0", maps[-1], half), (f"{name}.1", None, half), (f"{name}.2", half, depth)]
        maps.append(depth)
    for index, channels in enumerate(maps):
        for branch in (f"class_branches.{index}", f"box_branches.{index}"):
            layers += [(f"{branch}.0", None, channels), (f"{branch}.1", channels, None)]
    return layers


LAYERS: dict[type, Callable[[Any, Any, Mapping[str, Tensor]], list[Layer]]] = {
    Classifier: _classifier,
    LRASPP: _lraspp,
    SSDLite: _ssdlite,
}
