from dataclasses import replace
from functools import cache
from math import ceil
from pathlib import Path

import pytest
import torch

from backbones import TABLES, Backbone, create_backbone, create_table, mobilenet_v3_large, mobilenet_v3_small

NAMES = list(TABLES)
V3_OPTIONS = [{}, {"rf2": True}, {"reduced_tail": True}, {"minimalistic": True}, {"width": 0.75}]
NETWORKS = [
    *[(name, options) for name in ("v3-large", "v3-small") for options in V3_OPTIONS],
    *[("v2", options) for options in ({}, {"rf2": True, "last_conv": False}, {"width": 0.5, "scale_last": True})],
    *[("v1", {}), ("v1", {"width": 0.25})],
    *[("mnasnet-a1", {}), ("mnasnet-a1", {"round_squeeze": True}), ("mnasnet-b1", {}), ("mnasnet-b1", {"width": 0.5})],
]


@cache
def every_tap(name, **options):
    backbone = create_backbone(name, **options)
    backbone.set_taps(list(backbone.channels))
    return backbone


def photos(height, width, batch=2):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(("height", "width"), [(33, 50), (64, 64)])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=str)
def test_every_tap_has_its_channels_and_its_stride(name, options, output_stride, height, width, training):
    backbone = every_tap(name, **options, output_stride=output_stride).train(training)
    with torch.no_grad():
        features = backbone(photos(height, width))
    assert list(features) == list(backbone.channels) == list(backbone.strides)
    expected = {
        tap: (2, channels, ceil(height / backbone.strides[tap]), ceil(width / backbone.strides[tap]))
        for tap, channels in backbone.channels.items()
    }
    assert {tap: tuple(feature.shape) for tap, feature in features.items()} == expected
    assert all(feature.isfinite().all() for feature in features.values())


@pytest.mark.parametrize("dilate_first", [False, True])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", NAMES)
def test_strides_stop_at_the_output_stride(name, output_stride, dilate_first):
    with torch.device("meta"):
        backbone = create_backbone(name, output_stride=output_stride, dilate_first=dilate_first)
    levels = {f"c{level}": min(2**level, output_stride) for level in range(1, 6)}
    assert {tap: backbone.strides[tap] for tap in levels} == levels
    assert max(backbone.strides.values()) == output_stride
    shapes = {tap: tuple(x.shape[2:]) for tap, x in backbone(torch.empty(2, 3, 65, 129, device="meta")).items()}
    assert shapes == {tap: (ceil(65 / stride), ceil(129 / stride)) for tap, stride in levels.items()}


