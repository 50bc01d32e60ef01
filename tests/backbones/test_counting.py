import pytest
import torch
import torchvision
from torch import nn

from backbones import create_backbone
from backbones.counting import Costs, count_costs
from tasks.costs import build_network


def test_torchvisions_preset():
    costs = count_costs(build_network("v3-large", "lraspp-torchvision", 21), 520, 520)
    theirs = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    assert costs.params == sum(parameter.numel() for parameter in theirs.parameters()) == 3_221_538
    assert round(costs.madds / 1e6, 2) == 2086.22


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("v3-large", "mobilenet_v3_large"),
        ("v3-small", "mobilenet_v3_small"),
        ("v2", "mobilenet_v2"),
        ("mnasnet-b1", "mnasnet1_0"),
    ],
)
def test_the_classifier_is_torchvisions(name, theirs):
    ours = count_costs(build_network(name, "classifier"), 224, 224)
    assert ours == count_costs(getattr(torchvision.models, theirs)(), 224, 224)


def test_a_layer_at_a_time():
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 7x9 out
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    params = (3 * 8 * 9 + 8) + 8 * 9 + (8 * 5 + 5)
    assert count_costs(layers, 13, 17) == Costs(params + 16, params, 7 * 9 * (27 * 8 + 9 * 8) + 40)


def test_counting_leaves_the_network_alone():
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    before = {key: value.clone() for key, value in layers.state_dict().items()}
    count_costs(layers, 8, 8)
    assert layers.training
    assert not layers[0]._forward_hooks
    after = layers.state_dict()
    assert all(after[key].device.type == "cpu" and torch.equal(after[key], before[key]) for key in before)


def test_dilation_costs_by_the_larger_maps_and_no_parameters():
    wide, dense = (count_costs(create_backbone("v3-small", output_stride=stride), 64, 64) for stride in (32, 16))
    assert dense.params == wide.params
    assert dense.madds > 1.2 * wide.madds
