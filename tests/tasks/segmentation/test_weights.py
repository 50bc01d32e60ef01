"""Start weights of a segmentation network: classes of the same name keep their rows."""

import pytest
import torch

from datasets import default_colours
from tasks import SegmentationSpec, SegmentationTask, segmentation_table
from tasks.segmentation.weights import load_segmentation_weights


def make(names, head="lraspp", seed=0, backbone="v3-small"):
    torch.manual_seed(seed)
    table = segmentation_table(backbone, head, width=0.5)
    return SegmentationTask(SegmentationSpec(table, head, names, default_colours(len(names)), (64, 64)))


@pytest.fixture
def source(tmp_path):
    task = make(["background", "cat", "dog"])
    torch.save({"state_dict": task.state_dict(), "mobiledense": task.describe()}, tmp_path / "a.ckpt")
    return task, tmp_path / "a.ckpt"


@pytest.mark.parametrize("head", ["lraspp", "lraspp-torchvision", "raspp", "fpn"])
def test_classes_of_the_same_name_keep_their_rows(head, tmp_path):
    old = make(["background", "cat", "dog"], head)
    torch.save({"state_dict": old.state_dict(), "mobiledense": old.describe()}, tmp_path / "a.ckpt")
    new = make(["background", "cow", "dog", "cat"], head, seed=1)
    before = {key: tensor.clone() for key, tensor in new.network.head.state_dict().items()}
    said = load_segmentation_weights(new.network, new.spec, tmp_path / "a.ckpt")
    assert "classes kept: background, dog, cat" in said and "network.head" not in said
    last = {id(parameter) for layer in new.network.head.last_layers for parameter in layer.parameters()}
    theirs = old.network.head.state_dict()
    for key, own in new.network.head.state_dict(keep_vars=True).items():
        if id(own) in last:
            assert torch.equal(own[[0, 2, 3]], theirs[key][[0, 2, 1]]), key
            assert torch.equal(own[1], before[key][1]), key
        else:
            assert torch.equal(own, theirs[key]), key


def test_another_head_takes_the_backbone_alone(source):
    new = make(["background", "cat"], "raspp", seed=1)
    before = {key: tensor.clone() for key, tensor in new.network.head.state_dict().items()}
    said = load_segmentation_weights(new.network, new.spec, source[1])
    assert "masks: " not in said
    assert all(torch.equal(tensor, before[key]) for key, tensor in new.network.head.state_dict().items())


def test_a_bare_backbone_is_taken(source, tmp_path):
    new, backbone = make(["a", "b"], seed=1), source[0].network.backbone
    torch.save(backbone.state_dict(), tmp_path / "b.pth")
    assert "masks: " not in load_segmentation_weights(new.network, new.spec, tmp_path / "b.pth")
    for key, tensor in new.network.backbone.state_dict().items():
        assert torch.equal(tensor, backbone.state_dict()[key])
