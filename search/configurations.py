"""Which layers a search can meet: those of every network that it can make, each counted once."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from search.layers import Layer, network_layers
from search.widths import squeezed
from tasks.base import Spec

STEP = 8  # channels
TIED = ("depthwise", "add", "pool", "resize")  # kinds with as many channels out as in
IMAGE = 3  # channels


def layers_of(specs: Iterable[Spec]) -> list[Layer]:
    """The layers of some networks."""
    return list(dict.fromkeys(layer for spec in specs for layer in network_layers(spec)))


def narrower_layers(spec: Spec, step: int = STEP) -> list[Layer]:
    """The layers of all networks of the same rows with as many channels or fewer, as NetAdapt makes them.

    Channels in and out vary on their own but where a layer ties them.

    Args:
        spec: of the widest network.
        step: between numbers of channels, a multiple of 8; those of the widest network are there in any case.
    """
    return list(dict.fromkeys(one for layer in network_layers(spec) for one in _narrower(layer, step)))


def _narrower(layer: Layer, step: int) -> Iterator[Layer]:
    for channels in [IMAGE] if layer.channels_in == IMAGE else _up_to(layer.channels_in, step):
        if layer.kind in TIED:
            yield replace(layer, channels_in=channels, channels_out=channels)
        elif layer.kind == "squeeze_excite":
            out = squeezed(layer.channels_out, layer.channels_in, channels)
            yield replace(layer, channels_in=channels, channels_out=out)
        elif layer.kind == "boxes" or layer.is_output:
            yield replace(layer, channels_in=channels if layer.is_output else layer.channels_in)
        else:
            for out in _up_to(layer.channels_out, step):
                yield replace(layer, channels_in=channels, channels_out=out)


def _up_to(most: int, step: int) -> list[int]:
    return [*range(STEP, most, step), most]
