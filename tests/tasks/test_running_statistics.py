"""Batch norm's statistics while a training begins."""

import copy

import pytest
import torch
from torch import nn

from backbones import create_backbone, load_weights
from tasks.running_statistics import StartingAverage


def batches(count, offset=3.0, scale=2.0):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(8, 4, 5, 5, generator=generator) * scale + offset for _ in range(count)]


def train(norm, images, average):
    for batch in images:
        average.before()
        norm(batch)
        average.after()


@pytest.mark.parametrize("momentum", [0.01, 0.1, 0.5])
def test_the_first_batches_count_as_if_momentum_fell(momentum):
    ours, torchs = nn.BatchNorm2d(4, momentum=momentum), nn.BatchNorm2d(4)
    for count, batch in enumerate(batches(40), start=1):
        train(ours, [batch], StartingAverage(ours))  # begun anew for every batch, as a resumed run does
        torchs.momentum = max(10 / (count + 9), momentum)
        torchs(batch)
        torch.testing.assert_close(ours.running_mean, torchs.running_mean)
        torch.testing.assert_close(ours.running_var, torchs.running_var)
    assert ours.momentum == momentum and int(ours.num_batches_tracked) == 40


def test_a_converged_network_keeps_its_momentum():
    ours = nn.BatchNorm2d(4, momentum=0.01)
    ours.num_batches_tracked.fill_(1000)
    plain = copy.deepcopy(ours)
    average = StartingAverage(ours)
    train(ours, batches(3), average)
    for batch in batches(3):
        plain(batch)
    assert torch.equal(ours.running_mean, plain.running_mean) and torch.equal(ours.running_var, plain.running_var)
    assert not average.counts


@pytest.mark.parametrize("momentum", [None, 0.0, 1.0])
def test_other_momenta_are_left_alone(momentum):
    ours = nn.BatchNorm2d(4, momentum=momentum)
    plain = copy.deepcopy(ours)
    train(ours, batches(3), StartingAverage(ours))
    for batch in batches(3):
        plain(batch)
    assert torch.equal(ours.running_mean, plain.running_mean) and torch.equal(ours.running_var, plain.running_var)


def test_frozen_and_lacking_statistics_are_left_alone():
    frozen, without = nn.BatchNorm2d(4).eval(), nn.BatchNorm2d(4, track_running_stats=False)
    before = frozen.running_mean.clone()
    for norm in (frozen, without):
        train(norm, batches(2), StartingAverage(norm))
    assert torch.equal(frozen.running_mean, before) and without.running_mean is None


def test_narrowed_layers_begin_anew_and_the_others_go_on(tmp_path):
    full = create_backbone("v3-small")
    for norm in (module for module in full.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.num_batches_tracked.fill_(1000)
    torch.save(full.state_dict(), tmp_path / "full.pth")
    half = create_backbone("v3-small", rf2=True)
    load_weights(half, tmp_path / "full.pth")
    average = StartingAverage(half.train())
    average.before()
    half(torch.randn(2, 3, 64, 64))
    average.after()
    assert half.last.norm in average.counts and half.stem.norm not in average.counts
    assert half.stem.norm.running_var.allclose(torch.ones(16), atol=0.02)


def test_a_short_training_validates_as_it_trains(detector):
    """With the papers' momentum alone, the statistics of four steps are those of no step."""
    from tasks import DetectionTask

    state = torch.load(detector.parent / "last.ckpt", weights_only=True)["state_dict"]
    assert int(state["network.backbone.stem.norm.num_batches_tracked"]) == 4
    task = DetectionTask.load(detector.parent / "last.ckpt", "cpu")
    images = torch.rand(8, 3, 64, 64) * 4 - 2
    with torch.no_grad():
        running = task.network.backbone(images)[task.network.backbone.taps[-1]].std(0).mean()
        batch = task.train().network.backbone(images)[task.network.backbone.taps[-1]].std(0).mean()
    assert running > 0.1 * batch
