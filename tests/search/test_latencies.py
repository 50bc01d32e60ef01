import json
from dataclasses import replace

import pytest

from search.configurations import narrower_layers
from search.latencies import LatencyTable
from search.layers import network_layers
from search.search_errors import SearchError
from tasks.costs import build_spec

SPEC = build_spec("v3-small", "lraspp", 3, size=(64, 64))


def table(step=8, **values):
    """Of layers that take a millisecond for each channel in and two for each out."""
    made = LatencyTable("lraspp", (64, 64), "torch", 1, "a machine", **values)
    made.milliseconds = {x: float(x.channels_in + 2 * x.channels_out) for x in narrower_layers(SPEC, step)}
    return made


def test_a_price_is_the_sum_of_its_layers_and_the_overhead():
    one = table(factor=0.5, per_layer=-0.25, overhead=3.0)
    layers = network_layers(SPEC)
    assert one.price(SPEC) == pytest.approx(3 + sum(0.5 * (x.channels_in + 2 * x.channels_out) - 0.25 for x in layers))


def test_one_that_is_being_measured_prices_nothing(tmp_path):
    one, path = table(complete=False), tmp_path / "table.json"
    one.write(path)
    with pytest.raises(SearchError, match="is not complete"):
        LatencyTable.read(path).price(SPEC)


def test_it_comes_back_from_its_file(tmp_path):
    one, path = table(factor=0.9, per_layer=-0.1, overhead=0.1), tmp_path / "tabellä.json"
    one.write(path)
    assert replace(LatencyTable.read(path), file=one.file) == one
    assert len(path.read_text().splitlines()) == len(one.milliseconds) + 1


def test_layers_between_measured_ones_are_interpolated_where_asked_for():
    exact, coarse = table(), table(step=32, interpolate=True)
    assert coarse.price(SPEC) == exact.price(SPEC)
    layer = next(x for x in exact.milliseconds if (x.kind, x.channels_in, x.channels_out) == ("conv", 32, 208))
    assert layer not in coarse.milliseconds
    assert coarse.latency(layer) == pytest.approx(exact.latency(layer))
    with pytest.raises(SearchError, match=r"has no conv, 32 to 208 channels at 4x4.*--interpolate true"):
        replace(coarse, interpolate=False).latency(layer)
    with pytest.raises(SearchError, match="has no conv, 32 to 20000 channels"):
        coarse.latency(replace(layer, channels_out=20000))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (build_spec("v3-small", "ssdlite", 3, size=(64, 64)), "is for networks with lraspp, and this one has ssdlite"),
        (build_spec("v3-small", "lraspp", 3, size=(64, 96)), "is for images of 64x64, and this network is for 64x96"),
        (build_spec("v3-small", "lraspp", 4, size=(64, 64)), "has no conv, 128 to 4 channels"),
        (build_spec("v3-large", "lraspp", 3, size=(64, 64)), "has no "),
    ],
)
def test_another_network_is_refused(spec, said):
    with pytest.raises(SearchError, match=said):
        table().price(spec)


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path):
    path = tmp_path / "table.json"
    with pytest.raises(SearchError, match="cannot be read"):
        LatencyTable.read(path)
    table().write(path)
    good = json.loads(path.read_text())
    layer = good["layers"][0]
    for content, said in [
        ("{", "is no JSON"),
        ("[1]", "is no latency table"),
        (json.dumps({name: good[name] for name in good if name != "size"}), "'size' is missing"),
        (json.dumps(good | {"format": 2}), "format 2"),
        (json.dumps(good | {"factor": float("nan")}), "factor cannot be nan"),
        (json.dumps(good | {"per_layer": float("-inf")}), "per_layer cannot be -inf"),
        (json.dumps(good | {"layers": [layer | {"ms": "nan"}]}), "cannot take nan ms"),
        (json.dumps(good | {"layers": [layer | {"ms": -1}]}), "cannot take -1 ms"),
        (json.dumps(good | {"layers": [layer | {"odd": 1}]}), "odd"),
        (json.dumps(good | {"layers": [layer | {"channels_in": "8"}]}), "channels_in of a layer cannot be '8'"),
        (json.dumps(good | {"layers": [layer | {"stride": True}]}), "stride of a layer cannot be True"),
        (json.dumps(good | {"complete": "false"}), "complete cannot be 'false'"),
    ]:
        path.write_text(content)
        with pytest.raises(SearchError, match=said) as error:
            LatencyTable.read(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
