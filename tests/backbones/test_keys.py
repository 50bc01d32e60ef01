"""Our weights beside torchvision's and timm's: the same tensors give the same features, there and back."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from backbones import create_backbone, load_weights, torchvision_state_dict
from backbones.keys import timm_keys, torchvision_keys

TORCHVISION = {
    "v2": "mobilenet_v2",
    "mnasnet-b1": "mnasnet1_0",
    "v3-large": "mobilenet_v3_large",
    "v3-small": "mobilenet_v3_small",
}
# ours, options, timm's, sides of images: TensorFlow's padding is ours only where strides leave a pixel over
TIMM = [
    ("v1", {}, "mobilenetv1_100", (75, 64)),
    ("mnasnet-a1", {}, "semnasnet_100", (75, 64)),
    ("mnasnet-b1", {}, "mnasnet_100", (75, 64)),
    ("v2", {}, "mobilenetv2_100", (75, 64)),
    ("v2", {"width": 0.5}, "mobilenetv2_050", (75, 64)),
    ("v3-large", {}, "tf_mobilenetv3_large_100", (97, 65)),
    ("v3-small", {}, "tf_mobilenetv3_small_100", (97, 65)),
    ("v3-large", {"minimalistic": True}, "tf_mobilenetv3_large_minimal_100", (97, 65)),
    ("v3-small", {"minimalistic": True}, "tf_mobilenetv3_small_minimal_100", (97, 65)),
]


@torch.no_grad()
def randomised(network):
    """With lively batch norms, so that no tensor's place can be mistaken."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0, 0.5)
        norm.momentum = 1.0
    network.train()(torch.randn(2, 3, 65, 65))
    for norm in norms:
        norm.running_mean += 0.1 * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.8, 1.2)
    return network.eval()


@torch.no_grad()
def same_features(backbone, features, images):
    backbone.set_taps(["c5"])
    expected = features(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(backbone.eval()(images)["c5"], expected, rtol=0, atol=1e-5)


def features_of(theirs):
    return theirs.layers if isinstance(theirs, torchvision.models.MNASNet) else theirs.features


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_weights(name, tmp_path):
    theirs, ours = randomised(getattr(torchvision.models, TORCHVISION[name])()), create_backbone(name)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    report = load_weights(ours, tmp_path / "theirs.pth")
    assert sorted(report.taken) == sorted(ours.state_dict())
    assert report.unused and all(key.startswith("classifier.") for key in report.unused)
    same_features(ours, features_of(theirs), torch.randn(2, 3, 75, 64))


@pytest.mark.parametrize("name", TORCHVISION)
def test_our_weights_in_torchvisions_network(name, tmp_path):
    ours, theirs = randomised(create_backbone(name)), getattr(torchvision.models, TORCHVISION[name])().eval()
    torch.save(torchvision_state_dict(ours), tmp_path / "ours.pth")
    loaded = theirs.load_state_dict(torch.load(tmp_path / "ours.pth"), strict=False)
    assert not loaded.unexpected_keys
    assert loaded.missing_keys and all(key.startswith("classifier.") for key in loaded.missing_keys)
    same_features(ours, features_of(theirs), torch.randn(2, 3, 75, 64))


@pytest.mark.parametrize("name", ["v1", "mnasnet-a1"])
def test_networks_that_torchvision_does_not_have(name):
    with pytest.raises(ValueError, match=r"torchvision has no (mobilenet_v1|mnasnet_a1)"):
        torchvision_state_dict(create_backbone(name))


@pytest.mark.parametrize(("name", "options", "theirs", "size"), TIMM)
def test_timms_weights(name, options, theirs, size, tmp_path):
    theirs, ours = randomised(timm.create_model(theirs)), create_backbone(name, **options)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    report = load_weights(ours, tmp_path / "theirs.pth")
    assert sorted(report.taken) == sorted(ours.state_dict())
    head = ("classifier.", "conv_head.") if ours.table.hidden else ("classifier.",)
    assert report.unused and all(key.startswith(head) for key in report.unused)
    same_features(ours, theirs.forward_features, torch.randn(2, 3, *size))


@pytest.mark.parametrize("keys", [torchvision_keys, timm_keys])
@pytest.mark.parametrize("options", [{}, {"rf2": True}, {"width": 0.35}], ids=str)
@pytest.mark.parametrize("name", ["v2", "v3-large", "v3-small"])
def test_every_key_has_a_name_of_its_own(name, options, keys):
    with torch.device("meta"):
        backbone = create_backbone(name, **options)
    mapped = keys(backbone)
    assert list(mapped) == list(backbone.state_dict())
    assert len(mapped) == len(set(mapped.values()))
