"""Our backbones in plain segmentation-models-pytorch code."""

import sys

import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision

from backbones import TABLES, create_backbone, load_weights, pretrained, register_encoders


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(smp.encoders, "encoders", dict(smp.encoders.encoders))
    for module in list(sys.modules.values()):  # so that what is wrapped here is unwrapped behind each test
        if hasattr(module, "get_encoder"):
            monkeypatch.setattr(module, "get_encoder", module.get_encoder)
    return register_encoders()


def test_names(registry):
    assert registry == [f"mobiledense-{name}" for name in TABLES]
    assert set(registry) <= set(smp.encoders.get_encoder_names())


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("architecture", ["Unet", "FPN"])
def test_networks_of_every_family(architecture, name):
    network = getattr(smp, architecture)(f"mobiledense-{name}", encoder_weights=None, classes=4).train()
    logits = network(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 4, 64, 96)
    logits.square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert network.encoder.backbone.stem.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", TABLES)
def test_output_stride(name, output_stride):
    network = smp.DeepLabV3Plus(f"mobiledense-{name}", encoder_output_stride=output_stride, encoder_weights=None)
    images = torch.randn(2, 3, 64, 96)
    maps = network.encoder(images)
    assert [64 // x.shape[2] for x in maps] == [1, *(min(2**level, output_stride) for level in range(1, 6))]
    assert [x.shape[1] for x in maps] == network.encoder.out_channels
    logits = network.train()(images)
    assert logits.shape == (2, 1, 64, 96)
    logits.square().mean().backward()
    assert network.encoder.backbone.stem.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels(channels):
    network = smp.Unet("mobiledense-v3-small", encoder_weights=None, in_channels=channels)
    assert network(torch.randn(2, channels, 64, 64)).shape == (2, 1, 64, 64)


def test_a_shallower_encoder_computes_less():
    network = smp.PSPNet("mobiledense-v3-small", encoder_weights=None)
    maps = network.encoder(torch.randn(2, 3, 64, 64))
    assert [x.shape[2] for x in maps] == [64, 32, 16, 8] and network.encoder.output_stride == 8


def test_weights_are_loaded_into_the_backbone(tmp_path):
    source = create_backbone("v3-small")
    torch.save(source.state_dict(), tmp_path / "small.pth")
    network = smp.Unet("mobiledense-v3-small", encoder_weights=None)
    report = load_weights(network.encoder.backbone, tmp_path / "small.pth")
    assert report.taken == list(source.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps, features = network.eval().encoder(images), source.eval()(images)
    assert all(torch.equal(found, features[f"c{level}"]) for level, found in enumerate(maps[1:], start=1))


@pytest.mark.parametrize("architecture", ["Unet", "DeepLabV3Plus"])
def test_imagenet_weights(architecture, tmp_path, monkeypatch):
    published = torchvision.models.mobilenet_v3_small()
    torch.save(published.state_dict(), tmp_path / "small.pth")
    monkeypatch.setattr(pretrained, "fetch_url", lambda _: tmp_path / "small.pth")
    register_encoders()  # twice does no harm
    network = getattr(smp, architecture)("mobiledense-v3-small", encoder_weights="imagenet", classes=2)
    images = torch.randn(1, 3, 64, 64)
    stem = network.encoder.backbone.stem
    with torch.no_grad():
        torch.testing.assert_close(stem.eval()(images), published.features[0].eval()(images))
    assert torch.equal(network.encoder.backbone.last.conv.weight, published.features[-1][0].weight)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_start_weights_for_images_of_other_channels(channels, tmp_path):
    source = create_backbone("v3-small")
    torch.save(source.state_dict(), tmp_path / "small.pth")
    network = smp.Unet("mobiledense-v3-small", encoder_weights=tmp_path / "small.pth", in_channels=channels)
    theirs = smp.Unet("mobiledense-v3-small", encoder_weights=None)
    theirs.encoder.backbone.load_state_dict(source.state_dict())
    smp.encoders._utils.patch_first_conv(theirs.encoder.backbone, channels, pretrained=True)
    expected = theirs.encoder.backbone.stem.conv.weight
    torch.testing.assert_close(network.encoder.backbone.stem.conv.weight, expected)
    assert network(torch.randn(2, channels, 64, 64)).shape == (2, 1, 64, 64)


def test_weights_that_there_are_not():
    with pytest.raises(
        FileNotFoundError, match=r'^swsl: no such weights file \(published ones are "imagenet" and'
    ) as said:
        smp.Unet("mobiledense-v3-small", encoder_weights="swsl")
    assert "\n" not in str(said.value)


def test_other_encoders_are_the_librarys(monkeypatch):
    with pytest.raises(KeyError, match="Wrong pretrained weights `nothing` for encoder `resnet18`"):
        smp.Unet("resnet18", encoder_weights="nothing")
    assert smp.Unet("mobilenet_v2", encoder_weights=None)(torch.randn(2, 3, 64, 64)).shape == (2, 1, 64, 64)
