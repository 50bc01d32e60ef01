import numpy as np
import pytest

from backbones import BackboneOptions
from search import filling
from search.configurations import narrower_layers
from search.filling import calibrate, check, fill
from search.latencies import LatencyTable
from search.layers import network_layers
from search.members import draw_narrower, draw_variations
from search.search_errors import SearchError
from tasks.costs import build_spec
from tasks.segmentation.task import SegmentationTask

SPEC = build_spec("v3-small", "lraspp", 3, size=(64, 64))
LAYERS = narrower_layers(SPEC, 32)


class Counted:
    """A runtime whose layers do nothing, and which stops after some of them."""

    def __init__(self, most=10**9):
        self.made, self.most = [], most

    def layer(self, layer):
        self.made.append(layer)
        if len(self.made) > self.most:
            raise KeyboardInterrupt
        return lambda: None


def empty():
    return LatencyTable("lraspp", (64, 64), "torch", 1, "a machine")


def test_a_table_that_was_stopped_gets_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(filling, "TOGETHER", 20)
    path, stopped = tmp_path / "table.json", Counted(most=50)
    with pytest.raises(KeyboardInterrupt):
        fill(empty(), LAYERS, stopped, 1, path)
    there = LatencyTable.read(path)
    assert len(there.milliseconds) == 40
    rest = Counted()
    fill(there, LAYERS, rest, 1, path)
    assert set(rest.made) | set(stopped.made[:40]) == set(LAYERS) and len(rest.made) == len(LAYERS) - 40
    assert set(LatencyTable.read(path).milliseconds) == set(LAYERS)


@pytest.fixture
def members():
    return draw_narrower(SegmentationTask(SPEC), 6, seed=3)


def test_members_are_all_different_and_none_is_the_widest(members):
    assert len({str(one.table.rows) + str(one.head_options) for one in [SPEC, *members]}) == 7
    assert members == draw_narrower(SegmentationTask(SPEC), 6, seed=3)


def test_factor_and_time_per_layer_are_found_and_networks_told_from_them(members, tmp_path):
    table = empty()
    table.milliseconds = {layer: 0.001 * layer.channels_out for layer in narrower_layers(SPEC)}
    sums = np.array([sum(table.milliseconds[layer] for layer in network_layers(spec)) for spec in members])
    measured = np.stack([0.8 * sums + 0.3, 0.88 * sums + 0.33])
    calibrate(table, members, measured[0])
    assert (table.factor, 56 * table.per_layer) == pytest.approx((0.8, 0.3))  # all have 56 layers
    found = check(table, members, measured, tmp_path / "table.json")
    assert (found.error, found.repeated, found.spearman) == pytest.approx((0, 0.1, 1), abs=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {"table.check.json", "table.png"}


def test_what_the_runtime_takes_to_call_a_layer_alone_is_found():
    networks = [network_layers(spec) for spec in draw_variations(SPEC, 12, seed=5)]
    table = empty()
    table.milliseconds = {layer: 0.001 * layer.channels_out + 0.01 for one in networks for layer in one}
    measured = np.array([sum(0.8 * (table.milliseconds[layer] - 0.01) for layer in one) for one in networks])
    calibrate(table, draw_variations(SPEC, 12, seed=5), measured)
    assert (table.factor, table.per_layer) == pytest.approx((0.8, -0.008))


def test_members_of_a_search_are_all_different():
    drawn = draw_variations(SPEC, 30, seed=5)
    assert len({str(one.table.rows) for one in drawn}) == 30 and drawn == draw_variations(SPEC, 30, seed=5)


def test_a_network_with_too_few_narrower_ones_is_told():
    spec = build_spec("v1", "lraspp", 2, {"filters": 8}, BackboneOptions(width=0.05), (64, 64))
    with pytest.raises(SearchError, match=r"only \d+ different networks of 100 could be drawn to measure"):
        draw_narrower(SegmentationTask(spec), 100, seed=1)
