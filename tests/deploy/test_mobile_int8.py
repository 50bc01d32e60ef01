"""int8 and float16 for phones: files of tiny networks agree with the checkpoint, and are as small as they should be."""

import numpy as np
import pytest
import torch

from datasets import read_image, resize_image
from deploy import DeployError, load
from deploy.description import Description
from deploy.graph import Graph
from deploy.qat import RoundedConv2d, round_network, rounded
from deploy.runtimes import FORMATS
from tasks.wings import load_task

NEEDED = {"executorch": ("executorch", "torchao"), "litert": ("litert_torch", "ai_edge_quantizer")}


@pytest.fixture(scope="module")
def checkpoints(checkpoint, detector, classifier):
    """Trained for a few steps."""
    return {"segmentation": checkpoint, "detection": detector, "classification": classifier}


@pytest.fixture(scope="module")
def photos(shapes):
    """Images of Shapes."""
    return [read_image(path) for path in sorted((shapes / "JPEGImages").iterdir())[:12]]


def write(format, precision, graph, task, photos, folder):
    for module in NEEDED[format]:
        pytest.importorskip(module)
    writer, path = FORMATS[format], folder / f"{precision}{FORMATS[format].suffix}"
    anchors = graph.anchors.tolist() if graph.output_kind == "raw" else None
    plain = [task.kind, task.describe(), graph.output_kind, list(graph.names), graph.size, "uint8", precision, "", {}]
    writer.write(graph, Description(*plain, anchors=anchors), path, [as_taken(photo, graph) for photo in photos])
    return path


def as_taken(photo, graph):
    return resize_image(photo, graph.size)[None]


def test_a_tflite_file_shrinks_and_still_tells_what_it_is(checkpoints, photos, tmp_path, capsys):
    trained = load_task(checkpoints["classification"], "cpu")
    graph = Graph(trained, "probabilities")
    paths = [
        write("litert", precision, graph, trained, photos, tmp_path) for precision in ("float32", "float16", "int8")
    ]
    assert "it/s" not in capsys.readouterr().err  # no progress bars of the quantizer's
    plain, half, small = (path.stat().st_size for path in paths)
    assert half < 0.55 * plain and small < 0.35 * plain
    image = as_taken(photos[0], graph)
    plain, half, _ = (load(path, threads=1).run(image)["probabilities"] for path in paths)
    np.testing.assert_allclose(half, plain, atol=2e-3)


def test_gates_without_hard_sigmoids_are_the_same(checkpoints, photos):
    trained = load_task(checkpoints["segmentation"], "cpu")
    graph = Graph(trained, "logits")
    assert not any(isinstance(module, torch.nn.Hardsigmoid) for module in graph.modules())
    image = torch.tensor(as_taken(photos[0], graph))
    with torch.inference_mode():
        given = trained.normalise(image.permute(0, 3, 1, 2))
        torch.testing.assert_close(graph(image)[0].permute(0, 3, 1, 2), trained.network(given), atol=1e-4, rtol=1e-4)


def test_an_operator_that_does_not_convert_is_named_in_one_line(checkpoints, photos, tmp_path):
    trained = load_task(checkpoints["segmentation"], "cpu")
    graph = Graph(trained, "logits")
    graph.network.head.branch = torch.nn.Sequential(graph.network.head.branch, Odd())
    with pytest.raises(DeployError, match=r"does not convert .*mobiledense_tests::odd") as raised:
        write("executorch", "float32", graph, trained, photos, tmp_path)
    assert "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []


@torch.library.custom_op("mobiledense_tests::odd", mutates_args=())
def odd(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


odd.register_fake(torch.empty_like)


class Odd(torch.nn.Module):
    def forward(self, x):
        return odd(x)


def test_rounded_weights_have_255_values_a_channel():
    weight = torch.randn(4, 500) * torch.tensor([[1.0], [10.0], [0.1], [0.0]])
    found = rounded(weight)
    steps = weight.abs().amax(1, keepdim=True) / 127
    assert (found - weight).abs().le(steps / 2 + 1e-6).all()
    assert all(len(row.unique()) <= 255 for row in found) and not torch.equal(found, weight)


def test_a_rounded_network_keeps_its_keys_and_trains(checkpoints):
    network = load_task(checkpoints["classification"], "cpu").network.train()
    keys = list(network.state_dict())
    round_network(network)
    assert list(network.state_dict()) == keys
    assert any(type(module) is RoundedConv2d for module in network.modules())
    images = torch.randn(4, 3, 32, 32)
    network(images).logsumexp(1).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    high = network.backbone.stem.conv.rounding.high.clone()
    network.eval()(images * 9)
    assert torch.equal(network.backbone.stem.conv.rounding.high, high)  # which only training moves
