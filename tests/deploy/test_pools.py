"""No exported network has a pool whose cells depend on the size of its input, which keeps it off phones' GPUs."""

import pytest
import torch
from torch import nn

from deploy.graph import Graph
from deploy.pools import FixedPool
from heads import SEGMENTATION_HEADS
from tasks import SegmentationSpec, SegmentationTask
from tasks.segmentation.task import segmentation_table
from tasks.wings import load_task


@pytest.mark.parametrize("size", [1, 2, 3, 6, (2, 5), (None, 1)])
@pytest.mark.parametrize("shape", [(6, 6), (7, 13), (3, 2)])
def test_it_is_the_adaptive_pool(size, shape):
    x = torch.randn(2, 3, *shape)
    torch.testing.assert_close(FixedPool(size)(x), nn.AdaptiveAvgPool2d(size)(x))


def pools(graph):
    example = torch.zeros(1, *graph.size, 3, dtype=torch.uint8)
    names = {str(node.target) for node in torch.export.export(graph, (example,), strict=True).graph.nodes}
    assert any("conv2d" in name for name in names)
    return {name for name in names if name.startswith("aten") and "pool" in name}


OTHERS = ("raspp", "lraspp-torchvision", "deeplabv3plus", "upernet")


@pytest.mark.parametrize("head", ["lraspp", "pspnet", *(pytest.param(head, marks=pytest.mark.slow) for head in OTHERS)])
def test_segmentation(head):
    assert head in SEGMENTATION_HEADS
    table = segmentation_table("v3-small", head, width=0.25)
    task = SegmentationTask(SegmentationSpec(table, head, ["a", "b"], [(0, 0, 0)] * 2, (96, 80)))
    graph = Graph(task, "logits")
    assert pools(graph) <= {"aten.avg_pool2d.default"}
    x = torch.randint(0, 256, (1, 96, 80, 3), dtype=torch.uint8)
    expected = task.eval().network(task.normalise(x.permute(0, 3, 1, 2)))
    torch.testing.assert_close(graph(x)[0].permute(0, 3, 1, 2), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_others(detector, classifier):
    for checkpoint, kind in ((detector, "boxes"), (classifier, "probabilities")):
        assert pools(Graph(load_task(checkpoint, "cpu"), kind)) == set()
