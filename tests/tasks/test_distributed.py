"""Several processes by torchrun: the curve of one, exact metrics, and what happens when a process is killed."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT, class_folders

EVERYWHERE = ["--workers", "0", "--warmup-steps", "0", "--optimizer", "sgd", "--trainer.log_every_n_steps", "1"]
EVERYWHERE += ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu", "--name", "run"]
# rates at which rounding, which training amplifies from step to step, stays small for 50 steps
OPTIONS = {
    "train_seg": ["--dataset", "voc", "--crop", "64", "64", "--batch-size", "8", "--lr", "1e-4"],
    "train_det": ["--dataset", "coco", "--size", "64", "64", "--batch-size", "8", "--lr", "3e-7"],
    "train_joint": ["--dataset", "coco", "--size", "64", "64", "--batch-size", "8", "--lr", "3e-7"],
    "train_cls": ["--dataset", "folder", "--size", "32", "32", "--batch-size", "16", "--lr", "5e-5"],
}


def torchrun(processes: int, *command: str, **environment: str) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [*launcher, *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trees(shapes, tmp_path_factory) -> dict[str, Path]:
    classes = class_folders(shapes, tmp_path_factory.mktemp("classes"))
    return {"train_seg": shapes, "train_det": shapes, "train_cls": classes, "train_joint": shapes}


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["train_seg", "train_det", "train_cls", "train_joint"])
def test_two_processes_give_the_curve_and_the_metrics_of_one(tool, trees, tmp_path, tool_here):
    steps = 17 if tool == "train_cls" else 25  # epochs of 2 or 3 steps
    options = [*OPTIONS[tool], *EVERYWHERE, "--data-root", str(trees[tool]), "--epochs", str(steps)]
    options += ["--trainer.check_val_every_n_epoch", str(steps)]
    two = torchrun(2, f"tools/{tool}.py", *options, "--output", str(tmp_path / "two"), "--trainer.devices", "2")
    tool_here(tool, *options, "--output", str(tmp_path / "one"))
    said = two.communicate(timeout=600)[0]
    assert two.returncode == 0, said
    one, two = (rows(tmp_path / name / "run") for name in ("one", "two"))
    assert len(one) == len(two) >= 50
    assert float(one[-1]["train/loss"]) != float(one[0]["train/loss"])
    for name in one[0].keys() - {"train/miou"}:
        for ours, theirs in zip(one, two, strict=True):
            assert bool(ours[name]) == bool(theirs[name])
            # scores of few images jump where rounding moves one pixel or box
            near = {"abs": 0.02} if name.startswith("val/") and name != "val/loss" else {"rel": 1e-4}
            if ours[name]:
                assert float(theirs[name]) == pytest.approx(float(ours[name]), **near), name


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_torchrun_goes_on(trees, tmp_path, tool_here):
    options = [*OPTIONS["train_seg"], *EVERYWHERE, "--data-root", str(trees["train_seg"]), "--epochs", "12"]
    options += ["--output", str(tmp_path / "two"), "--trainer.devices", "2", "--save-every", "3"]
    job = torchrun(2, "--max-restarts", "1", "tools/train_seg.py", *options)
    table, until = tmp_path / "two" / "run" / "metrics.csv", time.monotonic() + 200
    while not (table.is_file() and len(table.read_text().splitlines()) > 7) and time.monotonic() < until:
        time.sleep(0.05)
    found = subprocess.run(["pgrep", "-f", f"tools/train_seg.py.*{tmp_path}"], capture_output=True, text=True).stdout
    workers = [int(number) for number in found.split() if int(number) != job.pid]
    os.kill(workers[-1], signal.SIGKILL)
    said = job.communicate(timeout=600)[0]
    assert job.returncode == 0, said
    assert "going on after step" in said
    steps = [int(row["step"]) for row in rows(tmp_path / "two" / "run")]
    assert steps == list(range(24))


def test_a_killed_process_ends_the_job_within_seconds(trees, tmp_path):
    options = [*OPTIONS["train_seg"], *EVERYWHERE, "--data-root", str(trees["train_seg"]), "--epochs", "500"]
    job = torchrun(2, "tools/train_seg.py", *options, "--output", str(tmp_path), "--trainer.devices", "2")
    table, until = tmp_path / "run" / "metrics.csv", time.monotonic() + 200
    while not table.is_file() and time.monotonic() < until:
        time.sleep(0.05)
    found = subprocess.run(["pgrep", "-f", f"tools/train_seg.py.*{tmp_path}"], capture_output=True, text=True).stdout
    os.kill([int(number) for number in found.split() if int(number) != job.pid][-1], signal.SIGKILL)
    said = job.communicate(timeout=40)[0]
    assert job.returncode != 0 and "exitcode  : -9" in said


@pytest.mark.slow
def test_bfloat16_and_too_many_processes(trees, tmp_path):
    options = [*EVERYWHERE, *OPTIONS["train_seg"], "--data-root", str(trees["train_seg"]), "--epochs", "1"]
    half = ["--trainer.precision", "bf16-mixed", "--output", str(tmp_path / "half"), "--trainer.devices", "2"]
    job = torchrun(2, "tools/train_seg.py", *options, *half)
    said = job.communicate(timeout=300)[0]
    assert job.returncode == 0, said
    norm = torch.load(tmp_path / "half" / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in norm.values())
    tree = tmp_path / "tree"
    shutil.copytree(trees["train_seg"], tree)
    (tree / "ImageSets" / "Segmentation" / "val.txt").write_text("val_0000\n")
    options[options.index("--data-root") + 1] = str(tree)
    job = torchrun(2, "tools/train_seg.py", *options, "--output", str(tmp_path / "few"), "--trainer.devices", "2")
    said = job.communicate(timeout=300)[0]
    assert job.returncode != 0 and "2 processes are more than the 1 validation images" in said
