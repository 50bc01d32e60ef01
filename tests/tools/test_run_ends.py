"""How a run ends, by steps, time or patience, also where it was broken off shortly before, and goes on with more."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from backbones.weights_download import sha256
from benchmarks.kills import differing_bits
from tasks import SegmentationTask
from tests.conftest import quick_run


def last(folder: Path) -> dict:
    return torch.load(folder / "last.ckpt", weights_only=False)


def signalled_in_validation(monkeypatch, when=lambda task: True):
    """From here on a SIGTERM comes in a validation, once `when` says so."""
    step, sent = SegmentationTask.validation_step, []

    def validate(self, batch, index):
        if not sent and when(self):
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        return step(self, batch, index)

    monkeypatch.setattr(SegmentationTask, "validation_step", validate)


@pytest.mark.parametrize("steps", [1, 2, 3])  # in the middle of an epoch, and at its end
def test_a_run_broken_off_in_its_last_validation_validates_on(steps, shapes, tmp_path, tool_here, monkeypatch):
    options = [*quick_run(shapes, tmp_path), "--width", "0.25", "--trainer.max_steps", str(steps), "--name"]
    tool_here("train_seg", *options, "whole")
    with monkeypatch.context() as patched:
        signalled_in_validation(patched, lambda task: task.global_step == steps)
        assert f"stopped by SIGTERM at step {steps}" in tool_here("train_seg", *options, "broken", succeeds=False)
    said = tool_here("train_seg", *options, "broken", "--resume")
    assert f"going on after step {steps}" in said and "best val/miou" in said
    assert differing_bits(tmp_path / "whole", tmp_path / "broken") == 0
    assert (tmp_path / "broken" / "best.ckpt").is_file() and (tmp_path / "broken" / "eval_val" / "iou.png").is_file()
    said = tool_here("train_seg", *options, "broken", "--resume")
    assert f"this run is finished, {steps} steps; more --trainer.max_steps would go on with it" in said


def test_a_run_broken_off_when_its_time_is_over_validates_on(shapes, tmp_path, tool_here, monkeypatch):
    options = [*quick_run(shapes, tmp_path), "--width", "0.25", "--repeat", "50", "--max-time", "1s", "--name", "timed"]
    with monkeypatch.context() as patched:
        signalled_in_validation(patched)
        tool_here("train_seg", *options, succeeds=False)
    before = last(tmp_path / "timed")
    assert not (tmp_path / "timed" / "best.ckpt").exists() and before["run"]["elapsed"] >= 1
    assert "best val/miou" in tool_here("train_seg", *options, "--resume")
    assert last(tmp_path / "timed")["global_step"] == before["global_step"]
    said = tool_here("train_seg", *options, "--resume")
    assert "this run is finished" in said and "more --max-time would go on with it" in said


def test_the_time_of_a_validation_that_is_broken_off_counts(shapes, tmp_path, tool_here, monkeypatch):
    options = [*quick_run(shapes, tmp_path), "--width", "0.25", "--max-time", "1h", "--name", "timed"]
    with monkeypatch.context() as patched:
        signalled_in_validation(patched, lambda task: time.sleep(3) is None)
        tool_here("train_seg", *options, succeeds=False)
    assert last(tmp_path / "timed")["global_step"] == 2  # which take a part of a second
    assert last(tmp_path / "timed")["run"]["elapsed"] >= 3


def test_a_time_given_later_counts_what_was_before(shapes, tmp_path, tool_here):
    options = [*quick_run(shapes, tmp_path), "--width", "0.25", "--name", "later"]
    tool_here("train_seg", *options)
    spent = last(tmp_path / "later")["run"]["elapsed"]
    assert spent > 0
    said = tool_here("train_seg", *options, "--resume", "--max-time", f"{int(spent) + 2}s")
    assert f"{int(spent) + 2}s in place of 2 epochs: the learning rate goes on as a run of {int(spent) + 2}s" in said
    assert int(spent) + 2 <= last(tmp_path / "later")["run"]["elapsed"] < int(spent) + 60


def test_more_patience_goes_on(shapes, tmp_path, tool_here, monkeypatch):
    options = [*quick_run(shapes, tmp_path), "--width", "0.25", "--name", "patient", "--patience"]
    options[options.index("--epochs") + 1] = "6"
    monkeypatch.setattr("tasks.segmentation.task.SegmentationTask.on_validation_epoch_end", constant)
    tool_here("train_seg", *options, "1")
    assert last(tmp_path / "patient")["global_step"] == 2 * 2
    said = tool_here("train_seg", *options, "1", "--resume")
    assert "this run is finished, 4 steps; more --patience would go on with it" in said
    tool_here("train_seg", *options, "3", "--resume")
    assert last(tmp_path / "patient")["global_step"] == 4 * 2


def constant(task: SegmentationTask) -> None:
    task.log("val/miou", 0.5)


def test_a_run_killed_before_its_evaluation_is_evaluated(checkpoint, shapes, tmp_path, tool_here):
    folder = tmp_path / "quick"
    shutil.copytree(checkpoint.parent, folder)
    options = [*quick_run(shapes, tmp_path), "--name", "quick", "--resume"]
    before = (folder / "eval_val" / "scores.json").read_text()
    shutil.rmtree(folder / "eval_val")
    (folder / "curves.png").unlink()
    assert "this run is finished" in tool_here("train_seg", *options)
    assert '"miou"' in before and (folder / "eval_val" / "scores.json").read_text().count("\n") == before.count("\n")
    assert (folder / "curves.png").is_file()
    (folder / "eval_val" / "scores.json").write_text(before.replace('"sha256": "', '"sha256": "0'))  # of a run before
    tool_here("train_seg", *options)
    assert json.loads((folder / "eval_val" / "scores.json").read_text())["sha256"] == sha256(folder / "best.ckpt")


def test_unlabelled_images_may_move_and_not_change(checkpoint, shapes, tmp_path, tool_here):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, path in enumerate(sorted((shapes / "JPEGImages").iterdir())[:4]):
        shutil.copy(path, photos / f"{number}.jpg")
    options = [*quick_run(shapes, tmp_path), "--name", "more", "--teacher", str(checkpoint), "--unlabelled"]
    tool_here("train_seg", *options, str(photos))
    options[options.index("--epochs") + 1] = "3"
    photos = photos.rename(tmp_path / "moved")
    said = tool_here("train_seg", *options, str(photos), "--resume")
    assert "going on after step" in said
    (photos / "3.jpg").rename(photos / "another.jpg")
    options[options.index("--epochs") + 1] = "4"
    said = tool_here("train_seg", *options, str(photos), "--resume", succeeds=False)
    assert "train had 20 images of other names or in another order; put the data back" in said
