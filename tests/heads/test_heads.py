from functools import cache

import pytest
import torch
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from backbones import TABLES, Backbone, create_backbone, load_weights
from heads import SEGMENTATION_HEADS, SegmentationLoss, backbone_options, create_segmentation_head, resize
from tasks import segmentation_table

CLASSES = 5
BACKBONES = ["v3-large", "v3-small"]
# PAN's global pyramid pools its deepest map three times
SIZES = {"pan": [(128, 128), (129, 150)]}


class Network(nn.Module):
    def __init__(self, head, backbone, **options):
        super().__init__()
        self.backbone = Backbone(segmentation_table(backbone, head))
        channels, strides = self.backbone.channels, self.backbone.strides
        self.head = create_segmentation_head(head, channels, strides, CLASSES, **options)
        self.backbone.set_taps(self.head.taps)

    def forward(self, images):
        return self.head(self.backbone(images))


@cache
def network(head, backbone):
    torch.manual_seed(0)
    return Network(head, backbone)


def photos(height, width, batch=2):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_the_list_of_heads_is_frozen():
    frozen = "lraspp raspp lraspp-torchvision unet unetplusplus manet linknet fpn pspnet pan deeplabv3 deeplabv3plus"
    assert " ".join(SEGMENTATION_HEADS) == f"{frozen} upernet segformer"


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("head", SEGMENTATION_HEADS)
def test_logits_of_any_size_of_image(head, backbone):
    model = network(head, backbone).eval()
    for height, width in SIZES.get(head, [(33, 50), (64, 64)]):
        with torch.no_grad():
            logits = model(photos(height, width))
        assert logits.shape[:2] == (2, CLASSES)
        # a map of the image, at some stride, that never loses a row
        stride = {"lraspp": 8, "lraspp-torchvision": 8, "raspp": 16}.get(head)
        if stride:
            assert logits.shape[2:] == (-(-height // stride), -(-width // stride))
        assert height / 32 <= logits.shape[2] <= height + 31
        assert width / 32 <= logits.shape[3] <= width + 31
        assert logits.isfinite().all()


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("head", SEGMENTATION_HEADS)
def test_backward_reaches_every_parameter_of_the_head(head, backbone):
    model = network(head, backbone).train()
    model.zero_grad()
    height, width = SIZES.get(head, [(33, 50)])[-1]
    target = torch.randint(0, CLASSES, (2, height, width), dtype=torch.uint8)
    SegmentationLoss()(model(photos(height, width)), target).backward()
    for key, parameter in model.head.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert model.backbone.stem.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("head", SEGMENTATION_HEADS)
def test_targets_without_a_label_give_a_zero_loss_with_gradients(head, backbone):
    model = network(head, backbone).train()
    model.zero_grad()
    height, width = SIZES.get(head, [(33, 50)])[0]
    loss = SegmentationLoss("cross_entropy+dice")(
        model(photos(height, width)), torch.full((2, height, width), 255, dtype=torch.uint8)
    )
    loss.backward()
    assert loss.item() == 0
    gradients = [parameter.grad for parameter in model.head.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


@pytest.mark.parametrize("head", ["lraspp", "raspp", "lraspp-torchvision", "unet"])
def test_the_raw_network_exports(head):
    model, images = network(head, "v3-small").eval(), photos(64, 64, batch=1)
    exported = torch.export.export(model, (images,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(images), model(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", ["lraspp", "unet", "segformer"])
def test_a_head_reads_the_values_of_all_its_taps(head):
    model = network(head, "v3-small").eval()
    with torch.no_grad():
        features = model.backbone(photos(64, 64))
        assert tuple(features) == model.head.taps
        whole = model.head(features)
        for tap in features:
            changed = features | {tap: features[tap] + torch.randn_like(features[tap])}
            assert not torch.equal(model.head(changed), whole), tap


@pytest.mark.parametrize("head", ["lraspp", "raspp", "lraspp-torchvision", "unet"])
@pytest.mark.parametrize("backbone", sorted(TABLES.keys() - set(BACKBONES)))
def test_every_family_learns_under_a_head(backbone, head):
    model = Network(head, backbone).train()
    target = torch.randint(0, CLASSES, (2, 33, 50), dtype=torch.uint8)
    SegmentationLoss()(model(photos(33, 50)), target).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.head.parameters())
    assert model.backbone.stem.conv.weight.grad.abs().sum() > 0


def batch_norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def randomised(model):
    """With batch norm's statistics taken from noise, and its scale and offset drawn, so that activations stay large."""
    for norm in batch_norms(model):
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0, 0.5)
        norm.momentum = 1.0
    model.train()(torch.randn(2, 3, 96, 96))
    for norm in batch_norms(model):
        norm.running_mean += 0.1 * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.8, 1.2)
    return model.eval()


def test_lraspp_torchvision_gives_torchvisions_logits(tmp_path):
    torch.manual_seed(0)
    theirs = randomised(lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21))
    torch.save(theirs.state_dict(), tmp_path / "lraspp.pth")
    backbone = create_backbone("v3-large", **backbone_options("lraspp-torchvision"), taps=["c3.first", "c5"]).eval()
    assert load_weights(backbone, tmp_path / "lraspp.pth").missing == []
    head = create_segmentation_head("lraspp-torchvision", backbone.channels, backbone.strides, 21).eval()
    names = {"cbr.0": "branch.0", "cbr.1": "branch.1", "scale.1": "gate"}
    names |= {"low_classifier": "classify_low", "high_classifier": "classify_high"}
    state = {}
    for key, value in theirs.classifier.state_dict().items():
        layer, part = key.rsplit(".", 1)
        state[f"{names[layer]}.{part}"] = value
    head.load_state_dict(state)
    images = torch.randn(2, 3, 97, 120)
    with torch.no_grad():
        found, expected = resize(head(backbone(images)), (97, 120)), theirs(images)["out"]
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def lraspp(output_stride=16, **options):
    strides = {"c3.depthwise": 8, "c5": output_stride}
    return create_segmentation_head("lraspp", {"c3.depthwise": 24, "c5": 40}, strides, CLASSES, **options).eval()


def gate_size(head, height, width):
    """Height and width of the gate's map when the deepest map is of the given size."""
    sizes = []
    handle = head.gate.register_forward_hook(lambda _module, _inputs, output: sizes.append(tuple(output.shape[2:])))
    head({"c3.depthwise": torch.zeros(1, 24, 2 * height, 2 * width), "c5": torch.zeros(1, 40, height, width)})
    handle.remove()
    return sizes[0]


@pytest.mark.parametrize(
    ("output_stride", "height", "width", "expected"),
    [
        (16, 65, 129, (2, 5)),  # Cityscapes: 49x49 pools with stride (16, 20)
        (16, 49, 49, (1, 1)),
        (16, 48, 49, (1, 1)),
        (16, 33, 129, (1, 5)),
        (16, 2, 3, (1, 1)),
        (16, 1, 1, (1, 1)),
        (32, 33, 65, (3, 9)),  # 25x25 pools with stride (4, 5)
        (32, 25, 30, (1, 2)),
        (32, 7, 7, (1, 1)),
        (8, 129, 257, (2, 5)),  # what a network that was trained at 16 sees when it is evaluated at 8
        (8, 64, 64, (1, 1)),
    ],
)
def test_lraspps_gate_pools_what_there_is(output_stride, height, width, expected):
    assert gate_size(lraspp(output_stride), height, width) == expected


@pytest.mark.parametrize(("output_stride", "height", "width"), [(16, 5, 7), (8, 64, 90)])
def test_lraspps_gate_averages_a_small_map_as_a_whole(output_stride, height, width):
    head = lraspp(output_stride)
    seen = []
    head.gate.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    deep = torch.randn(2, 40, height, width)
    with torch.no_grad():
        head({"c3.depthwise": torch.randn(2, 24, 2 * height, 2 * width), "c5": deep})
    torch.testing.assert_close(seen[0], deep.mean((2, 3), keepdim=True))


def test_lraspp_is_the_papers_formula():
    torch.manual_seed(0)
    head = lraspp(filters=16)
    low, high = torch.randn(2, 24, 9, 14), torch.randn(2, 40, 5, 7)
    with torch.no_grad():
        gate = head.gate(high.mean((2, 3), keepdim=True)).sigmoid()
        expected = head.classify_high(resize(head.branch(high) * gate, (9, 14))) + head.classify_low(low)
        found = head({"c3.depthwise": low, "c5": high})
    torch.testing.assert_close(found, expected)
    assert head.branch[0].out_channels == 16
    assert head.branch[0].bias is None
    assert head.gate.bias is not None


def test_raspp_sees_the_whole_image_through_its_pooled_branch():
    torch.manual_seed(0)
    head = create_segmentation_head("raspp", {"c5": 8}, {"c5": 16}, CLASSES, filters=4).eval()
    x = torch.randn(1, 8, 4, 6)
    changed = x.clone()
    changed[:, :, 0, 0] += 5
    with torch.no_grad():
        moved = (head({"c5": changed}) - head({"c5": x})).abs().amax((0, 1))
    assert (moved > 0).all()


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("lraspp", {"output_stride": 16, "rf2": True, "last_conv": False}),
        ("raspp", {"output_stride": 16, "last_conv": False}),
        ("lraspp-torchvision", {"output_stride": 16, "dilate_first": True}),
        ("unet", {"output_stride": 32}),
        ("deeplabv3plus", {"output_stride": 16}),
    ],
)
def test_backbone_options_are_the_papers(head, options):
    assert backbone_options(head) == options


