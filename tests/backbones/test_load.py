import copy

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from backbones import (
    create_backbone,
    load_weights,
    mobilenet_v3_small,
)
from backbones.keys import timm_keys, torchvision_keys

NAMES = ["large", "small"]


@torch.no_grad()
def randomised(network):
    """With batch norm's statistics taken from noise, and its scale and offset drawn, so that activations stay large."""
    torch.manual_seed(0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0, 0.5)
        norm.momentum = 1.0
    network.train()(torch.randn(4, 3, 96, 96))
    for norm in norms:
        norm.running_mean += 0.1 * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.8, 1.2)
        norm.momentum = 0.01
    return network.eval()


@pytest.fixture(scope="module")
def published():
    return {name: randomised(getattr(torchvision.models, f"mobilenet_v3_{name}")()) for name in NAMES}


def save(state, path):
    state = {key: tensor.clone() for key, tensor in state.items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def ours(name, **options):
    return create_backbone(f"v3-{name}", **options).eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_weights_give_torchvisions_features(name, suffix, published, tmp_path):
    backbone = ours(name, taps=["c5"])
    report = load_weights(backbone, save(published[name].state_dict(), tmp_path / f"weights{suffix}"))
    assert sorted(report.taken) == sorted(backbone.state_dict())
    images = torch.randn(2, 3, 75, 64)
    with torch.no_grad():
        found, expected = backbone(images)["c5"], published[name].features(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_another_network_gives_other_features(name, published, tmp_path):
    backbone = ours(name, taps=["c5"])
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = backbone(images)["c5"]
        load_weights(backbone, save(published[name].state_dict(), tmp_path / "weights.pth"))
        assert (backbone(images)["c5"] - before).abs().max() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_every_level_is_torchvisions(name, published, tmp_path):
    backbone = ours(name)
    load_weights(backbone, save(published[name].state_dict(), tmp_path / "weights.pth"))
    images, levels = torch.randn(1, 3, 65, 33), backbone.table.levels()
    with torch.no_grad():
        features, x, outputs = backbone(images), images, []
        for layer in published[name].features:
            x = layer(x)
            outputs.append(x)
    for level in (2, 3, 4):
        deepest = max(index for index, at in enumerate(levels, start=1) if at == level)
        torch.testing.assert_close(features[f"c{level}"], outputs[deepest], rtol=0, atol=1e-5)


def test_report_of_a_full_load(published, tmp_path):
    path = save(published["large"].state_dict(), tmp_path / "weights.pth")
    backbone = ours("large")
    report = load_weights(backbone, path)
    assert report.taken == list(backbone.state_dict())
    assert (report.missing, report.mismatched) == ([], {})
    assert report.unused == [f"classifier.{layer}.{part}" for layer in (0, 3) for part in ("weight", "bias")]
    total = len(report.taken)
    assert str(report) == (
        f"{path}: took {total} of {total} tensors; "
        "not used: classifier.0.weight, classifier.0.bias, classifier.3.weight and 1 more"
    )


def test_report_of_a_partial_load_lists_what_is_halved(published, tmp_path):
    backbone = ours("large", rf2=True)
    before = backbone.state_dict()
    source = published["large"].state_dict()
    report = load_weights(backbone, save(source, tmp_path / "weights.pth"))
    assert report.missing == [] and report.mismatched == {}
    assert {key.split(".")[0] + key.split(".")[1] for key in report.narrowed} == {
        *("blocks12", "blocks13", "blocks14", "lastconv", "lastnorm")
    }
    assert sorted([*report.taken, *report.narrowed]) == sorted(before)
    after = backbone.state_dict()
    squeeze = source["features.13.block.2.fc1.weight"]
    assert after["blocks.12.squeeze_excite.reduce.weight"].shape == (88, 336, 1, 1) and squeeze.shape[:2] == (168, 672)
    assert torch.equal(after["stem.conv.weight"], source["features.0.0.weight"])
    assert torch.equal(after["blocks.11.project.conv.weight"], source["features.12.block.3.0.weight"])
    assert f"took {len(report.taken)} of {len(before)} tensors" in str(report)
    assert "0.0% left at random" in str(report)


def test_report_of_a_source_that_lacks_tensors(published, tmp_path):
    state = published["small"].state_dict()
    state = {key: tensor for key, tensor in state.items() if not key.startswith("features.12.")}
    report = load_weights(ours("small"), save(state, tmp_path / "weights.pth"))
    assert report.missing and all(key.startswith("last.") for key in report.missing)
    assert "not in the source: last.conv.weight, last.norm.weight, last.norm.bias and 3 more" in str(report)


def test_torchvisions_segmentation_model_as_source(tmp_path):
    theirs = randomised(lraspp_mobilenet_v3_large(weights=None, weights_backbone=None))
    backbone = ours("large", output_stride=16, dilate_first=True, taps=["c5"])
    report = load_weights(backbone, save(theirs.state_dict(), tmp_path / "lraspp.pth"))
    assert sorted(report.taken) == sorted(backbone.state_dict())
    assert report.unused and all(key.startswith("classifier.") for key in report.unused)
    images = torch.randn(1, 3, 64, 49)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images)["c5"], theirs.backbone(images)["high"], rtol=0, atol=1e-5)


