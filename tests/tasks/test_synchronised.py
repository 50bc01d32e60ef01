"""Synchronised batch norms keep what timm's do besides: they activate."""

import pytest
import torch

from backbones import build_backbone, create_table
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


@pytest.mark.parametrize("name", ["timm:mobilenetv4_conv_small", "v3-small"])
def test_on_gpus(name):
    network, images = build_backbone(create_table(name)).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(images)["c5"]
        synchronised = GpuSynchronised().apply(network)
        assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in synchronised.modules())
        torch.testing.assert_close(synchronised(images)["c5"], expected)
