"""Parts that training leaves as they are, and a backbone with a learning rate of its own."""

import pytest
import torch
import yaml
from torch import nn

from tasks import (
    ClassificationSpec,
    ClassificationTask,
    DetectionSpec,
    DetectionTask,
    Optimization,
    SegmentationSpec,
    SegmentationTask,
    classification_table,
    detection_table,
    segmentation_table,
)
from tasks.optim import build_optimizer
from tests.conftest import quick_run

NAMES, COLOURS, SIZE = ["a", "b"], [(0, 0, 0), (200, 0, 0)], (64, 64)
LAST = {
    "lraspp": {"classify_high", "classify_low"},
    "raspp": {"classify"},
    "lraspp-torchvision": {"classify_high", "classify_low"},
    "unet": {"classify"},
    "ssdlite": {f"{kind}_branches.{index}.1" for kind in ("class", "box") for index in range(6)},
    "classifier": {"classify"},
}


def task_of(head, **options):
    how = Optimization(**options)
    if head == "ssdlite":
        return DetectionTask(DetectionSpec(detection_table("v3-small"), head, NAMES, COLOURS, SIZE), how)
    if head == "classifier":
        table = classification_table("v3-small", SIZE)
        return ClassificationTask(ClassificationSpec(table, head, NAMES, COLOURS, SIZE), how)
    spec = SegmentationSpec(segmentation_table("v3-small", head), head, NAMES, COLOURS, SIZE, auxiliary=True)
    return SegmentationTask(spec, how)


def trained(task) -> set[str]:
    return {name.rpartition(".")[0] for name, parameter in task.network.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("head", LAST)
def test_what_is_frozen(head):
    plain = trained(task_of(head))
    assert trained(task_of(head, freeze="backbone")) == {name for name in plain if not name.startswith("backbone.")}
    assert trained(task_of(head, freeze="all_but_last")) == {f"head.{layer}" for layer in LAST[head]}


@pytest.mark.parametrize("freeze", [None, "backbone", "all_but_last"])
def test_frozen_batch_norms_stay_in_eval_mode(freeze):
    task = task_of("lraspp", freeze=freeze)
    for _ in range(2):  # as it is built, and as a trainer or the user sets it
        modes = {name: m.training for name, m in task.network.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert all(mode == (freeze is None) for name, mode in modes.items() if name.startswith("backbone."))
        assert modes["head.branch.1"] == (freeze != "all_but_last")
        task.eval()
        task.train()


def test_the_backbone_has_a_learning_rate_of_its_own():
    task = task_of("lraspp", lr=0.1, backbone_lr=0.01, warmup_steps=0, schedule="cosine")
    built = build_optimizer(task.optimization, task.network, 10)
    groups, own = built["optimizer"].param_groups, set(task.network.backbone.parameters())
    assert [group["lr"] for group in groups] == [0.1, 0.1, 0.01, 0.01]
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0, 0.01, 0.0]
    assert {p for group in groups[2:] for p in group["params"]} == own
    assert not own & {p for group in groups[:2] for p in group["params"]}
    for _ in range(5):
        built["optimizer"].step()
        built["lr_scheduler"]["scheduler"].step()
    assert [group["lr"] for group in groups] == pytest.approx([0.05, 0.05, 0.005, 0.005])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backbone_lr": 0.0}, "--backbone-lr 0.0 is not a number above 0"),
        ({"backbone_lr": 0.1, "freeze": "backbone"}, "--backbone-lr 0.1 moves a backbone that --freeze backbone keeps"),
    ],
)
def test_learning_rates_that_cannot_be(options, said):
    with pytest.raises(ValueError, match=said):
        Optimization(**options)


def test_random_weights_are_not_frozen(shapes, tmp_path, tool_here):
    said = tool_here("train_seg", *quick_run(shapes, tmp_path), "--freeze", "backbone", succeeds=False)
    assert "--freeze backbone would keep random weights: give some with --weights" in said
    assert not list(tmp_path.iterdir())


def test_a_run_leaves_what_is_frozen_alone_and_goes_on(checkpoint, shapes, tmp_path, tool_here):
    start = torch.load(checkpoint, weights_only=True)["state_dict"]
    options = [*quick_run(shapes, tmp_path), "--name", "frozen", "--weights", str(checkpoint), "--freeze", "backbone"]
    tool_here("train_seg", *options)
    last = tmp_path / "frozen" / "last.ckpt"
    end = torch.load(last, weights_only=True)["state_dict"]
    assert all(torch.equal(end[key], value) for key, value in start.items() if "backbone" in key)
    assert not torch.equal(end["network.head.classify_high.weight"], start["network.head.classify_high.weight"])
    assert yaml.safe_load((tmp_path / "frozen" / "config.yaml").read_text())["freeze"] == "backbone"
    said = tool_here("train_seg", *options[:-2], "--resume", succeeds=False)
    assert "--freeze None (was backbone)" in said
    options[options.index("--epochs") + 1] = "3"
    tool_here("train_seg", *options, "--resume")
    end = torch.load(last, weights_only=True)["state_dict"]
    assert all(torch.equal(end[key], value) for key, value in start.items() if "backbone" in key)
