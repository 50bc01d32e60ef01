import pytest
import torch
from torch import nn

from heads import DETECTION_HEADS, SEGMENTATION_HEADS
from tasks import TaskError, detection_table, segmentation_table
from tasks.detection.task import DetectionNetwork, DetectionSpec
from tasks.readiness import choose_device, require_folder, require_step
from tasks.segmentation.task import SegmentationNetwork, SegmentationSpec

NAMES, COLOURS = ["a", "b"], [(0, 0, 0), (1, 1, 1)]


def segmenter(head: str, backbone: str = "v3-small") -> nn.Module:
    return SegmentationNetwork(SegmentationSpec(segmentation_table(backbone, head), head, NAMES, COLOURS, (64, 64)))


@pytest.mark.parametrize("head", SEGMENTATION_HEADS)
def test_a_step_of_two_is_possible(head):
    network = segmenter(head)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    require_step(network, 2, (160, 128))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("backbone", ["timm:mobilenetv4_conv_small", "timm:convnext_atto"])
def test_a_step_of_timms_networks_is_possible(backbone):
    require_step(segmenter("lraspp", backbone), 2, (64, 64))


@pytest.mark.parametrize("head", DETECTION_HEADS)
def test_ssdlite_needs_two(head):
    network = DetectionNetwork(DetectionSpec(detection_table("v3-small"), head, NAMES, COLOURS, (64, 64)))
    require_step(network, 2, (64, 64))
    with pytest.raises(TaskError, match="a batch of 1 of 64x64 leaves batch norm one value"):
        require_step(network, 1, (64, 64))
    with pytest.raises(ValueError, match="more than 1 value"):  # what it stands for
        network(torch.zeros(1, 3, 64, 64))


def test_one_is_enough_where_maps_are_larger():
    require_step(segmenter("lraspp"), 1, (64, 64))


def test_a_network_that_does_not_take_the_size():
    with pytest.raises(TaskError, match=r"cannot be trained on a batch of 2 of 8x8 \(.*Kernel"):
        require_step(nn.Conv2d(3, 4, 16), 2, (8, 8))


def test_devices():
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("abacus", "", "cuda:99", "meta"):
        with pytest.raises(TaskError, match=f"--device {name}: this machine has cpu"):
            choose_device(name)


def test_folders(tmp_path, monkeypatch):
    assert require_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(TaskError, match="file: is a file; name a folder with --output"):
            require_folder(path)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(TaskError, match="this user may not write there"):
        require_folder(tmp_path / "a")
