"""Synchronised batch norms keep what timm's do besides: they activate."""

import pytest
import torch

from backbones import build_backbone, create_table
from tasks import synchronised
from tasks.synchronised import CpuSynchronised, GpuSynchronised


def kinds(network) -> list[str]:
    return [type(module).__name__ for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]


@pytest.mark.parametrize("name", ["timm:mobilenetv4_conv_small", "v3-small"])
def test_on_the_cpu_and_back(name):
    network, images = build_backbone(create_table(name)).train(), torch.randn(2, 3, 64, 64)
    before, expected = kinds(network), network(images)["c5"]
    CpuSynchronised().apply(network)
    assert {kind[:12] for kind in kinds(network)} == {"CrossProcess"}
    torch.testing.assert_close(network(images)["c5"], expected)
    CpuSynchronised().revert(network)
    assert kinds(network) == before


def test_batches_are_counted_over_processes(monkeypatch):
    """As `tasks.running_statistics` needs them; two processes with the same images are one with them twice."""
    monkeypatch.setattr(synchronised.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(synchronised.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(synchronised.dist, "all_reduce", lambda x: x.mul_(2))
    ours, plain = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    ours.__class__, images = synchronised.CrossProcessBatchNorm2d, torch.randn(2, 3, 8, 8)
    for _ in range(3):
        torch.testing.assert_close(ours(images), plain(torch.cat([images, images]))[:2])
    assert int(ours.num_batches_tracked) == int(plain.num_batches_tracked) == 3
    torch.testing.assert_close(ours.running_var, plain.running_var)


@pytest.mark.parametrize("name", ["timm:mobilenetv4_conv_small", "v3-small"])
def test_on_gpus(name):
    network, images = build_backbone(create_table(name)).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(images)["c5"]
        synchronised = GpuSynchronised().apply(network)
        assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in synchronised.modules())
        torch.testing.assert_close(synchronised(images)["c5"], expected)
