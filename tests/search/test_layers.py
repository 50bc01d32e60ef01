import pytest
import torch

from backbones.counting import count_costs
from search.configurations import narrower_layers
from search.layer_modules import layer_inputs, layer_module
from search.layers import Layer, network_layers
from search.search_errors import SearchError
from tasks.costs import build_network, build_spec

NETWORKS = [
    ("v3-small", "classifier", (32, 32)),
    ("v3-large", "classifier", (224, 224)),
    ("v3-small", "lraspp", (97, 130)),
    ("v3-large", "lraspp", (64, 96)),
    ("v3-large", "ssdlite", (160, 200)),
    ("mnasnet-a1", "ssdlite-torchvision", (96, 96)),
    ("v2", "lraspp", (64, 64)),
]
KINDS = {layer.kind: layer for *net, size in NETWORKS for layer in network_layers(build_spec(*net, 3, size=size))}


def madds(layer: Layer) -> int:
    """Counted from the layer's own words, and not from the network."""
    pixels = -(-layer.height // layer.stride) * -(-layer.width // layer.stride)
    return {
        "conv": pixels * layer.kernel**2 * layer.channels_in * layer.channels_out,
        "depthwise": pixels * layer.kernel**2 * layer.channels_out,
        "linear": layer.channels_in * layer.channels_out,
        "squeeze_excite": 2 * layer.channels_in * layer.channels_out,
    }.get(layer.kind, 0)


@pytest.mark.parametrize(("backbone", "head", "size"), NETWORKS)
def test_the_layers_have_the_multiply_adds_of_the_network(backbone, head, size):
    layers = network_layers(build_spec(backbone, head, 3, size=size))
    assert sum(map(madds, layers)) == count_costs(build_network(backbone, head, 3, size=size), *size).madds


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_runs_alone(kind):
    layer = KINDS[kind]
    output = layer_module(layer)(*layer_inputs(layer))
    rows, columns = -(-layer.height // layer.stride), -(-layer.width // layer.stride)
    shapes = {
        "linear": (1, layer.channels_out),
        "pool": (1, layer.channels_in),
        "squeeze_excite": (1, layer.channels_in, rows, columns),
        "resize": (1, layer.channels_in, layer.height, layer.width),
        "boxes": (1, layer.height, layer.channels_in),
    }
    made = output[1] if kind == "gate" else output
    assert made.shape == shapes.get(kind, (1, layer.channels_out, rows, columns))
    assert kind != "gate" or output[0].shape[:2] == (1, layer.channels_in)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_as_onnx_has_the_same_shapes(kind):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from search.layer_graphs import layer_graph

    layer = KINDS[kind]
    session = runtime.InferenceSession(layer_graph(layer), providers=["CPUExecutionProvider"])
    given = layer_inputs(layer)
    outputs = session.run(None, {f"x{index}": x.contiguous().numpy() for index, x in enumerate(given)})
    with torch.inference_mode():
        expected = layer_module(layer)(*given)
    assert outputs[-1].shape == (expected[1] if kind == "gate" else expected).shape


@pytest.mark.parametrize("backbone", ["v2", "v3-large", "mnasnet-a1"])
def test_a_search_meets_the_layers_of_the_network_it_begins_with(backbone):
    spec = build_spec(backbone, "lraspp", 3, size=(64, 64))
    assert set(network_layers(spec)) <= set(narrower_layers(spec, step=512))


def test_a_search_meets_all_widths_but_those_of_images_and_outputs():
    spec = build_spec("v3-small", "lraspp", 3, size=(64, 64))
    found = set(narrower_layers(spec))
    assert set(network_layers(spec)) <= found
    convolutions = [layer for layer in found if layer.kind == "conv"]
    assert {layer.channels_out for layer in convolutions if layer.channels_in == 3} == {8, 16}
    assert {layer.channels_in for layer in convolutions if layer.channels_out == 3} == {*range(8, 129, 8)}
    few = narrower_layers(spec, step=32)
    assert len(few) < len(found) / 4 and set(network_layers(spec)) <= set(few)


@pytest.mark.parametrize(("backbone", "head"), [("timm:mobilenetv3_small_050", "lraspp"), ("v3-small", "fpn")])
def test_what_has_no_known_layers_is_refused(backbone, head):
    with pytest.raises(SearchError, match="table of rows" if backbone.startswith("timm") else "fpn"):
        network_layers(build_spec(backbone, head, 3, size=(64, 64)))
