"""Layers and whole networks run in every runtime that is installed; make test-deploy has all of them."""

import pytest

from search.layer_runtimes import RUNTIMES
from search.timing import time_in_turn
from tasks.costs import build_spec
from tests.search.test_layers import KINDS

NEEDS = {"torch": "torch", "onnxruntime": "onnxruntime", "litert": "litert_torch"}


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    pytest.importorskip(NEEDS[request.param])
    if request.param == "onnxruntime":
        pytest.importorskip("onnx")
    return RUNTIMES[request.param](threads=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_runs(runtime, kind):
    runtime.layer(KINDS[kind])()


@pytest.mark.parametrize("head", ["classifier", "lraspp", "ssdlite"])
def test_a_network_runs(runtime, head):
    runtime.network(build_spec("v3-small", head, 3, size=(32, 32)))()


def test_calls_are_taken_in_turn():
    seen = []
    times = time_in_turn([lambda: seen.append(0), lambda: [seen.append(1) for _ in range(100_000)]], rounds=3)
    assert seen.count(0) == 8 and seen.count(1) == 8 * 100_000
    assert times[0] < times[1]