def test_backbone_options_are_a_copy():
    backbone_options("lraspp")["rf2"] = False
    assert backbone_options("lraspp")["rf2"] is True


def test_the_librarys_own_options_reach_its_decoder():
    channels, strides = {f"c{level}": 8 for level in range(1, 6)}, {f"c{level}": 2**level for level in range(1, 6)}
    head = create_segmentation_head("unet", channels, strides, 3, decoder_channels=(40, 32, 24, 16, 12))
    assert head.classify.in_channels == 12
    with pytest.raises(ValueError, match='no option of unet "decoder_chanels"; did you mean "decoder_channels"'):
        create_segmentation_head("unet", channels, strides, 3, decoder_chanels=(40, 32, 24, 16, 12))


def test_building_a_decoder_leaves_the_library_as_it_was():
    import segmentation_models_pytorch as smp

    before = set(smp.encoders.encoders)
    Network("fpn", "v3-small")
    assert set(smp.encoders.encoders) == before


@pytest.mark.parametrize(("name", "near"), [("lrasp", "lraspp"), ("deeplab-v3", "deeplabv3"), ("Unet", "unet")])
def test_unknown_head_names_the_nearest(name, near):
    with pytest.raises(ValueError, match=f'no segmentation head "{name}"; did you mean "{near}"'):
        backbone_options(name)
    with pytest.raises(ValueError, match=f'no segmentation head "{name}"; did you mean "{near}"'):
        create_segmentation_head(name, {}, {}, 2)


def test_a_head_like_no_other_gets_the_whole_list():
    with pytest.raises(ValueError, match=r'no segmentation head "zzz" \(there are lraspp, .*, segformer\)'):
        backbone_options("zzz")
