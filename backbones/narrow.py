"""Weights of a wider network in a narrower one of the same rows: which channels to keep, the same ones everywhere.

A halved last stage (RF2), SSDLite's reduced tail and any smaller width multiplier lack channels that published weights
have. Kept are the most important ones. Of a layer's outputs, importance is the norm of the filter that produces a
channel, times the scale of its batch norm. Blocks with a shortcut add into the same channels, so that their importances
are added; an expansion and its depthwise convolution are a chain, so that theirs are multiplied.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from backbones.tables import Table

NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass
class Channels:
    """Those of one feature map: their importance, float32 [C], in the wider network."""

    importance: Tensor

    def chosen(self, count: int) -> Tensor:
        """The indices of the `count` most important ones, int64 [count], in their old order; all if there are fewer."""
        return self.importance.argsort(descending=True, stable=True)[:count].sort().values

    def keep(self, tensor: Tensor, axis: int, count: int) -> Tensor:
        """The `count` most important ones along an axis, in their old order; unchanged if the axis is none of them."""
        if tensor.shape[axis] != len(self.importance) or count >= len(self.importance):
            return tensor
        return tensor.index_select(axis, self.chosen(count))


def narrow(state: Mapping[str, Tensor], table: Table, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with as many channels as a narrower network has.

    Args:
        state: of the wider network, under our keys; some may be missing.
        table: of the narrower network, which has the same rows in other widths.
        own: that network's state dict, for its shapes.

    Returns:
        Those tensors of `state` that differ in shape from `own`, cut to its shapes. Tensors that cannot be cut, such as
        those of another kernel or of fewer channels, are left out. Counters of batch norms that were cut are 0, so that
        training counts their statistics anew.
    """
    cut: dict[str, Tensor] = {}

    def layer(name: str, channels_in: Channels | None, channels_out: Channels | None, norm: bool = True) -> None:
        """Cut a convolution and what stands behind it; a depthwise one has no channels in."""
        convolution = ("conv.weight", "conv.bias") if norm else ("weight", "bias")
        for part in (*convolution, *(f"norm.{part}" for part in NORM if norm)):
            key = f"{name}.{part}"
            tensor, ours = state.get(key), own.get(key)
            if tensor is None or ours is None or tensor.ndim != ours.ndim:
                continue
            if channels_out is not None:
                tensor = channels_out.keep(tensor, 0, ours.shape[0])
            if channels_in is not None and tensor.ndim > 1:
                tensor = channels_in.keep(tensor, 1, ours.shape[1])
            if tensor is not state[key] and tensor.shape == ours.shape:
                cut[key] = tensor
        if f"{name}.norm.running_var" in cut:
            counter = f"{name}.norm.num_batches_tracked"
            cut[counter] = torch.zeros_like(own[counter])

    found = _channels(state, table)
    layer("stem", None, found["stem"])
    before = found["stem"]
    for index in range(len(table.rows)):
        block, inner, after = f"blocks.{index}", found[f"block{index + 1}.expansion"], found[f"block{index + 1}"]
        layer(f"{block}.expand", before, inner)
        layer(f"{block}.depthwise", None, inner)
        squeezed = _squeezed(state, f"{block}.squeeze_excite")
        layer(f"{block}.squeeze_excite.reduce", inner, squeezed, norm=False)
        layer(f"{block}.squeeze_excite.expand", squeezed, inner, norm=False)
        layer(f"{block}.project", inner, after)
        before = after
    layer("last", before, found["last"])
    return cut


def kept_channels(state: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """Which channels of a wider network's feature maps `narrow` keeps.

    Args:
        state: all weights of the wider network, under our keys.
        table: of the narrower network.

    Returns:
        For the taps `stem`, `blockN`, `blockN.expansion`, `blockN.depthwise` and `last`, if there is one, indices in
        the wider network's map, int64 [channels of the narrower network's].
    """
    counts = {"stem": table.stem, "last": table.last}
    for number, row in enumerate(table.rows, start=1):
        tap = f"block{number}"
        counts |= {tap: row.out, f"{tap}.expansion": row.expanded, f"{tap}.depthwise": row.expanded}
    return {tap: found.chosen(counts[tap]) for tap, found in _channels(state, table).items() if found is not None}


def _channels(state: Mapping[str, Tensor], table: Table) -> dict[str, Channels | None]:
    """The channels of every feature map, under its tap's name; None where the state lacks what produces them."""
    streams, last = _streams(state, table), _importance(state, "last")
    found = {"stem": streams[0], "last": None if last is None else Channels(last)}
    width = table.stem
    for index, row in enumerate(table.rows):
        expanded, hidden = (_importance(state, f"blocks.{index}.{part}") for part in ("expand", "depthwise"))
        if expanded is None:
            inner = streams[index]  # there is no expansion: the block's input stands in its place
        else:
            inner = None if hidden is None or row.expanded == width else Channels(expanded * hidden)
        tap, width = f"block{index + 1}", row.out
        found |= {f"{tap}.expansion": inner, f"{tap}.depthwise": inner, tap: streams[index + 1]}
    return found


def _streams(state: Mapping[str, Tensor], table: Table) -> list[Channels | None]:
    """The channels that come out of the stem and of every block; one and the same object along shortcuts."""
    stem = _importance(state, "stem")
    streams = [None if stem is None else Channels(stem)]
    for index, row in enumerate(table.rows):
        made, before = _importance(state, f"blocks.{index}.project"), streams[-1]
        if made is None:
            streams.append(None)
        elif row.linear and row.stride == 1 and before is not None and len(before.importance) == len(made):
            before.importance = before.importance + made
            streams.append(before)
        else:
            streams.append(Channels(made))
    return streams


def _importance(state: Mapping[str, Tensor], layer: str) -> Tensor | None:
    """Of what a convolution with a batch norm puts out, float32 [C]."""
    weight, scale = state.get(f"{layer}.conv.weight"), state.get(f"{layer}.norm.weight")
    if weight is None or scale is None or weight.shape[:1] != scale.shape:
        return None
    return weight.float().flatten(1).norm(dim=1) * scale.float().abs()


def _squeezed(state: Mapping[str, Tensor], module: str) -> Channels | None:
    """The channels between the two convolutions of squeeze-and-excitation, which has no batch norm."""
    reduce, expand = state.get(f"{module}.reduce.weight"), state.get(f"{module}.expand.weight")
    if reduce is None or expand is None:
        return None
    return Channels(reduce.float().flatten(1).norm(dim=1) * expand.float().flatten(2).norm(dim=(0, 2)))
