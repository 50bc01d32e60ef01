"""One training step of every backbone that README and the tests name, and networks that take images of one size."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from backbones import build_backbone, create_table
from tasks import SegmentationSpec, SegmentationTask, segmentation_table
from tests.conftest import class_folders

ROOT = Path(__file__).resolve().parents[2]
OURS = ["v1", "v2", "mnasnet-a1", "mnasnet-b1", "v3-large", "v3-small"]
TIMM = ["mobilenetv4_conv_small", "ghostnet_050", "resnet10t", "starnet_s050", "mambaout_femto"]
COLOURS = [(0, 0, 0), (200, 0, 0)]
# in a process of their own, which the gradient of one of their layers would end in channels_last memory
UNSAFE = ["timm:repvgg_a0", "timm:fastvit_t8"]
STEPS = f"""
from tests.tasks.test_training_steps import segmenter, step
for name in {UNSAFE}:
    step(segmenter(name), 160)
    print(name)
"""


def segmenter(name, **options) -> SegmentationTask:
    table = segmentation_table(name, "lraspp", **options)
    return SegmentationTask(SegmentationSpec(table, "lraspp", ["a", "b"], COLOURS, (160, 160)))


def step(task, side=64):
    images = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    target = torch.randint(0, 2, (2, side, side), dtype=torch.uint8)
    loss = task.criterion(task.network(task.normalise(images)), target)
    loss.backward()
    torch.optim.SGD(task.network.parameters(), 0.01).step()
    gradients = [parameter.grad for parameter in task.network.parameters() if parameter.grad is not None]
    assert loss.isfinite() and all(gradient.isfinite().all() for gradient in gradients)
    assert next(task.network.backbone.parameters()).grad.abs().sum() > 0


@pytest.mark.parametrize("name", [*OURS, *(f"timm:{name}" for name in TIMM)])
def test_a_step(name):
    task = segmenter(name)
    assert task.memory_format == torch.channels_last
    assert task.network.backbone.memory_format == torch.channels_last
    step(task)


def test_a_step_of_minimalistic_v3():
    step(segmenter("v3-small", minimalistic=True))


def test_networks_that_are_not_safe_in_channels_last():
    # the C library looks at its heap and ends the process where something wrote past its memory
    debug = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STEPS]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | debug, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout.split()) == (0, UNSAFE), done.stderr


@pytest.mark.parametrize("name", UNSAFE)
def test_their_memory_is_contiguous(name):
    task = segmenter(name)
    assert task.memory_format == torch.contiguous_format
    assert task.normalise(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).is_contiguous()


SWIN, MAXVIT = "timm:swin_tiny_patch4_window7_224", "timm:maxvit_tiny_tf_224"


@pytest.mark.parametrize(
    ("trainer", "name", "options", "size"),
    [
        ("train_seg", SWIN, ["--dataset", "voc", "--crop", "64", "96"], "64x96"),
        (
            "train_seg",
            SWIN,
            ["--dataset", "voc", "--crop", "224", "224"],
            "128x144",
        ),  # of the first image of validation
        ("train_seg", MAXVIT, ["--dataset", "voc", "--crop", "160", "160"], "160x160"),
        ("train_det", SWIN, ["--dataset", "coco", "--size", "320", "320"], "320x320"),
        ("train_cls", MAXVIT, ["--dataset", "folder", "--size", "64", "64"], "64x64"),
    ],
)
def test_a_size_that_a_network_cannot_take_is_one_line_before_training(
    trainer, name, options, size, shapes, tmp_path, tool_here
):
    root = class_folders(shapes, tmp_path / "tree") if trainer == "train_cls" else shapes
    where = ["--data-root", str(root), "--output", str(tmp_path / "runs"), "--batch-size", "2"]
    said = tool_here(trainer, "--backbone", name, *options, *where, succeeds=False)
    assert f"{name} is made for images of 224x224 and cannot take {size}: give it its size (--crop 224 224 " in said
    assert ("validation takes whole images" in said) == ("224" in options)
    assert not (tmp_path / "runs").exists()


def test_sizes_that_are_taken():
    backbone = build_backbone(create_table(MAXVIT))
    assert backbone.made_for == (224, 224)
    backbone.check_size(224, 448)
    assert build_backbone(create_table("v1")).made_for is None


def test_a_failure_at_the_right_size_is_shown_as_it_is(monkeypatch):
    backbone = build_backbone(create_table(SWIN))
    monkeypatch.setattr(backbone.network, "forward", lambda _: torch.zeros(2) + torch.zeros(3))
    with pytest.raises(RuntimeError, match="must match the size"):
        backbone(torch.zeros(1, 3, 224, 224))