@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=str)
def test_backward_reaches_every_parameter(name, options):
    backbone = create_backbone(name, **options, output_stride=16).train()
    features = backbone(photos(33, 50))
    sum(feature.square().mean() for feature in features.values()).backward()
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert backbone.stem.conv.weight.grad.abs().sum() > 0
    assert backbone.blocks[-1].project.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_backward_from_every_tap_at_once(name):
    backbone = create_backbone(name).train()
    backbone.set_taps(list(backbone.channels))
    sum(feature.square().mean() for feature in backbone(photos(33, 50)).values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in backbone.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_tap_is_the_same_whatever_else_is_asked_for(name):
    backbone = create_backbone(name, output_stride=16).eval()
    taps = list(backbone.channels)
    with torch.no_grad():
        backbone.set_taps(taps)
        together = backbone(photos(33, 50))
        for tap in taps:
            backbone.set_taps([tap])
            alone = backbone(photos(33, 50))
            assert list(alone) == [tap]
            assert torch.equal(alone[tap], together[tap]), tap


@pytest.mark.parametrize("name", NAMES)
def test_taps_are_the_tensors_that_the_layers_hand_on(name):
    backbone = create_backbone(name).eval()
    seen = {}

    def keep(key):
        return lambda _module, _inputs, output: seen.__setitem__(key, output.clone())

    backbone.stem.register_forward_hook(keep("stem"))
    if backbone.last is not None:
        backbone.last.register_forward_hook(keep("last"))
    for number, block in enumerate(backbone.blocks, start=1):
        block.expand.register_forward_hook(keep(f"block{number}.expansion"))
        block.depthwise.register_forward_hook(keep(f"block{number}.depthwise"))
    backbone.set_taps(list(backbone.channels))
    with torch.no_grad():
        features = backbone(photos(33, 50))
    assert len(seen) == 1 + (backbone.last is not None) + 2 * len(backbone.blocks)
    for tap, value in seen.items():
        assert torch.equal(features[tap], value), tap


@pytest.mark.parametrize("name", NAMES)
def test_every_network_exports(name):
    backbone, images = create_backbone(name, output_stride=16).eval(), photos(33, 50)
    exported = torch.export.export(backbone, (images,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(images), backbone(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_default_taps_are_the_levels(name):
    assert create_backbone(name).taps == ("c1", "c2", "c3", "c4", "c5")


def test_taps_come_in_the_order_asked_for():
    backbone = mobilenet_v3_small(taps=["c5", "stem", "c3.depthwise"]).eval()
    assert list(backbone(photos(33, 50))) == ["c5", "stem", "c3.depthwise"]


@pytest.mark.parametrize(
    ("tap", "near"),
    [("c3.depthwse", "c3.depthwise"), ("block6.depthwize", "block6.depthwise"), ("Block6", "block6"), ("lst", "last")],
)
def test_unknown_tap_names_the_nearest_and_all_there_are(tap, near):
    with pytest.raises(ValueError, match=rf'no tap "{tap}"; did you mean "{near}"\? \(there are stem, .* last'):
        mobilenet_v3_large(taps=["c1", tap])


@pytest.mark.parametrize("tap", ["c6", "zzzzzz"])
def test_a_tap_like_no_other_gets_the_whole_list(tap):
    with pytest.raises(ValueError, match=rf'no tap "{tap}" \(there are stem, .*c5\.first\.depthwise'):
        mobilenet_v3_small().set_taps([tap])


def test_a_refused_tap_leaves_the_taps_alone():
    backbone = mobilenet_v3_small(taps=["c2"])
    with pytest.raises(ValueError, match="no tap"):
        backbone.set_taps(["c3", "c9"])
    assert backbone.taps == ("c2",)


@pytest.mark.parametrize(
    ("taps", "blocks", "last"),
    [
        (["stem"], 0, False),
        (["c2"], 3, False),
        (["c3.first", "stem"], 4, False),
        (["c5.first.expansion"], 13, False),
        (["block15"], 15, False),
        (["c5"], 15, True),
        (["c1", "last"], 15, True),
    ],
)
def test_what_no_tap_needs_is_not_computed(taps, blocks, last):
    backbone = mobilenet_v3_large(taps=taps).eval()
    called = []
    for number, block in enumerate(backbone.blocks, start=1):
        block.register_forward_hook(lambda *_, number=number: called.append(number))
    backbone.last.register_forward_hook(lambda *_: called.append("last"))
    with torch.no_grad():
        backbone(photos(32, 32, batch=1))
    assert called == [*range(1, blocks + 1), *(["last"] if last else [])]


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_keys_are_frozen(name):
    frozen = (Path(__file__).parent / f"keys_{name}.txt").read_text().split()
    with torch.device("meta"):
        keys = create_backbone(name).state_dict()
    assert sorted(keys) == frozen


@pytest.mark.parametrize("options", [{"width": 0.75}, {"output_stride": 8}, {"small_images": True}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_options_of_width_and_stride_keep_the_keys(name, options):
    with torch.device("meta"):
        keys, plain = create_backbone(name, **options).state_dict(), create_backbone(name).state_dict()
    assert list(keys) == list(plain)


@pytest.mark.parametrize("option", ["rf2", "reduced_tail"])
@pytest.mark.parametrize("name", ["v3-large", "v3-small"])
def test_halved_tails_keep_the_keys(name, option):
    with torch.device("meta"):
        keys, plain = create_backbone(name, **{option: True}).state_dict(), create_backbone(name).state_dict()
    assert list(keys) == list(plain)


def test_the_output_stride_keeps_the_weights():
    wide, dense = mobilenet_v3_small(taps=["c3"]), mobilenet_v3_small(taps=["c3"], output_stride=8)
    dense.load_state_dict(wide.state_dict())
    with torch.no_grad():
        expected, found = wide.eval()(photos(33, 50))["c3"], dense.eval()(photos(33, 50))["c3"]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_small_image_stem_keeps_the_weights(name):
    small, dense = create_backbone(name, small_images=True), create_backbone(name, output_stride=16)
    dense.load_state_dict(small.state_dict())
    assert {tap: small.strides[f"c{tap}"] for tap in range(1, 6)} == {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
    with torch.no_grad():
        features = small.eval()(photos(32, 31))
        shapes = {tap: tuple(feature.shape) for tap, feature in features.items()}
        # a stride of 1 computes at every pixel what a stride of 2 does at every second
        small.set_taps(["stem"])
        dense.set_taps(["stem"])
        torch.testing.assert_close(small(photos(33, 50))["stem"][:, :, ::2, ::2], dense.eval()(photos(33, 50))["stem"])
    sizes = {"c1": (32, 31), "c2": (32, 31), "c3": (16, 16), "c4": (8, 8), "c5": (4, 4)}
    assert shapes == {tap: (2, small.channels[tap], *size) for tap, size in sizes.items()}


@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
def test_the_gate_is_the_tables(gate):
    block = Backbone(replace(create_table("v3-small"), gate=gate)).blocks[0].squeeze_excite
    x = torch.randn(2, 16, 4, 4)
    squeezed = block.expand(block.reduce(x.mean((2, 3), keepdim=True)).relu())
    expected = squeezed.sigmoid() if gate == "sigmoid" else (squeezed + 3).clamp(0, 6) / 6
    torch.testing.assert_close(block(x), x * expected)


@pytest.mark.parametrize(
    ("name", "alias", "tap", "channels", "stride"),
    [
        ("v1", "c1", "block1", 64, 2),
        ("v1", "c3.depthwise", "block5.depthwise", 256, 8),
        ("v1", "c5.first.expansion", "block11", 512, 16),
        ("v1", "c5", "block13", 1024, 32),
        ("v2", "c1", "block1", 16, 2),
        ("v2", "c3.depthwise", "block6.depthwise", 192, 8),
        ("v2", "c4", "block13", 96, 16),
        ("v2", "c5.first.expansion", "block14.expansion", 576, 16),
        ("v2", "c5", "last", 1280, 32),
        ("mnasnet-a1", "c3.depthwise", "block6.depthwise", 120, 8),
        ("mnasnet-a1", "c5.first.expansion", "block13.expansion", 672, 16),
        ("mnasnet-a1", "c5", "last", 1280, 32),
        ("mnasnet-b1", "c5.first.expansion", "block13.expansion", 576, 16),
        ("v3-large", "c1", "block1", 16, 2),
        ("v3-large", "c2", "block3", 24, 4),
        ("v3-large", "c2.first", "block2", 24, 4),
        ("v3-large", "c3", "block6", 40, 8),
        ("v3-large", "c3.depthwise", "block6.depthwise", 120, 8),
        ("v3-large", "c3.first", "block4", 40, 8),
        ("v3-large", "c3.first.expansion", "block4.expansion", 72, 4),
        ("v3-large", "c4", "block12", 112, 16),
        ("v3-large", "c4.first", "block7", 80, 16),
        ("v3-large", "c4.expansion", "block12.expansion", 672, 16),
        ("v3-large", "c5.first", "block13", 160, 32),
        ("v3-large", "c5.first.expansion", "block13.expansion", 672, 16),
        ("v3-large", "c5.first.depthwise", "block13.depthwise", 672, 32),
        ("v3-large", "c5.expansion", "block15.expansion", 960, 32),
        ("v3-large", "c5", "last", 960, 32),
        ("v3-small", "c1", "stem", 16, 2),
        ("v3-small", "c2", "block1", 16, 4),
        ("v3-small", "c3", "block3", 24, 8),
        ("v3-small", "c3.first", "block2", 24, 8),
        ("v3-small", "c3.depthwise", "block3.depthwise", 88, 8),
        ("v3-small", "c4", "block8", 48, 16),
        ("v3-small", "c4.first", "block4", 40, 16),
        ("v3-small", "c5.first.expansion", "block9.expansion", 288, 16),
        ("v3-small", "c5.depthwise", "block11.depthwise", 576, 32),
        ("v3-small", "c5", "last", 576, 32),
    ],
)
def test_aliases_point_to_the_papers_places(name, alias, tap, channels, stride):
    backbone = every_tap(name).eval()
    assert (backbone.channels[alias], backbone.strides[alias]) == (channels, stride)
    assert (backbone.channels[tap], backbone.strides[tap]) == (channels, stride)
    with torch.no_grad():
        features = backbone(photos(33, 50))
    assert torch.equal(features[alias], features[tap])


@pytest.mark.parametrize("name", NAMES)
def test_dilation_changes_strides_not_names(name):
    wide, dense = every_tap(name), every_tap(name, output_stride=8)
    assert dense.channels == wide.channels
    assert list(dense.strides) == list(wide.strides)
    assert dense.strides["c5.first.expansion"] == dense.strides["c5"] == 8


def test_a_table_without_a_last_convolution_ends_with_its_last_block():
    backbone = Backbone(replace(mobilenet_v3_small().table, last=0))
    assert "last" not in backbone.channels
    assert (backbone.channels["c5"], backbone.strides["c5"]) == (96, 32)
    assert not any(key.startswith("last") for key in backbone.state_dict())
    assert backbone.eval()(photos(33, 50))["c5"].shape == (2, 96, 2, 2)


@pytest.mark.parametrize("taps", [["c3", "last"], ["c5.first.expansion", "block2"]])
def test_torch_compile_takes_the_whole_as_one_graph(taps):
    backbone = mobilenet_v3_small(taps=taps).eval()
    torch._dynamo.reset()
    compiled = torch.compile(backbone, backend="eager", fullgraph=True)  # raises where Python would have to step in
    with torch.no_grad():
        images = photos(33, 50)
        expected = backbone(images)
        assert all(torch.equal(found, expected[tap]) for tap, found in compiled(images).items())
