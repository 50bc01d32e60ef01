"""Prediction at its extremes: 108 megapixels in little memory, and ten thousand images in no more than a few."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.flatness import NAMES, small_tasks, watch_prediction, watch_training
from datasets import default_colours
from tasks import SegmentationSpec, SegmentationTask, segmentation_table
from tests.tools.command import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A JPEG of 12000x9000."""
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    random = np.random.default_rng(0)
    image = cv2.resize(random.integers(0, 256, (282, 375, 3), dtype=np.uint8), (12000, 9000))
    for top in range(0, 9000, 500):
        image[top : top + 500] ^= random.integers(0, 8, (500, 12000, 3), dtype=np.uint8)
    Image.fromarray(image).save(path, quality=90)
    return path


def largest_task(kind: str):
    if kind != "segmentation":
        return next(task for task in small_tasks() if task.kind == kind)
    table, colours = segmentation_table("v3-small", "lraspp"), default_colours(len(NAMES))
    return SegmentationTask(SegmentationSpec(table, "lraspp", NAMES, colours, (512, 512)))


@pytest.mark.parametrize("kind", ["segmentation", "detection", "classification"])
def test_two_gigabytes_are_enough_for_108_megapixels(large, tmp_path, kind):
    task = largest_task(kind)
    content = {"mobiledense": task.spec.to_dict() | {"task": kind}, "state_dict": task.state_dict()}
    torch.save(content, tmp_path / "a.ckpt")
    options = ["--checkpoint", tmp_path / "a.ckpt", "--source", large, "--output", tmp_path, "--window", "1024", "1024"]
    with subprocess.Popen([sys.executable, ROOT / "tools" / "predict.py", *options], stderr=subprocess.PIPE) as process:
        _, status, usage = os.wait4(process.pid, 0)
        said = process.stderr.read().decode()
    assert status == 0 and not said, said
    assert usage.ru_maxrss * 1024 <= 2e9
    written = {"segmentation": "large_mask.png", "detection": "large_boxes.png", "classification": "contact.png"}
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(tmp_path / written[kind]) as image:
        assert image.size == (12000, 9000) or kind == "classification"


@pytest.mark.parametrize("kind", ["segmentation", "detection", "classification"])
def test_memory_and_handles_stay_flat_over_ten_thousand_predictions(tmp_path, kind):
    task = next(task for task in small_tasks() if task.kind == kind)
    memory, handles = watch_prediction(task, tmp_path, 10_000).growth()
    assert memory < 16 and handles <= 0


def test_memory_and_handles_stay_flat_over_two_thousand_steps(tmp_path):
    memory, handles = watch_training(tmp_path, 2000).growth()
    assert memory < 48 and handles <= 0
