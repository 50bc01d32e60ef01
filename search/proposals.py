"""What may be cut next: for each width the largest number of channels that saves enough (NetAdapt, Algorithm 1)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from search.layers import Layer, network_layers
from search.search_errors import SearchError
from search.widths import DIVISOR, squeezed, with_widths
from tasks.base import Spec

MARKS = range(3001, 4096, 2)  # numbers of channels that no network has
Price = Callable[[list[Layer]], float]  # of a network, such as milliseconds


@dataclass(frozen=True)
class Proposal:
    """A network with one width less.

    Attributes:
        width: the name of what is cut, see `search.widths.find_widths`.
        channels: that are left.
        price: of the whole network then.
    """

    width: str
    channels: int
    price: float


class Prices:
    """What a seed network costs at any numbers of channels.

    Its layers are found once, with a number of its own for each width, and not for each of some thousand candidates.

    Args:
        seed: what the widths are of, see `search.widths.with_widths`.
        widths: of the seed network.
        price: of a network's layers.

    Raises:
        SearchError: for a network that a search does not work on, see `search.layers.network_layers`, and one whose
            price is nothing.
    """

    def __init__(self, seed: Spec, widths: Mapping[str, int], price: Price) -> None:
        self.seed, self.price = seed, price
        self.names = dict(zip(MARKS, widths, strict=False))
        marked = with_widths(seed, {name: mark for mark, name in self.names.items()})
        self.layers = list(zip(network_layers(seed), network_layers(marked), strict=True))
        if not self.at(widths) > 0:
            raise SearchError(f"the network costs {self.at(widths)} by this latency table; measure one anew")

    def at(self, widths: Mapping[str, int]) -> float:
        """The price of the network with these widths."""
        return self.price(self.layers_at(widths))

    def layers_at(self, widths: Mapping[str, int]) -> list[Layer]:
        """What that network is made of."""
        return [self._layer(*pair, widths) for pair in self.layers]

    def _layer(self, plain: Layer, marked: Layer, widths: Mapping[str, int]) -> Layer:
        given, made = (
            widths[self.names[mark]] if mark != own and mark in self.names else own
            for own, mark in ((plain.channels_in, marked.channels_in), (plain.channels_out, marked.channels_out))
        )
        if plain.kind == "squeeze_excite":
            made = squeezed(plain.channels_out, plain.channels_in, given)
        return replace(plain, channels_in=given, channels_out=made)

    def narrower(self, widths: Mapping[str, int], name: str) -> Iterator[int]:
        """All smaller numbers of channels that one width may have, falling."""
        for channels in range((widths[name] - 1) // DIVISOR * DIVISOR, 0, -DIVISOR):
            if with_widths(self.seed, {**widths, name: channels}) is not None:
                yield channels

    def propose(self, widths: Mapping[str, int], budget: float) -> Iterator[Proposal]:
        """For each width the largest number of channels at which the network's price is at most the budget, if any.

        Prices that were measured may rise where channels fall, so that every number of channels is looked at.
        """
        for name in widths:
            for channels in self.narrower(widths, name):
                price = self.at({**widths, name: channels})
                if price <= budget:
                    yield Proposal(name, channels, price)
                    break

    def most_saved(self, widths: Mapping[str, int]) -> float:
        """The most that one width alone can save."""
        now = self.at(widths)
        cuts = ((name, channels) for name in widths for channels in self.narrower(widths, name))
        return max((now - self.at({**widths, name: channels}) for name, channels in cuts), default=0.0)

    def least(self, widths: Mapping[str, int]) -> float:
        """The price once one width after the other is the smallest that it may be."""
        smallest, before = dict(widths), dict[str, int]()
        while smallest != before:
            before = dict(smallest)
            for name in smallest:
                smallest[name] = min(self.narrower(smallest, name), default=smallest[name])
        return self.at(smallest)


def multiply_adds(layers: list[Layer]) -> float:
    """Millions of multiply-adds: a price where there is no latency table."""
    return sum(map(_multiply_adds, layers)) / 1e6


def _multiply_adds(layer: Layer) -> int:
    pixels = -(-layer.height // layer.stride) * -(-layer.width // layer.stride)
    each = {
        "conv": layer.channels_in * layer.channels_out * layer.kernel**2 * pixels,
        "depthwise": layer.channels_in * layer.kernel**2 * pixels,
        "linear": layer.channels_in * layer.channels_out,
        "squeeze_excite": 2 * layer.channels_in * layer.channels_out,
    }
    return each.get(layer.kind, 0)
