"""torchvision's trained networks by name: parity with random ones, names, and what is told without a network."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from backbones.weights_download import ADVICE
from datasets.voc_names import VOC_NAMES
from tasks import CheckpointError, TaskError, load_task
from tasks.hub_checkpoints import local_checkpoint, pinned, place
from tasks.published_scores import read_scores
from tasks.torchvision_checkpoints import NETWORKS

LRASPP, SSDLITE = NETWORKS
BARE = {"weights": None, "weights_backbone": None}


def shaken(network):
    """With batch norms that have seen something."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
    return network.eval()


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    detector = shaken(ssdlite320_mobilenet_v3_large(**BARE, num_classes=91))
    categories = NETWORKS[SSDLITE].weights.meta["categories"]
    with torch.no_grad():
        for branch in detector.head.classification_head.module_list:
            branch[1].weight.normal_(std=0.05)  # else all scores are alike
            none = [index for index, name in enumerate(categories) if name == "N/A"]
            branch[1].weight.unflatten(0, (-1, 91))[:, none] = 0
            branch[1].bias.unflatten(0, (-1, 91))[:, none] = -100  # never seen in training
        torch.manual_seed(0)
        segmenter = shaken(lraspp_mobilenet_v3_large(**BARE, num_classes=21))
        for last in (segmenter.classifier.low_classifier, segmenter.classifier.high_classifier):
            last.weight.normal_(std=1.0)
            last.bias.zero_()
        mean = segmenter(torch.rand(1, 3, 520, 600))["out"].mean((0, 2, 3))
        segmenter.classifier.low_classifier.bias.copy_(-mean)  # else one class is all there is
    return {LRASPP: segmenter, SSDLITE: detector}


@pytest.fixture
def published(theirs, tmp_path, monkeypatch):
    """Random weights in place of the published ones."""
    states = {NETWORKS[name].weights: network.state_dict() for name, network in theirs.items()}
    monkeypatch.setattr("tasks.torchvision_checkpoints.fetch_weights", lambda weights: states[weights])
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    return theirs


def photo(height, width):
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@torch.inference_mode()
def test_masks_are_torchvisions(published):
    task = load_task(f"torchvision:{LRASPP}", "cpu")
    assert task.spec.names == VOC_NAMES
    image = photo(520, 600)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (task.spec.mean, task.spec.std))
    x = (torch.from_numpy(image).permute(2, 0, 1) / 255 - mean) / std
    expected = published[LRASPP](x[None])["out"].argmax(1)[0].numpy()
    assert len(np.unique(expected)) > 1
    assert (task.predict([image])[0] == expected).mean() > 0.9999


def test_images_are_seen_with_a_shorter_side_of_520(published):
    task = load_task(f"torchvision:{LRASPP}", "cpu")
    seen = []
    task.network.backbone.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[2:])))
    masks = task.predict([photo(100, 130), photo(1040, 530)])
    assert [mask.shape for mask in masks] == [(100, 130), (1040, 530)]
    assert seen == [(520, 676), (1020, 520)]
    assert task.predict([photo(100, 130)], window=(256, 256))[0].shape == (100, 130)
    seen.clear()
    assert task.predict([photo(1, 4000)])[0].shape == (1, 4000)
    assert seen[0][0] * seen[0][1] <= 4096**2 * 1.01


@pytest.mark.parametrize("side", [0, -1, 2.5, "520", 10**9])
def test_a_shorter_side_that_cannot_be_is_refused(side, published):
    spec = load_task(f"torchvision:{LRASPP}", "cpu").spec
    with pytest.raises(TaskError, match="shorter_side cannot be"):
        replace(spec, shorter_side=side)


def test_scores_of_another_checkpoint_are_not_taken_for_it(tmp_path):
    told = {"checkpoint": "other.ckpt", "data": "d", "split": "val", "sha256": "0" * 64, "miou": 0.5}
    (tmp_path / "scores.json").write_text(json.dumps(told))
    with pytest.raises(TaskError, match="not of torchvision:"):
        read_scores([tmp_path / "scores.json"], Path(f"torchvision:{LRASPP}"), VOC_NAMES)


@torch.inference_mode()
def test_logits_and_offsets_of_boxes_are_torchvisions(published):
    task = load_task(f"torchvision:{SSDLITE}", "cpu")
    assert len(task.spec.names) == 80 and task.spec.names[:2] == ["person", "bicycle"] and "N/A" not in task.spec.names
    image, heads = torch.from_numpy(photo(320, 320)).permute(2, 0, 1)[None], []
    published[SSDLITE].head.register_forward_hook(lambda *given: heads.append(given[2]))
    (expected,) = published[SSDLITE]([image[0] / 255])
    logits, offsets = task.network(task.normalise(image))
    categories = NETWORKS[SSDLITE].weights.meta["categories"]
    kept = [index for index, name in enumerate(categories) if name != "N/A"]
    torch.testing.assert_close(logits, heads[0]["cls_logits"][:, :, kept], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(offsets, heads[0]["bbox_regression"], rtol=1e-4, atol=1e-4)
    (found,) = task.predict([photo(320, 320)])
    np.testing.assert_allclose(found.scores[:50], expected["scores"][:50].numpy(), atol=1e-3)
    names = {categories[label] for label in expected["labels"]}
    assert {task.spec.names[label] for label in found.labels} == names


def test_they_are_the_same_file_each_time(published):
    path = local_checkpoint(f"torchvision:{LRASPP}")
    before = path.read_bytes()
    assert local_checkpoint(f"torchvision:{LRASPP}").read_bytes() == before
    assert pinned(f"torchvision:{LRASPP}") == f"torchvision:{LRASPP}"
    assert str(place(path.__class__(f"torchvision:{LRASPP}"))) == f"runs/{LRASPP}/{LRASPP}.safetensors"


def test_an_unknown_one_names_the_nearest():
    with pytest.raises(CheckpointError, match='"lrasp_mobilenet_v3_large" on MobileNetV3; did you mean "lraspp_mobile'):
        load_task("torchvision:lrasp_mobilenet_v3_large")


def test_without_a_network_the_file_to_put_there_is_named(tmp_path, monkeypatch):
    def missing(weights):
        raise ConnectionError(f"could not fetch it; download it elsewhere and put it at x.pth, or {ADVICE}")

    monkeypatch.setattr("tasks.torchvision_checkpoints.fetch_weights", missing)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ConnectionError, match=r"put it at x\.pth$"):
        load_task(f"torchvision:{LRASPP}")
    assert list(tmp_path.iterdir()) == []


def test_predict_draws_what_one_sees(published, shapes, tmp_path, tool_here, monkeypatch):
    image = next((shapes / "JPEGImages").glob("val*"))
    options = ["--source", str(image), "--output", str(tmp_path / "out"), "--json"]
    tool_here("predict", "--checkpoint", f"torchvision:{LRASPP}", *options)
    found = json.loads((tmp_path / "out" / f"{image.stem}.json").read_text())
    assert found["classes"].keys() <= set(VOC_NAMES)
    assert (tmp_path / "out" / f"{image.stem}_overlay.png").is_file()


def test_training_starts_from_one(published, shapes, tmp_path, tool_here):
    options = ["--dataset", "voc", "--data-root", str(shapes), "--crop", "64", "64", "--max-images", "8"]
    options += ["--backbone", "v3-large", "--head", "lraspp-torchvision", "--epochs", "1", "--batch-size", "8"]
    options += ["--workers", "0", "--output", str(tmp_path), "--name", "started"]
    said = tool_here("train_seg", *options, "--weights", f"torchvision:{LRASPP}")
    assert "classes kept: background\n" in said and "took " in said
