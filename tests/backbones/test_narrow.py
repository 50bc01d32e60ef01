"""Weights of a wider network in a narrower one."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import nn

from backbones import build_backbone, create_table, load_weights
from backbones.narrow import narrow

CASES = [
    *(("v3-large", {option: value}) for option, value in (("rf2", True), ("reduced_tail", True), ("width", 0.75))),
    *(("v3-small", {option: value}) for option, value in (("rf2", True), ("reduced_tail", True), ("width", 0.75))),
    ("v3-small", {"rf2": True, "width": 0.75}),
    ("v2", {"rf2": True}),
    ("v2", {"width": 0.75, "scale_last": True}),
    ("mnasnet-a1", {"width": 0.75, "scale_last": True}),
    ("mnasnet-b1", {"width": 0.75}),
    ("v1", {"width": 0.5}),
]


@torch.no_grad()
def drop(layer, count, generator, dropped=None):
    """Have a convolution and its batch norm put out 0 in so many channels, chosen at random: which they are."""
    conv = layer.conv if hasattr(layer, "conv") else layer
    dropped = torch.randperm(conv.out_channels, generator=generator)[:count] if dropped is None else dropped
    conv.weight[dropped] = 0
    for tensor in (layer.norm.weight, layer.norm.bias, layer.norm.running_mean) if hasattr(layer, "norm") else ():
        tensor[dropped] = 0
    return dropped


@torch.no_grad()
def full_network(name, table):
    """The paper's network with random weights, of which all channels that `table` lacks put out 0."""
    full, generator = build_backbone(create_table(name)).eval(), torch.Generator().manual_seed(1)
    for norm in (module for module in full.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0, 0.3)
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
        norm.num_batches_tracked.fill_(1000)
    stream = drop(full.stem, full.table.stem - table.stem, generator)
    for block, ours, theirs in zip(full.blocks, table.rows, full.table.rows, strict=True):
        if isinstance(block.expand, nn.Identity):
            inner = stream
        else:
            inner = drop(block.expand, theirs.expanded - ours.expanded, generator)
        drop(block.depthwise, 0, generator, inner)
        if theirs.squeeze:
            block.squeeze_excite.reduce.bias.normal_()
            gone = drop(block.squeeze_excite.reduce, theirs.squeeze - ours.squeeze, generator)
            block.squeeze_excite.reduce.bias[gone] = 0
        stream = drop(block.project, theirs.out - ours.out, generator, stream if block.shortcut else None)
    if full.last is not None and table.last:
        drop(full.last, full.table.last - table.last, generator)
    return full


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@torch.no_grad()
def test_a_network_whose_dropped_channels_are_zero_gives_the_same_outputs(name, options, tmp_path):
    table = create_table(name, **options)
    full, half = full_network(name, table), build_backbone(table).eval()
    torch.save(full.state_dict(), tmp_path / "full.pth")
    report = load_weights(half, tmp_path / "full.pth")
    assert report.narrowed and not report.mismatched and not report.missing
    images = torch.randn(2, 3, 64, 64)
    found, expected = half(images), full(images)
    for tap, features in found.items():
        assert features.std() > 0.01
        # without channels that are 0 everywhere, as all dropped ones are
        left, kept = (maps[:, maps.abs().sum((0, 2, 3)) > 0] for maps in (features, expected[tap]))
        torch.testing.assert_close(left, kept, rtol=1e-4, atol=1e-4)


def test_batch_norms_of_narrowed_layers_count_anew(tmp_path):
    full, half = (build_backbone(create_table("v3-small", rf2=rf2)) for rf2 in (False, True))
    for norm in (module for module in full.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.num_batches_tracked.fill_(1000)
    torch.save(full.state_dict(), tmp_path / "full.pth")
    load_weights(half, tmp_path / "full.pth")
    counts = [int(half.get_submodule(name).num_batches_tracked) for name in ("stem.norm", "last.norm")]
    assert counts == [1000, 0]


def test_layers_of_another_kind_are_left_out():
    """A kernel of another size, more channels than there are, and a block without the expansion that the source has."""
    full, other = build_backbone(create_table("v3-small")), create_table("v3-small", minimalistic=True, rf2=True)
    cut = narrow(full.state_dict(), other, build_backbone(other).state_dict())
    assert "blocks.9.project.conv.weight" in cut and "blocks.9.depthwise.conv.weight" not in cut
    wide = create_table("v3-small", width=1.25)
    assert not narrow(full.state_dict(), wide, build_backbone(wide).state_dict())
    row = replace(full.table.rows[8], expanded=full.table.rows[7].out)
    bare = replace(full.table, rows=(*full.table.rows[:8], row, *full.table.rows[9:]))
    assert not narrow(full.state_dict(), bare, build_backbone(bare).state_dict())


@pytest.mark.parametrize("option", ["rf2", "reduced_tail"])
def test_the_report_tells_shares_of_the_parameters(option, tmp_path, caplog):
    full = build_backbone(create_table("v3-small"))
    torch.save(full.state_dict(), tmp_path / "full.pth")
    half = build_backbone(create_table("v3-small", **{option: True}))
    report = load_weights(half, tmp_path / "full.pth")
    sizes = {key: parameter.numel() for key, parameter in half.named_parameters()}
    narrowed = sum(sizes.get(key, 0) for key in report.narrowed) / sum(sizes.values())
    assert 0.3 < narrowed < 0.6
    said = f"{1 - narrowed:.1%} of the parameters as they are, {narrowed:.1%} narrowed to the most important channels"
    assert f"{said}, 0.0% left at random" in str(report)
    assert not caplog.records


def test_a_load_of_less_than_nine_tenths_is_a_warning(tmp_path, caplog):
    full, table = build_backbone(create_table("v3-small")), create_table("v3-small", rf2=True)
    state = {key: tensor for key, tensor in full.state_dict().items() if not key.startswith("blocks.10.depthwise")}
    torch.save(state, tmp_path / "part.pth")  # of which the halved stage cannot be filled
    with caplog.at_level(logging.WARNING):
        report = load_weights(build_backbone(table), tmp_path / "part.pth")
    share = report.share(report.taken, report.narrowed)
    assert share < 0.9 and report.mismatched and report.missing
    assert caplog.messages == [
        f"warning: only {100 * share:.1f} % of the parameters of mobilenet_v3_small (rf2) come from "
        f"{tmp_path / 'part.pth'}; the others start at random"
    ]


def test_another_network_is_not_narrowed(tmp_path):
    """V3-Large is wider than V3-Small nearly everywhere."""
    torch.save(build_backbone(create_table("v3-large")).state_dict(), tmp_path / "large.pth")
    with pytest.raises(ValueError, match="holds mobilenet_v3_large, not mobilenet_v3_small"):
        load_weights(build_backbone(create_table("v3-small", rf2=True)), tmp_path / "large.pth")