def source_of(backbone, layout):
    state = backbone.state_dict()
    if layout == "bare":
        return state
    if layout == "prefixed":
        return {f"backbone.{key}": value for key, value in state.items()}
    if layout == "lightning":
        inner = {f"network.backbone.{key}": value for key, value in state.items()}
        return {"state_dict": inner | {"network.head.classify.weight": torch.zeros(2)}, "epoch": 3}
    return {"model": {f"module.{key}": value for key, value in state.items()}, "optimizer": {"lr": 0.1}}


@pytest.mark.parametrize("layout", ["bare", "prefixed", "lightning", "model"])
def test_our_own_keys_under_any_prefix(layout, tmp_path):
    source, target = randomised(mobilenet_v3_small()), mobilenet_v3_small()
    path = tmp_path / "last.ckpt"
    torch.save(source_of(source, layout), path)
    report = load_weights(target, path)
    assert report.taken == list(target.state_dict())
    assert report.unused == (["network.head.classify.weight"] if layout == "lightning" else [])
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in target.state_dict().items())


def test_the_prefix_that_fits_most_wins(tmp_path):
    student, teacher = randomised(mobilenet_v3_small()), mobilenet_v3_small()
    state = {f"student.{key}": value for key, value in student.state_dict().items()}
    state |= {f"teacher.{key}": value for key, value in teacher.state_dict().items() if not key.startswith("last")}
    target = mobilenet_v3_small()
    report = load_weights(target, save(state, tmp_path / "pair.pth"))
    assert torch.equal(target.stem.conv.weight, student.stem.conv.weight)
    assert report.unused and all(key.startswith("teacher.") for key in report.unused)


