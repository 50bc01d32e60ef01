"""Networks on timm's backbones: checkpoints that build them again, folding, and start weights."""

import numpy as np
import pytest
import torch

from tasks import (
    CheckpointError,
    DetectionSpec,
    DetectionTask,
    SegmentationSpec,
    SegmentationTask,
    detection_table,
    segmentation_table,
)
from tasks.detection.weights import load_detection_weights

NAMES = ["timm:mobilenetv4_conv_small", "timm:ghostnet_050", "timm:resnet10t"]
COLOURS = [(0, 0, 0), (200, 0, 0)]


def segmenter(name, **options) -> SegmentationTask:
    return SegmentationTask(
        SegmentationSpec(segmentation_table(name, "lraspp"), "lraspp", ["a", "b"], COLOURS, (64, 64), **options)
    )


def detector(name) -> DetectionTask:
    return DetectionTask(DetectionSpec(detection_table(name), "ssdlite", ["a", "b"], COLOURS, (64, 64)))


@torch.no_grad()
def lively(task):
    for module in task.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    task.network.train()(torch.randn(4, 3, 64, 64))
    return task.eval()


def save(task, path):
    content = {"state_dict": task.state_dict()}
    task.on_save_checkpoint(content)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("build", [segmenter, detector])
@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_alone_builds_it_again(name, build, tmp_path):
    task = lively(build(name))
    again = type(task).load(save(task, tmp_path / "task.ckpt"), "cpu")
    assert again.spec.table == task.spec.table
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    first, second = task.predict([image])[0], again.predict([image])[0]
    if build is detector:
        assert len(first.scores) and np.array_equal(first.boxes, second.boxes)
    else:
        assert np.array_equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_folding_changes_nothing(name):
    task = lively(segmenter(name))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = task.network(images)
        folded = task.fold().network(images)
    assert expected.std() > 0.01
    torch.testing.assert_close(folded, expected, rtol=1e-4, atol=1e-4)


def test_an_auxiliary_loss_has_its_map():
    assert segmenter(NAMES[0], auxiliary=True).network.backbone.taps == ("c3.depthwise", "c5", "c4")


def test_a_checkpoint_of_another_architecture_starts_no_detection_network(tmp_path):
    path = save(detector(NAMES[1]), tmp_path / "ghost.ckpt")
    task = detector("v3-small")
    with pytest.raises(ValueError, match=r"ghost\.ckpt: holds timm:ghostnet_050, not mobilenet_v3_small "):
        load_detection_weights(task.network, task.spec, path)


def test_a_checkpoints_backbone_starts_another_task(tmp_path):
    source, task = segmenter(NAMES[1]), detector(NAMES[1])
    said = load_detection_weights(task.network, task.spec, save(source, tmp_path / "seg.ckpt"))
    total = len(task.network.backbone.state_dict())
    assert f"took {total} of {total} tensors" in said
    own = source.network.backbone.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in task.network.backbone.state_dict().items())


def test_a_table_of_a_network_that_is_gone(tmp_path):
    task = segmenter(NAMES[1])
    path = save(task, tmp_path / "task.ckpt")
    content = torch.load(path)
    content["mobiledense"]["table"]["name"] = "timm:gone"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"task\.ckpt: .*timm has no network \"gone\""):
        SegmentationTask.load(path)
