"""What may be cut next: for each width the largest number of channels that saves enough (NetAdapt, Algorithm 1)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from backbones.counting import count_costs
from search.widths import DIVISOR, with_widths
from tasks.base import Spec
from tasks.wings import WINGS

Price = Callable[[Any], float]  # of the network that a `Spec` describes, such as milliseconds


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


def propose(seed: Spec, widths: Mapping[str, int], budget: float, price: Price) -> Iterator[Proposal]:
    """For each width the largest number of channels at which the network's price is at most the budget, if any.

    Prices that were measured may rise where channels fall, so that every number of channels is looked at.

    Args:
        seed: what the widths are of, see `search.widths.with_widths`.
        widths: as they are now.
        budget: in the price's unit.
        price: of a spec.
    """
    for name in widths:
        for channels, spec in narrower(seed, widths, name):
            cost = price(spec)
            if cost <= budget:
                yield Proposal(name, channels, cost)
                break


def narrower(seed: Spec, widths: Mapping[str, int], name: str) -> Iterator[tuple[int, Any]]:
    """All smaller numbers of channels that one width may have, falling, with the spec of each."""
    for channels in range((widths[name] - 1) // DIVISOR * DIVISOR, 0, -DIVISOR):
        spec = with_widths(seed, {**widths, name: channels})
        if spec is not None:
            yield channels, spec


def least_price(seed: Spec, widths: Mapping[str, int], price: Price) -> float:
    """What the network costs once one width after the other is the smallest that it may be."""
    widths, smallest = dict(widths), {}
    while smallest != widths:
        smallest = dict(widths)
        for name in widths:
            widths[name] = min((channels for channels, _ in narrower(seed, widths, name)), default=widths[name])
    return price(with_widths(seed, widths))


def multiply_adds(spec: Spec) -> float:
    """Millions of multiply-adds for an image of the spec's size: a price where there is no latency table."""
    kind = next(kind for kind, wing in WINGS.items() if wing.task.spec_type is type(spec))
    return _count(kind, _Spec(spec))


class _Spec:
    """A spec as a key."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.text = spec, repr(spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Spec) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@lru_cache(maxsize=4096)
def _count(kind: str, key: _Spec) -> float:
    with torch.device("meta"):
        network = WINGS[kind].network(key.spec)
    return count_costs(network, *key.spec.input_size).madds / 1e6
