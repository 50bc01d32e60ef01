"""The rows that the papers print: what is printed, and exactly what our networks count to."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch

from backbones import TABLES, BackboneOptions, table_options
from backbones.counting import count_costs, count_layers
from tasks.costs import build_network
from tasks.paper_costs import PAPER_ROWS, PROFILER
from tests.conftest import class_folders

# paper | row | parameters | multiply-adds, as an independent counter has them too
LINES = (Path(__file__).parent / "paper_rows.txt").read_text(encoding="utf-8").splitlines()
EXPECTED = {tuple(line.split(" | ")[:2]): tuple(map(int, line.split(" | ")[2:])) for line in LINES}


@pytest.mark.parametrize("row", PAPER_ROWS, ids=lambda row: f"{row.paper}, {row.name}")
def test_paper_rows(row):
    assert row.counted == EXPECTED[row.paper, row.name]
    apart = max(abs(share) for share in row.apart() if share is not None)
    assert (apart > 0.025) == bool(row.note)
    assert apart < 0.2


@pytest.mark.parametrize(
    ("paper", "name", "expected"),
    [
        ("V2, Google's page of networks", "V2 1", 300.8837),
        ("V3 paper, Tables 3 and 4", "V3-Large 1", 219.6756),
        ("V3 paper, Tables 3 and 4", "V3-Small 1", 58.0270),
        ("V3 paper, Table 6", "V2", 789.1),
        ("V3 paper, Table 6", "V3-Large reduced", 512.5),
        ("V3 paper, Table 7", "V2 R-ASPP 256", 21277.7),
        ("V3 paper, Table 7", "V3-Large R-ASPP 256", 18431.7),
        ("V3 paper, Table 7", "V3-Large RF2 LR-ASPP 128", 9734.8),
        ("V3 paper, Table 7", "V3-Small RF2 LR-ASPP 128", 2898.9),
        ("V3 paper, Table 8", "V3-Small at 32, half size", 523.5),
    ],
)
def test_what_the_profiler_counts(paper, name, expected):
    """An independent counter's figures."""
    (row,) = [row for row in PAPER_ROWS if (row.paper, row.name) == (paper, name)]
    assert row.profiled / 1e6 == pytest.approx(expected, rel=4e-3)


def test_the_profiler_explains_what_it_is_said_to():
    rows = [row for row in PAPER_ROWS if row.note == PROFILER]
    assert len(rows) == 6
    assert all(abs(row.profiled / row.madds / 1e6 - 1) < 0.02 < abs(row.apart()[1]) for row in rows)


def test_every_row_is_here_once():
    assert sorted((row.paper, row.name) for row in PAPER_ROWS) == sorted(EXPECTED)


# V3 paper, Table 6; V2 paper, Table 2: figures that other tests and README name
@pytest.mark.parametrize(
    ("backbone", "options", "head", "size", "expected"),
    [
        ("v2", {"width": 0.35}, "ssdlite", (320, 320), (929_531, 166_713_786)),
        ("mnasnet-a1", {"round_squeeze": True, "output_stride": 32}, "ssdlite", (320, 320), (4_879_455, 837_836_992)),
        ("v3-large", {}, "lraspp", (1025, 2049), (1_489_166, 9_533_209_824)),
    ],
)
def test_options_of_the_command_line_reach_the_count(backbone, options, head, size, expected):
    costs = count_costs(build_network(backbone, head, options=BackboneOptions(**options), size=size), *size)
    assert (costs.params_without_norm, costs.madds) == expected


TRAINED = [
    ("train_seg", "lraspp", ["--backbone", "v2", "--width", "0.5", "--last-conv", "true"]),
    ("train_seg", "unet", ["--backbone", "v3-small", "--output-stride", "16", "--auxiliary", "0.4"]),
    ("train_seg", "raspp", ["--backbone", "timm:mobilenetv4_conv_small", "--head-options.filters", "64"]),
    ("train_det", "ssdlite", ["--backbone", "v2", "--width", "0.35"]),
    ("train_det", "ssdlite", ["--backbone", "mnasnet-a1", "--round-squeeze", "true"]),
    ("train_det", "ssdlite-torchvision", ["--backbone", "v3-small", "--head-options.small_objects", "true"]),
    ("train_cls", "classifier", ["--backbone", "v1", "--width", "0.25"]),
    ("train_cls", "classifier", ["--backbone", "mnasnet-b1", "--scale-last", "true", "--width", "0.5"]),
]


@pytest.mark.parametrize(("trainer", "head", "options"), TRAINED)
def test_profile_counts_what_training_builds(trainer, head, options, shapes, tool_here, tmp_path, monkeypatch):
    trained = []

    monkeypatch.setattr("tasks.commands.train_run", lambda _, task, *__, **___: trained.append(task))
    data = {
        "train_seg": ["--dataset", "voc", "--crop", "64", "64"],
        "train_det": ["--dataset", "coco", "--size", "64", "64"],
        "train_cls": ["--dataset", "folder", "--size", "32", "32"],
    }
    root = class_folders(shapes, tmp_path) if trainer == "train_cls" else shapes
    given = [] if trainer == "train_cls" else ["--head", head]
    tool_here(trainer, *data[trainer], "--data-root", str(root), *given, *options, "--check-data", "false")
    task = trained[0]
    height, width = task.spec.input_size
    classes = str(len(task.spec.names))
    said = tool_here("cost", "--head", head, "--size", str(height), str(width), "--classes", classes, *options)
    expected = count_costs(task.network, height, width)
    assert f"parameters {expected.params:,} " in said
    assert f"{height}x{width}: {expected.madds / 1e6:,.2f} M multiply-adds" in said


def test_every_option_of_every_backbone_is_one_of_the_tools():
    known = {option for name in TABLES for option in table_options(name)}
    assert {field.name for field in fields(BackboneOptions)} == known


@pytest.mark.parametrize("head", ["none", "classifier", "lraspp", "unet", "ssdlite"])
def test_layers_add_up(head):
    network = build_network("v3-small", head)
    layers, total = count_layers(network, 96, 128), count_costs(network, 96, 128)
    assert sum(layer.params for layer in layers) == total.params
    assert sum(layer.params_without_norm for layer in layers) == total.params_without_norm
    assert sum(layer.madds for layer in layers) == total.madds
    assert all(parameter.device == torch.device("meta") for parameter in network.parameters())


def test_lraspp_asks_for_rf2_and_output_stride_16_by_itself():
    given = build_network("v3-large", "lraspp", options=BackboneOptions(rf2=True, output_stride=16))
    assert build_network("v3-large", "lraspp").backbone.table == given.backbone.table


def test_options_go_to_the_backbone_and_the_head():
    wide, slim = (build_network("v3-large", "lraspp", options=BackboneOptions(width=width)) for width in (None, 0.5))
    assert count_costs(slim, 64, 64).madds < count_costs(wide, 64, 64).madds / 2
    assert build_network("v3-large", "lraspp", 5, {"filters": 64}).head.branch[0].out_channels == 64
