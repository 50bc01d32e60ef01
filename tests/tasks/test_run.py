import os

import numpy as np
import pytest
import torch

from datasets import AugmentSegmentation, SegmentationAugmentation, SegmentationDataset, find_segmentation
from tasks import Optimization, RunError, SegmentationSpec, SegmentationTask, TaskError, segmentation_table
from tasks.callbacks import Interval
from tasks.options import Run
from tasks.run import _restarted, train_run


@pytest.mark.parametrize(
    "text, interval", [("500", Interval(steps=500)), ("90s", Interval(seconds=90)), ("2h", Interval(seconds=7200))]
)
def test_how_often_is_read(text, interval):
    assert Interval.parse(text) == interval


@pytest.mark.parametrize("text", ["", "0", "0m", "-5", "5 apples", "m", "1.5h"])
def test_how_often_is_refused(text):
    with pytest.raises(RunError, match="--save-every"):
        Interval.parse(text)


@pytest.mark.parametrize(
    "option, value",
    [
        ("lr", 0),
        ("lr", -1),
        ("lr", 1e300),
        ("lr", float("nan")),
        ("momentum", 1.0),
        ("weight_decay", -1),
        ("power", -1),
    ],
)
def test_numbers_of_the_optimiser_are_refused(option, value):
    with pytest.raises(TaskError, match=f"--{option.replace('_', '-')} "):
        Optimization(**{option: value})


def test_images_are_drawn_with_the_averaged_weights_that_are_saved(shapes, tmp_path):
    train, val = (find_segmentation("voc", split, shapes) for split in ("train", "val"))
    spec = SegmentationSpec(segmentation_table("v3-small", "lraspp"), "lraspp", train.names, train.colours, (64, 64))
    task = SegmentationTask(spec, Optimization(optimizer="sgd", lr=0.1))
    drawn = {}

    def draw(task, samples):
        drawn.update({name: tensor.clone() for name, tensor in task.state_dict().items()})
        return np.zeros((8, 8, 3), np.uint8)

    run = Run(output=tmp_path, name="run", workers=0, trainer={"enable_progress_bar": False})
    samples = (
        SegmentationDataset(train, AugmentSegmentation(SegmentationAugmentation(), (64, 64))),
        SegmentationDataset(val),
    )
    train_run(run, task, *samples, "", 1, 8, draw)
    saved = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    for name, tensor in saved["state_dict"].items():
        assert torch.equal(tensor, drawn[name]), name
    key = "network.head.classify_high.weight"
    assert not torch.equal(saved["current_model_state"][key], drawn[key])


def test_what_torchrun_restarted_goes_on_with_its_own_checkpoint_alone(tmp_path, monkeypatch):
    last = tmp_path / "last.ckpt"
    last.touch()
    assert not _restarted(last)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert _restarted(last)  # it is younger than the process that runs the tests
    os.utime(last, (10**9, 10**9))
    assert not _restarted(last)
    last.unlink()
    assert not _restarted(last)
