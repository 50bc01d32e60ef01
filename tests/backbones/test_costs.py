import pytest
import torch
import torchvision
from torch import nn

from backbones import create_backbone
from backbones.costs import Costs, count_costs
from tasks.segmentation import SegmentationNetwork, SegmentationSpec, segmentation_table

# V3 paper, Table 7: backbone, head, filters, options, published params (M) and MAdds (B), exact ones at 1025x2049
TABLE_7 = [
    ("v3-large", "raspp", 256, {}, (3.60, 18.43), (3_600_963, 18_155_973_384)),
    ("v3-large", "lraspp", 256, {"rf2": True}, (1.63, 10.33), (1_632_894, 10_129_626_720)),
    ("v3-large", "lraspp", 128, {"rf2": True}, (1.51, 9.74), (1_507_198, 9_533_209_824)),
    ("v3-small", "lraspp", 128, {"rf2": True}, (0.47, 2.90), (468_830, 2_780_080_960)),
]


def network(backbone, head, classes, options, **head_options):
    names, colours = [str(index) for index in range(classes)], [(index, 0, 0) for index in range(classes)]
    table = segmentation_table(backbone, head, **options)
    with torch.device("meta"):
        return SegmentationNetwork(SegmentationSpec(table, head, names, colours, (64, 64), head_options))


@pytest.mark.parametrize(("backbone", "head", "filters", "options", "published", "exact"), TABLE_7)
def test_table_7(backbone, head, filters, options, published, exact):
    costs = count_costs(network(backbone, head, 19, options, filters=filters), 1025, 2049)
    assert (costs.params, costs.madds) == exact
    assert round(costs.params / 1e6, 2) == published[0]
    # the paper's profiler also charges element-wise work
    assert 0.955 * published[1] <= costs.madds / 1e9 <= published[1]


def test_lraspp_asks_for_rf2_and_output_stride_16_by_itself():
    given = network("v3-large", "lraspp", 19, {"rf2": True, "output_stride": 16})
    assert network("v3-large", "lraspp", 19, {}).backbone.table == given.backbone.table


def test_torchvisions_preset():
    costs = count_costs(network("v3-large", "lraspp-torchvision", 21, {}), 520, 520)
    theirs = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    assert costs.params == sum(parameter.numel() for parameter in theirs.parameters()) == 3_221_538
    assert round(costs.madds / 1e6, 2) == 2086.22


@pytest.mark.parametrize(
    ("name", "options", "classes", "params", "madds"),
    [
        ("v3-large", {}, 1001, 5.4843, 216.59),
        ("v3-large", {"width": 0.75}, 1001, 3.9948, 154.56),
        ("v3-small", {}, 1001, 2.5439, 56.51),
        ("v3-small", {"width": 0.75}, 1001, 2.0429, 43.40),
        ("v3-large", {"minimalistic": True}, 1001, 3.926, 209.1),
    ],
)
def test_imagenet_rows_with_the_papers_classifier(name, options, classes, params, madds):
    backbone = create_backbone(name, **options, taps=["last"])
    last, hidden = backbone.table.last, backbone.table.hidden

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = backbone
            self.layers = nn.Sequential(nn.Linear(last, hidden), nn.Hardswish(), nn.Linear(hidden, classes))

        def forward(self, images):
            return self.layers(self.backbone(images)["last"].mean((2, 3)))

    costs = count_costs(Classifier(), 224, 224)
    assert costs.params / 1e6 == pytest.approx(params, abs=6e-5 if params != 3.926 else 6e-4)
    assert costs.madds / 1e6 == pytest.approx(madds, abs=6e-3 if madds != 209.1 else 6e-2)


@pytest.mark.parametrize("name", ["large", "small"])
def test_the_backbone_is_torchvisions_features(name):
    theirs = getattr(torchvision.models, f"mobilenet_v3_{name}")()
    features = count_costs(theirs.features, 224, 224)
    assert count_costs(create_backbone(f"v3-{name}"), 224, 224) == features
    assert features.params == {"large": 2_971_952, "small": 927_008}[name]


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
