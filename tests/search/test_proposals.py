"""What is proposed, under prices that are easy to count."""

import pytest

from backbones.counting import count_costs
from search.layers import network_layers
from search.proposals import Prices, multiply_adds
from search.widths import find_widths, with_widths
from tests.search.test_widths import KINDS, make_task


def channels_in(layers):
    """A toy price."""
    return float(sum(layer.channels_in for layer in layers))


@pytest.mark.parametrize("kind", KINDS)
def test_prices_are_those_of_the_networks_themselves(kind):
    task = make_task(kind, "v3-small", width=0.5)
    widths = find_widths(task)
    prices = Prices(task.spec, widths, multiply_adds)
    assert prices.at(widths) == count_costs(task.network, 64, 64).madds / 1e6
    for number, share in enumerate((0.5, 0.75)):
        less = {name: max(8, int(n * share) // 8 * 8) if len(name) % 2 == number else n for name, n in widths.items()}
        spec = with_widths(task.spec, less)
        assert spec is not None and prices.at(less) == multiply_adds(network_layers(spec)) < prices.at(widths)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proposal_is_the_largest_within_the_budget(kind):
    task = make_task(kind, "v3-small", width=0.5)
    widths = find_widths(task)
    prices = Prices(task.spec, widths, channels_in)
    budget = 0.97 * prices.at(widths)
    found = {one.width: one for one in prices.propose(widths, budget)}
    assert found
    for name in widths:
        allowed = {n: prices.at({**widths, name: n}) for n in prices.narrower(widths, name)}
        assert all(n % 8 == 0 and 8 <= n < widths[name] for n in allowed)
        within = {n: cost for n, cost in allowed.items() if cost <= budget}
        if within:
            assert (found[name].channels, found[name].price) == (max(within), within[max(within)])
        else:
            assert name not in found


def test_prices_that_rise_where_channels_fall_are_looked_at_one_by_one():
    task = make_task("classification", "v3-small", width=0.5)
    widths = find_widths(task)

    def jagged(layers):
        """The hidden layer is cheap at 256 channels alone."""
        hidden = next(layer.channels_out for layer in layers if layer.kind == "linear")
        return 1.0 if hidden == 256 else 10.0

    (found,) = Prices(task.spec, widths, jagged).propose(widths, 5)
    assert (found.width, found.channels) == ("hidden", 256)


def test_the_least_price_is_that_of_widths_that_cannot_be_smaller():
    task = make_task("segmentation", "v3-large", width=0.5)
    widths = find_widths(task)
    prices = Prices(task.spec, widths, channels_in)
    sizes = []

    def note(layers):
        sizes.append({layer.channels_in for layer in layers})
        return channels_in(layers)

    prices.price = note
    assert 0 < prices.least(widths) < prices.at(widths) / 4
    assert sizes[0] <= {2, 3, 8, 16}  # classes, colours, and 16 where 8 would take a layer away
