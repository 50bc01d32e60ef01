"""timm's networks behind our contract: taps, strides, heads, checkpoints."""

import json
from functools import cache
from itertools import product
from math import ceil

import pytest
import timm
import torch
from safetensors.torch import save_file

from backbones import (
    TimmBackbone,
    TimmTable,
    build_backbone,
    create_backbone,
    create_table,
    load_weights,
    table_from_dict,
)
from heads import SegmentationLoss, create_classifier, create_detection_head, create_segmentation_head
from tasks import detection_table, segmentation_table

MOBILENET_V4, GHOSTNET, EFFICIENTNET = "timm:mobilenetv4_conv_small", "timm:ghostnet_050", "timm:efficientnet_lite0"
TENSORFLOW, STARNET, RESNET = "timm:tf_efficientnet_b0", "timm:starnet_s050", "timm:resnet10t"
FROM_STRIDE_4 = "timm:mambaout_femto"  # and with channels last
NAMES = [MOBILENET_V4, GHOSTNET, EFFICIENTNET, TENSORFLOW, RESNET]
# ShuffleNet's place in timm: small networks of one's own, here without a map at stride 2 and without dilation
EVERY = [*NAMES, STARNET, FROM_STRIDE_4]


@cache
def backbone_of(name, output_stride=32):
    torch.manual_seed(0)
    return TimmBackbone(TimmTable(name, output_stride))


def photos(height, width, batch=2):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", EVERY)
def test_every_tap_has_its_channels_and_its_stride(name, training):
    backbone = backbone_of(name).train(training)
    backbone.set_taps(list(backbone.channels))
    for height, width in [(64, 96), (65, 33)]:
        with torch.no_grad():
            features = backbone(photos(height, width))
        assert {tap: tuple(feature.shape) for tap, feature in features.items()} == {
            tap: (2, channels, ceil(height / backbone.strides[tap]), ceil(width / backbone.strides[tap]))
            for tap, channels in backbone.channels.items()
        }
        assert all(feature.isfinite().all() for feature in features.values())


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", [MOBILENET_V4, TENSORFLOW, RESNET])
def test_dilation_changes_strides_not_names(name, output_stride):
    dense = backbone_of(name, output_stride).eval()
    assert list(dense.channels) == list(backbone_of(name).channels)
    dense.set_taps(["c1", "c2", "c3", "c4", "c5"])
    expected = {tap: min(2**level, output_stride) for level, tap in enumerate(dense.taps, start=1)}
    assert {tap: dense.strides[tap] for tap in dense.taps} == expected
    with torch.no_grad():
        features = dense(photos(64, 64))
    assert {tap: 64 // feature.shape[2] for tap, feature in features.items()} == expected


@pytest.mark.parametrize(
    ("alias", "tap"),
    [
        *[(f"c3{part}", "c3") for part in (".depthwise", ".expansion", ".first", ".first.depthwise")],
        ("c3.first.expansion", "c2"),
        ("c5.first.expansion", "c4"),
    ],
)
def test_names_inside_a_block_mean_the_nearest_whole_map(alias, tap):
    backbone = backbone_of(MOBILENET_V4).eval()
    backbone.set_taps([alias, tap])
    with torch.no_grad():
        features = backbone(photos(64, 64))
    assert list(features) == [alias, tap]
    assert torch.equal(features[alias], features[tap])


def test_maps_are_timms():
    theirs = timm.create_model("mobilenetv4_conv_small", features_only=True).eval()
    backbone = backbone_of(MOBILENET_V4).eval()
    backbone.network.load_state_dict(theirs.state_dict())
    backbone.set_taps(["c5", "c2"])
    with torch.no_grad():
        found, expected = backbone(photos(64, 64)), theirs(photos(64, 64))
    assert torch.equal(found["c5"], expected[4]) and torch.equal(found["c2"], expected[1])


def test_a_network_that_starts_at_stride_4_says_what_it_has():
    assert build_backbone(TimmTable(STARNET)).taps == ("c2", "c3", "c4", "c5")
    with pytest.raises(ValueError, match=r'timm:starnet_s050 has no tap "c1".* \(there are c2, .*c5'):
        build_backbone(TimmTable(STARNET), ["c1"])
    backbone = backbone_of(STARNET)
    with pytest.raises(ValueError, match="this head reads c1; this backbone has only c2, "):
        create_segmentation_head("unet", backbone.channels, backbone.strides, 3)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        *product([MOBILENET_V4, GHOSTNET, STARNET, FROM_STRIDE_4], ["lraspp", "raspp", "lraspp-torchvision"]),
        *product([MOBILENET_V4, GHOSTNET], ["unet"]),  # which reads c1
    ],
)
def test_segmentation_heads(name, head):
    table = segmentation_table(name, head)
    assert table.output_stride == (16 if name == MOBILENET_V4 and head != "unet" else 32)
    backbone = build_backbone(table).train()
    network = create_segmentation_head(head, backbone.channels, backbone.strides, 5).train()
    backbone.set_taps(network.taps)
    target = torch.randint(0, 5, (2, 64, 96), dtype=torch.uint8)
    SegmentationLoss()(network(backbone(photos(64, 96))), target).backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert next(backbone.parameters()).grad.abs().sum() > 0