def test_loading_does_not_alias_the_source(published, tmp_path):
    path = save(published["small"].state_dict(), tmp_path / "weights.pth")
    first, second = ours("small"), ours("small")
    load_weights(first, path)
    load_weights(second, path)
    with torch.no_grad():
        first.stem.conv.weight.zero_()
    assert second.stem.conv.weight.abs().sum() > 0


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r'nowhere/weights\.pth: no such weights file .*"imagenet"'):
        load_weights(ours("small"), "nowhere/weights.pth")


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        load_weights(ours("small"), tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_with_nothing_that_fits_shows_its_keys(suffix, tmp_path):
    path = save({"encoder.weight": torch.zeros(3), "encoder.bias": torch.zeros(3)}, tmp_path / f"other{suffix}")
    with pytest.raises(ValueError, match=rf"other{suffix}: nothing in it fits mobilenet_v3_small; .*encoder\.bias"):
        load_weights(ours("small"), path)


def test_batch_norms_counters_are_not_a_fit(tmp_path):
    state = {"stem.conv.weight": torch.zeros(32, 3, 3, 3), "stem.norm.num_batches_tracked": torch.tensor(3)}
    with pytest.raises(ValueError, match="nothing in it fits mobilenet_v3_large"):
        load_weights(ours("large"), save(state, tmp_path / "other.pth"))


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (
            "v2",
            "v3-large",
            r"holds mobilenet_v2, not mobilenet_v3_large; other shape: stem\.conv\.weight \[16, 3,",
        ),
        ("v1", "v2", r"holds mobilenet_v1, not mobilenet_v2; other shape: blocks\.0\.project\.conv\.weight \[16, 32"),
        ("v3-small", "v3-large", r"holds mobilenet_v3_small, not mobilenet_v3_large; other shape: .* and \d+ more"),
        ("mnasnet-a1", "mnasnet-b1", "holds mnasnet_a1, not mnasnet_b1; other shape: "),
    ],
)
@pytest.mark.parametrize("layout", ["bare", "torchvision or timm", "checkpoint"])
def test_another_architecture_is_named_with_what_differs(source, target, said, layout, tmp_path):
    backbone, into = create_backbone(source), create_backbone(target)
    state, before = backbone.state_dict(), copy.deepcopy(into.state_dict())
    if layout == "torchvision or timm":
        keys = torchvision_keys(backbone) or timm_keys(backbone)
        state = {theirs: state[key] for key, theirs in keys.items()}
    path = tmp_path / "source.ckpt"
    content = {"mobiledense": {"table": backbone.table.to_dict()}, "state_dict": state}
    torch.save(content if layout == "checkpoint" else state, path)
    if layout == "torchvision or timm":  # other names, too, so that few shapes can be compared
        said = said.split(";")[0]
    with pytest.raises(ValueError, match=rf"source\.ckpt: {said}") as caught:
        load_weights(into, path)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in into.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "said"),
    [("checkpoint", r"holds mobilenet_v2 \(width 0\.5\), not"), ("state dict", r"\d of 260 tensors fit")],
)
def test_a_greater_width_is_refused_with_what_differs(kind, said, tmp_path):
    backbone = create_backbone("v2", width=0.5)
    content = backbone.state_dict()
    if kind == "checkpoint":
        content = {"mobiledense": {"table": backbone.table.to_dict()}, "state_dict": content}
    torch.save(content, tmp_path / "half.ckpt")
    with pytest.raises(ValueError, match=said + r" mobilenet_v2; other shape: stem\.conv\.weight \[32"):
        load_weights(create_backbone("v2"), tmp_path / "half.ckpt")


def test_a_refused_source_leaves_the_backbone_alone(tmp_path):
    backbone = ours("small")
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(ValueError, match="nothing in it fits"):
        load_weights(backbone, save({"a": torch.zeros(1)}, tmp_path / "a.pth"))
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"garbage" * 100, b"hello\nworld", b"<!DOCTYPE html><html>404</html>", b"PK\x03\x04" + b"0" * 500],
    ids=["empty", "garbage", "text", "html", "broken zip"],
)
def test_a_garbage_file_is_named_in_one_line(content, suffix, tmp_path):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"broken{suffix}: not a readable weights file \(.+\)") as caught:
        load_weights(ours("small"), path)
    assert "\n" not in str(caught.value)
    assert "will likely succeed" not in str(caught.value)  # torch's advice to run the file's code


def test_a_truncated_file_is_named(published, tmp_path):
    path = save(published["small"].state_dict(), tmp_path / "cut.pth")
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(ValueError, match=r"cut\.pth: not a readable weights file"):
        load_weights(ours("small"), path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], 7], ids=["dict", "list", "number"])
def test_a_file_without_tensors(content, tmp_path):
    torch.save(content, tmp_path / "plain.pth")
    with pytest.raises(ValueError, match=r"plain\.pth: holds no state dict"):
        load_weights(ours("small"), tmp_path / "plain.pth")
