import pytest
import torch

from backbones import TABLES, create_backbone
from heads import create_classifier

HIDDEN = {"v3-large": 1280, "v3-small": 1024}


@pytest.mark.parametrize("name", TABLES)
def test_the_classifier_of_every_paper(name):
    backbone = create_backbone(name, small_images=True)
    head = create_classifier(backbone.channels, backbone.table, 7)
    backbone.set_taps(head.taps)
    logits = head(backbone(torch.randn(2, 3, 32, 32)))
    assert logits.shape == (2, 7)
    linear = [layer for layer in head.modules() if isinstance(layer, torch.nn.Linear)]
    widths = [backbone.channels["c5"], *([HIDDEN[name]] if name in HIDDEN else []), 7]
    assert [layer.in_features for layer in linear] == widths[:-1]
    assert [layer.out_features for layer in linear] == widths[1:]
    logits.square().mean().backward()
    assert backbone.stem.conv.weight.grad.abs().sum() > 0
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


@pytest.mark.parametrize(("minimalistic", "activation"), [(False, torch.nn.Hardswish), (True, torch.nn.ReLU)])
def test_v3s_hidden_layer(minimalistic, activation):
    backbone = create_backbone("v3-small", minimalistic=minimalistic)
    head = create_classifier(backbone.channels, backbone.table, 3).eval()
    assert isinstance(head.hidden[1], activation)
    features = torch.randn(2, 576, 3, 4)
    with torch.no_grad():
        expected = head.classify(head.hidden[1](head.hidden[0](features.mean((2, 3)))))
        assert torch.equal(head({"c5": features}), expected)


def test_dropout_is_for_training():
    head = create_classifier({"c5": 400}, create_backbone("v1").table, 3, dropout=0.5)
    features = {"c5": torch.ones(1, 400, 1, 1)}
    assert torch.equal(head.eval()(features), head(features))
    assert not torch.equal(head.train()(features), head(features))