@pytest.mark.parametrize("small_objects", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_ssdlite(name, small_objects):
    backbone = build_backbone(detection_table(name)).train()
    assert {module.momentum for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)} <= {0.03}
    head = create_detection_head("ssdlite", backbone.channels, backbone.strides, 2, small_objects=small_objects).train()
    backbone.set_taps(head.taps)
    logits, offsets = head(backbone(photos(64, 96)))
    anchors = head.anchors((64, 96))
    assert logits.shape == (2, len(anchors), 3) and offsets.shape == (2, len(anchors), 4)
    (logits.square().mean() + offsets.square().mean()).backward()
    assert next(backbone.parameters()).grad.abs().sum() > 0


def test_a_classifier():
    backbone = backbone_of(MOBILENET_V4)
    head = create_classifier(backbone.channels, backbone.table, 4)
    backbone.set_taps(head.taps)
    assert head(backbone(photos(64, 64))).shape == (2, 4)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_exports(name):
    backbone = backbone_of(name).eval()
    backbone.set_taps(["c3", "c5"])
    images = photos(64, 64)
    exported = torch.export.export(backbone, (images,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(images), backbone(images), rtol=1e-4, atol=1e-4)


def test_a_table_survives_json():
    table = detection_table(MOBILENET_V4, output_stride=16)
    again = table_from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table == TimmTable(MOBILENET_V4, 16, 0.03)


@pytest.mark.parametrize("data", [{"name": "timm:resnet10t", "colour": "red"}, {"rows": []}, {}])
def test_what_is_no_table(data):
    with pytest.raises(ValueError, match="no backbone's table"):
        table_from_dict(data)


@pytest.mark.parametrize(
    ("name", "near"),
    [("timm:mobilnetv4_conv_small", MOBILENET_V4), ("timm:resnet18s", "timm:resnet18")],
)
def test_unknown_network_names_the_nearest(name, near):
    with pytest.raises(ValueError, match=f'timm has no network "{name[5:]}"; did you mean "{near}"'):
        create_backbone(name)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (GHOSTNET, {"output_stride": 16}, r'has no option "output_stride" \(it has none\)'),
        (MOBILENET_V4, {"width": 0.5}, r'has no option "width" \(it has output_stride\)'),
        (MOBILENET_V4, {"output_stride": 12}, "output stride 12"),
        ("timm:crossvit_9_240", {}, "timm:crossvit_9_240 has no feature maps at strides of 2, 4, 8, 16 or 32"),
        ("timm:mobilenetv4_conv_small.nothing", {}, "timm cannot build mobilenetv4_conv_small.nothing"),
    ],
)
def test_what_timm_cannot_build(name, options, said):
    with pytest.raises(ValueError, match=said) as caught:
        create_backbone(name, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["classifier", "feature maps", "ours"])
def test_weights_of_timms_layouts(kind, tmp_path):
    source = timm.create_model("mobilenetv4_conv_small", features_only=kind == "feature maps")
    if kind == "ours":
        source = build_backbone(create_table(MOBILENET_V4))
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    backbone = build_backbone(create_table(MOBILENET_V4, output_stride=16))
    report = load_weights(backbone, tmp_path / "weights.pth")
    assert report.taken == list(backbone.state_dict())
    assert torch.equal(backbone.network.conv_stem.weight, next(source.parameters()))


def test_published_weights_are_timms(tmp_path, monkeypatch):
    published = timm.create_model("mobilenetv4_conv_small")
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    asked = []
    monkeypatch.setattr(
        "backbones.pretrained.fetch", lambda address: asked.append(address) or tmp_path / "model.safetensors"
    )
    backbone = create_backbone(MOBILENET_V4, weights="imagenet")
    assert asked == ["hf://timm/mobilenetv4_conv_small.e2400_r224_in1k/model.safetensors"]
    assert torch.equal(backbone.network.conv_stem.weight, published.conv_stem.weight)


def test_another_networks_weights_are_refused(tmp_path):
    torch.save(build_backbone(create_table(GHOSTNET)).state_dict(), tmp_path / "ghost.pth")
    with pytest.raises(ValueError, match=r"ghost\.pth: nothing in it fits timm:mobilenetv4_conv_small; other shape"):
        load_weights(backbone_of(MOBILENET_V4), tmp_path / "ghost.pth")
