"""Weights carried into a narrower network, held to the wide network with the lost channels masked."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from backbones import create_table
from search.widths import carry, find_widths, structure, with_widths
from tasks import (
    ClassificationSpec,
    ClassificationTask,
    DetectionSpec,
    DetectionTask,
    SegmentationSpec,
    SegmentationTask,
)

NAMES, COLOURS = ["one", "other"], [(0, 0, 0)] * 2


def make_task(kind, backbone, **options):
    """A task with random weights and statistics, no two of which are alike."""
    if kind == "segmentation":
        table = create_table(backbone, output_stride=16, rf2=True, **options)
        task = SegmentationTask(SegmentationSpec(table, "lraspp", NAMES, COLOURS, (64, 64)))
    elif kind == "detection":
        table, head = create_table(backbone, reduced_tail=True, **options), {"small_objects": True}
        task = DetectionTask(DetectionSpec(table, "ssdlite", NAMES, COLOURS, (64, 64), head))
    else:
        table = create_table(backbone, **options)
        task = ClassificationTask(ClassificationSpec(table, "classifier", NAMES, COLOURS, (64, 64)))
    for module in task.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(1000)
        elif getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias)
    return task.eval()


def mask(wide, slim):
    """Have the wide network put out 0 in every channel that the narrower one lacks, known by its scale in batch norm.

    Where there is no batch norm it is the bias. Of LR-ASPP's branch and its gate one is enough.
    """
    for name, module in wide.named_modules():
        own = dict(slim.named_modules())[name]
        masked = isinstance(module, nn.BatchNorm2d) or name.endswith(("squeeze_excite.reduce", "hidden.0"))
        if not masked:
            continue
        key = "weight" if isinstance(module, nn.BatchNorm2d) else "bias"
        kept = torch.isin(getattr(module, key), getattr(own, key)).float()
        assert kept.sum() == len(getattr(own, key))
        shaped = kept if isinstance(module, nn.Linear) else kept[:, None, None]
        module.register_forward_hook(lambda _, __, output, kept=shaped: output * kept)


KINDS = ["classification", "segmentation", "detection"]


@pytest.mark.parametrize("backbone", ["v3-small", "v3-large"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_carried_weights_give_the_outputs_of_the_masked_network(kind, backbone):
    task = make_task(kind, backbone, width=0.5)
    widths = find_widths(task)
    # all at once, by different shares so that no block gains or loses a layer
    less = {name: max(8, n * (2 if "expansion" in name else 3) // 4 // 8 * 8) for name, n in widths.items()}
    spec = with_widths(task.spec, less)
    assert spec is not None
    before = {key: tensor.clone() for key, tensor in task.state_dict().items()}
    slim = carry(task, spec)
    assert slim.spec == spec and find_widths(slim) != widths
    assert all(torch.equal(tensor, before[key]) for key, tensor in task.state_dict().items())
    mask(task.network, slim.network)
    images = torch.randn(2, 3, 64, 64)
    for found, expected in zip(as_tuple(slim.network(images)), as_tuple(task.network(images)), strict=True):
        assert found.std() > 1e-3
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


def as_tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_where_nothing_is_cut_nothing_changes(kind):
    task = make_task(kind, "v3-small", width=0.5)
    spec = with_widths(task.spec, find_widths(task))
    assert spec.table == task.spec.table
    slim, state = carry(task, spec), task.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in slim.state_dict().items())


def test_statistics_of_what_was_cut_begin_anew():
    task = make_task("detection", "v3-small", width=0.5)
    widths = find_widths(task)
    slim = carry(task, with_widths(task.spec, widths | {"extra1.half": 64, "block10.expansion": 64})).network
    counted = {name for name, buffer in slim.named_buffers() if name.endswith("tracked") and buffer == 0}
    cut = ["head.extra.0.0", "head.extra.0.1", "backbone.blocks.9.expand", "backbone.blocks.9.depthwise"]
    assert {name.rpartition(".norm")[0] or name.rpartition(".1.")[0] for name in counted} == {*cut}


def test_widths_are_cut_together_where_the_network_asks_for_it():
    task = make_task("classification", "v3-large")
    widths = find_widths(task)
    assert [*widths][:7] == [f"bottleneck{n}" for n in (16, 24, 40, 80, 112, 160)] + ["block2.expansion"]
    assert widths["block15.expansion"] == 960 and (widths["last"], widths["hidden"]) == (960, 1280)
    less = with_widths(task.spec, widths | {"bottleneck16": 8, "block5.expansion": 64, "hidden": 640}).table
    assert less.stem == less.rows[0].expanded == less.rows[0].out == 8  # the first block has no expansion
    assert (less.rows[4].expanded, less.rows[4].squeeze, less.rows[4].out) == (64, 16, 40)
    assert less.hidden == 640 and less.rows[5] == task.spec.table.rows[5]


def test_a_block_does_not_gain_or_lose_a_layer():
    """Which it would silently, as an expansion and a shortcut hang on equal numbers of channels."""
    task = make_task("classification", "v3-large")
    widths, seed = find_widths(task), task.spec
    assert with_widths(seed, widths | {"bottleneck112": 80}) is None  # block 11 would gain a shortcut
    assert with_widths(seed, widths | {"block4.expansion": 24}) is None  # and block 4 lose its expansion
    less = with_widths(seed, widths | {"bottleneck112": 72})
    assert structure(less.table) == structure(seed.table)


def test_a_stem_of_another_width_is_cut_alone_and_blocks_of_v1_follow_their_inputs():
    task = make_task("classification", "v1", width=0.5)
    widths = find_widths(task)
    assert widths["stem"] == 16 and not any("expansion" in name for name in widths)
    rows = with_widths(task.spec, widths | {"stem": 8, "bottleneck64": 40}).table.rows
    assert [(row.expanded, row.out) for row in rows[:3]] == [(8, 32), (32, 40), (40, 40)]


def test_squeeze_never_grows():
    task = make_task("classification", "mnasnet-a1")  # which squeezes to a quarter of the block's input
    widths = find_widths(task)
    row = task.spec.table.rows[3]
    less = with_widths(task.spec, widths | {"block4.expansion": row.expanded - 8}).table.rows[3]
    assert less.squeeze == row.squeeze and less == replace(row, expanded=row.expanded - 8)
