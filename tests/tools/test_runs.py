"""A run's folder: what is never lost, what is refused, and how a run stops and goes on."""

import csv
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from tasks.lock import locked
from tasks.trainer import build_trainer
from tests.conftest import ROOT, quick_run
from tests.tools.command import tool


@pytest.fixture
def old_run(checkpoint, tmp_path) -> Path:
    """A finished run of two epochs, called quick, in a folder of its own."""
    shutil.copytree(checkpoint.parent, tmp_path / "quick")
    return tmp_path / "quick"


def again(shapes: Path, run: Path, *more: str, epochs: int | None = None) -> list[str]:
    options = [*quick_run(shapes, run.parent), "--name", run.name, *more]
    if epochs:
        options[options.index("--epochs") + 1] = str(epochs)
    return options


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_overwrite_leaves_what_no_run_wrote(old_run, shapes, tool_here):
    (old_run / "notes.txt").write_text("mine")
    (old_run / "predictions").mkdir()
    (old_run / "predictions" / "a.png").write_text("mine too")
    kept = [
        old_run / name for name in ("eval_val/mine.png", "eval_val/mine.json", "images/epoch_best.png", ".partners")
    ]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine as well")
    before = (old_run / "best.ckpt").stat().st_mtime_ns
    tool_here("train_seg", *again(shapes, old_run, "--overwrite", "--seed", "1"))
    assert (old_run / "notes.txt").read_text() == "mine"
    assert (old_run / "predictions" / "a.png").read_text() == "mine too"
    assert all(path.read_text() == "mine as well" for path in kept)
    assert (old_run / "best.ckpt").stat().st_mtime_ns != before
    assert len(list(old_run.glob("events.out.tfevents.*"))) == 1
    assert len(rows(old_run)) == len({row["step"] for row in rows(old_run)})


@pytest.mark.parametrize("action", [[], ["--overwrite"], ["--resume"]])
def test_a_folder_of_somebody_elses_is_left_alone(action, shapes, tmp_path, tool_here):
    own = tmp_path / "mine"
    own.mkdir()
    for name in ("config.yaml", "metrics.csv", "notes.txt"):
        (own / name).write_text("somebody's own")
    before = content(tmp_path)
    for _ in range(2):
        said = tool_here("train_seg", *quick_run(shapes, tmp_path), "--name", "mine", *action, succeeds=False)
        assert "holds a config.yaml that no run wrote" in said
        assert content(tmp_path) == before


@pytest.mark.parametrize("action", [[], ["--overwrite"], ["--resume"]])
def test_no_kind_of_run_replaces_another(action, old_run, shapes, tmp_path, tool_here):
    given = {"train_seg": quick_run(shapes, tmp_path)}
    given["netadapt"] = [*given["train_seg"][:4], "--checkpoint", str(shutil.copy(old_run / "best.ckpt", tmp_path))]
    given["netadapt"] += ["--output", str(tmp_path)]
    left = {"search": {"trials.db": "", "best.ckpt": ""}, "NetAdapt": {"iteration_00.ckpt": "", "history.json": "{}"}}
    left["a search with its trials elsewhere"] = {"history.json": '{"trials": []}', "best.ckpt": "", "config.yaml": ""}
    for kind, files in left.items():
        (tmp_path / kind).mkdir()
        for name, text in files.items():
            (tmp_path / kind / name).write_text(text)
    before = content(tmp_path)
    for tool_, name, kind in (
        ("train_seg", "search", "search"),
        ("train_seg", "NetAdapt", "NetAdapt"),
        ("train_seg", "a search with its trials elsewhere", "search"),
        ("netadapt", "search", "search"),
        ("netadapt", "quick", "training"),
    ):
        said = tool_here(tool_, *given[tool_], "--name", name, *action, succeeds=False)
        assert f"{tmp_path / name}: holds files of a {kind} run; name another --name or --output" in said
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", [".", "..", "../../x", "/tmp/x", "a/../..", "", "  ", "n" * 300])
def test_a_name_stays_inside_the_output_folder(name, shapes, tmp_path, tool_here):
    (tmp_path / "config.yaml").write_text("somebody's own")
    before = content(tmp_path)
    said = tool_here("train_seg", *quick_run(shapes, tmp_path), "--name", name, "--overwrite", succeeds=False)
    assert "--name" in said
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--lr", "-1"],
        ["--workers", "-1"],
        ["--power", "-1"],
        ["--label-smoothing", "2"],
        ["--weight-decay", "-1"],
        ["--ema", "2"],
        ["--save-every", "often"],
        ["--max-time", "often"],
        ["--max-time", "5"],
        ["--max-time", "0s"],
        ["--repeat", "0"],
        ["--batch-size", "0"],
        ["--trainer.accumulate_grad_batches", "0"],
        ["--trainer.limit_train_batches", "-1"],
        ["--trainer.val_check_interval", "500"],
        ["--trainer.accelerator", "nothing"],
        ["--trainer.devices", "0"],
        ["--trainer.limit_train_batches", "0"],
        ["--trainer.check_val_every_n_epoch", "0"],
        ["--trainer.fast_dev_run", "true"],
        ["--trainer.num_nodes", "2"],
        ["--trainer.callbacks", "x"],
        ["--trainer.precision", "7"],
        ["--trainer.precision", "bf16-true"],
        ["--trainer.val_check_interval", "0"],
        ["--trainer.check_val_every_n_epoch", "0"],
        ["--trainer.detect_anomaly", "maybe"],
        ["--trainer.logger", "x"],
        ["--trainer.max_time", "5"],
        ["--trainer.accelerator", "tpu"],
        ["--weights", "none.pth"],
    ],
)
def test_a_start_that_fails_leaves_the_old_run(options, old_run, shapes, tool_here):
    before = content(old_run)
    said = tool_here("train_seg", *again(shapes, old_run, "--overwrite", *options), succeeds=False)
    assert "Traceback" not in said
    assert content(old_run) == before | {".lock": b""}


def test_a_start_that_is_interrupted_leaves_the_old_run(old_run, shapes, tool_here, monkeypatch):
    before = content(old_run)

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return build_trainer(*arguments, **options)

    monkeypatch.setattr("tasks.run.build_trainer", interrupted)
    said = tool_here("train_seg", *again(shapes, old_run, "--overwrite", "--seed", "1"), succeeds=False)
    assert "stopped by SIGTERM at step 0: nothing to save yet" in said
    assert content(old_run) == before | {".lock": b""}


def test_a_first_step_that_fails_leaves_the_old_run(old_run, shapes, tool_here, monkeypatch):
    before = content(old_run)

    def too_large(*_):
        raise MemoryError

    monkeypatch.setattr("tasks.SegmentationTask.training_step", too_large)
    assert "out of memory" in tool_here("train_seg", *again(shapes, old_run, "--overwrite"), succeeds=False)
    assert content(old_run) == before | {".lock": b""}


def test_a_start_that_fails_leaves_no_folder(shapes, tmp_path, tool_here):
    output = tmp_path / "deep" / "runs"
    tool_here("train_seg", *quick_run(shapes, output), "--trainer.accumulate_grad_batches", "0", succeeds=False)
    tool_here("train_seg", *quick_run(shapes, output), "--trainer.val_check_interval", "500", succeeds=False)
    assert list(tmp_path.iterdir()) == []


def test_config_says_nothing_of_the_folder(old_run, shapes, tmp_path, tool_here):
    tool_here("train_seg", *again(shapes, old_run, "--overwrite"))
    config = yaml.safe_load((old_run / "config.yaml").read_text())
    assert not {"overwrite", "resume"} & config.keys()
    said = tool_here("train_seg", "--config", str(old_run / "config.yaml"), succeeds=False)
    assert "holds a run" in said


@pytest.mark.parametrize("option", ["--config", "--conf"])
@pytest.mark.parametrize("action", ["overwrite: true", "resume: true", "overwrite: 'yes'"])
def test_a_config_file_neither_replaces_nor_goes_on_with_a_run(action, option, old_run, tmp_path, tool_here):
    """config.yaml of release 0.1.0 has both in it."""
    config = tmp_path / "old.yaml"
    written = yaml.safe_load((old_run / "config.yaml").read_text()) | {"output": str(tmp_path)}
    config.write_text(yaml.safe_dump(written) + action + "\n")
    before = content(old_run)
    said = tool_here("train_seg", option, str(config), succeeds=False)
    assert "take it out" in said or "--config" in said
    assert content(old_run) == before


def test_a_config_file_of_before_may_say_no(old_run, tmp_path, tool_here):
    config = tmp_path / "old.yaml"
    written = yaml.safe_load((old_run / "config.yaml").read_text()) | {"resume": False, "overwrite": False}
    config.write_text(yaml.safe_dump(written | {"output": str(tmp_path)}))
    assert "holds a run" in tool_here("train_seg", "--config", str(config), succeeds=False)


def test_two_runs_in_one_folder_are_refused(old_run, shapes, tool_here):
    code = f"""
import time
from pathlib import Path
from tasks.lock import locked
with locked(Path({str(old_run / ".lock")!r})):
    print(1, flush=True)
    time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert other.stdout.read(1) == b"1"
        for action in ("--resume", "--overwrite"):
            said = tool_here("train_seg", *again(shapes, old_run, action), succeeds=False)
            assert "another process is training there" in said
    finally:
        other.kill()
        other.wait()
    with locked(old_run / ".lock"):  # and a killed process holds nothing
        pass


def test_a_finished_run_says_so(old_run, shapes, tool_here):
    before = content(old_run)
    assert "this run is finished, 4 steps" in tool_here("train_seg", *again(shapes, old_run, "--resume"))
    assert content(old_run) == before | {".lock": b""}


def test_more_epochs_say_what_becomes_of_the_schedule(old_run, shapes, tool_here):
    before = rows(old_run)
    said = tool_here("train_seg", *again(shapes, old_run, "--resume", "--workers", "1", epochs=3))
    assert "changed since the run began: --epochs 3 (was 2), --workers 1 (was 0)" in said
    assert "3 epochs in place of 2 epochs: the learning rate goes on as a run of 3 epochs has it here" in said
    assert rows(old_run)[: len(before)] == before and len(rows(old_run)) == len(before) + 1
    assert torch.load(old_run / "last.ckpt", weights_only=True)["global_step"] == 3 * 2


def test_a_moved_run_remembers_its_best_score(old_run, shapes, tmp_path, tool_here):
    last = torch.load(old_run / "last.ckpt", weights_only=True)
    (state,) = (state for name, state in last["callbacks"].items() if name.startswith("BestCheckpoint"))
    for key in ("best_model_score", "kth_value", "current_score"):
        state[key] = torch.tensor(0.99)  # better than what comes
    torch.save(last, old_run / "last.ckpt")
    before = (old_run / "best.ckpt").read_bytes()
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    old_run.rename(moved)
    tool_here("train_seg", *again(shapes, moved, "--resume", epochs=3))
    assert (moved / "best.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    "options, said",
    [
        (["--backbone", "v3-large"], "--backbone v3-large (was v3-small)"),
        (["--lr", "0.5"], "--lr 0.5 (was 0.001)"),
        (["--batch-size", "4", "--seed", "3"], "--seed 3 (was 0)"),
        (["--trainer.precision", "bf16-mixed"], "--trainer.precision bf16-mixed (was None)"),
    ],
)
def test_options_that_cannot_change_are_refused(options, said, old_run, shapes, tool_here):
    before = content(old_run)
    assert said in tool_here("train_seg", *again(shapes, old_run, "--resume", *options, epochs=3), succeeds=False)
    assert content(old_run) == before | {".lock": b""}


def test_options_that_were_not_given_when_the_run_began_are_told_too(old_run, shapes, tool_here):
    options = ["--weights", str(old_run / "best.ckpt"), "--patience", "9"]
    said = tool_here("train_seg", *again(shapes, old_run, "--resume", *options))
    assert f"--weights {old_run / 'best.ckpt'} (was None)" in said and "--patience 9 (was None)" in said


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-5000]), "it is damaged"),
        (lambda path: path.write_bytes(b"garbage"), "no PyTorch file"),
        (lambda path: torch.save({"weight": torch.zeros(1)}, path), "not written by this package"),
        (lambda path: torch.save({"x": signal.Signals(2), "mobiledense": {}}, path), "other objects than tensors"),
        (lambda path: edit(path, lambda content: content.pop("run")), "has weights and no state of a run"),
        (lambda path: edit(path, lambda content: content["run"].clear()), "has weights and no state of a run"),
        (lambda path: edit(path, lambda content: content["run"].update(options="[")), "no state of a run"),
        (lambda path: edit(path, lambda content: content["loops"].clear()), "has weights and no state of a run"),
        (lambda path: edit(path, lambda content: content["optimizer_states"].clear()), "no state of a run"),
        (lambda path: edit(path, lambda content: content.pop("current_model_state")), "no state of a run"),
        (lambda path: edit(path, lambda content: content.pop("averaging_state")), "no state of a run"),
        (lambda path: edit(path, lambda content: content.update(optimizer_states=[{}])), "cannot be restored"),
        (lambda path: edit(path, lambda content: content.pop("pytorch-lightning_version")), "cannot be restored"),
        (lambda path: edit(path, lambda content: content.pop("train_matrix")), "cannot be restored"),
        (lambda path: edit(path, lambda content: content["mobiledense"].update(task="detection")), "for detection"),
        (lambda path: edit(path, lambda content: content["mobiledense"].update(version=99)), "format 99"),
        (lambda path: edit(path, lambda content: content["mobiledense"].update(names=["a", "b"])), "names differ"),
        (lambda path: edit(path, lambda content: content["run"]["images"].update(train=9)), "train had 9 images"),
    ],
)
def test_what_cannot_be_gone_on_with_is_one_line(make, said, old_run, shapes, tool_here):
    make(old_run / "last.ckpt")
    before = content(old_run)
    text = tool_here("train_seg", *again(shapes, old_run, "--resume", epochs=3), succeeds=False)
    assert "last.ckpt: " in text and said in text and "weights_only" not in text
    assert content(old_run) == before | {".lock": b""}


def test_a_run_of_a_release_whose_tables_had_no_words_goes_on(old_run, shapes, tool_here):
    edit(old_run / "last.ckpt", lambda content: content["mobiledense"]["table"].pop("variant"))
    assert "going on after step" in tool_here("train_seg", *again(shapes, old_run, "--resume", epochs=3))


def edit(path: Path, change) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


@pytest.mark.parametrize("action", [[], ["--resume"]])
def test_a_run_killed_before_its_first_checkpoint_begins_anew(action, old_run, shapes, tool_here):
    for name in ("best.ckpt", "last.ckpt"):
        (old_run / name).unlink()
    before = len(rows(old_run))
    tool_here("train_seg", *again(shapes, old_run, *action))
    assert (old_run / "last.ckpt").is_file() and len(rows(old_run)) == before


def test_weights_are_exported(old_run, shapes, tmp_path, tool_here):
    from tasks import SegmentationTask

    file = tmp_path / "weights.safetensors"
    said = tool_here("train_seg", *again(shapes, old_run, "--resume", "--export-weights", str(file)))
    assert "wrote the weights" in said
    ours, theirs = SegmentationTask.load(file), SegmentationTask.load(old_run / "best.ckpt")
    assert ours.spec == theirs.spec
    assert all(torch.equal(tensor, theirs.state_dict()[key]) for key, tensor in ours.state_dict().items())


@pytest.mark.parametrize(
    "number, status, more",
    [
        (signal.SIGTERM, 143, ("--freeze", "backbone")),
        pytest.param(signal.SIGINT, 130, ("--backbone-lr", "1e-4"), marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_the_run_goes_on_to_the_same_end(
    number, status, more, checkpoint, shapes, tmp_path, tool_here
):
    options = [*quick_run(shapes, tmp_path), "--name", "stopped", "--trainer.log_every_n_steps", "1"]
    options += ["--weights", str(checkpoint), *more]
    options[options.index("--epochs") + 1], options[options.index("--workers") + 1] = "12", "2"
    log = tmp_path / "log.txt"
    with log.open("wb") as file:
        run = subprocess.Popen(
            [sys.executable, "tools/train_seg.py", *options], cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )
        table = tmp_path / "stopped" / "metrics.csv"
        until = time.monotonic() + 120
        while not (table.is_file() and len(table.read_text().splitlines()) > 5) and time.monotonic() < until:
            time.sleep(0.01)
        os.killpg(run.pid, number)  # to loader workers too, as Ctrl-C in a terminal
        assert run.wait(60) == status
    said = log.read_text()
    assert "Traceback" not in said
    assert (tmp_path / "stopped" / "curves.png").is_file()
    assert f"stopped by {number.name} at step" in said and "go on with the same command and --resume" in said
    stopped = torch.load(tmp_path / "stopped" / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < stopped < 24 and f"at step {stopped}:" in said
    options[options.index("--workers") + 1] = "0"
    tool_here("train_seg", *options, "--resume")
    options[options.index("stopped")] = "unbroken"
    tool_here("train_seg", *options)
    from benchmarks.kills import differing_bits

    assert differing_bits(tmp_path / "unbroken", tmp_path / "stopped") == 0


def test_compiling_that_fails_is_one_line(shapes, tmp_path, tool_here, monkeypatch):
    from torch._inductor.exc import InductorError, InvalidCxxCompiler

    def call(*_: object) -> None:
        raise InductorError(InvalidCxxCompiler(), None)

    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: setattr(module, "_compiled_call_impl", call))
    said = tool_here("train_seg", *again(shapes, tmp_path / "run"), "--compile", "true", succeeds=False)
    assert "--compile: torch.compile fails here (" in said and "No working C++ compiler found" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_compiled_network_trains_and_goes_on_as_a_plain_one(shapes, tmp_path, tool_here, monkeypatch):
    """As torch.compile reads the network, before C++ is made of it, which rounds otherwise."""
    monkeypatch.setattr(torch.nn.Module, "compile", functools.partialmethod(torch.nn.Module.compile, backend="eager"))
    plain, compiled = (again(shapes, tmp_path / name, epochs=1) for name in ("plain", "compiled"))
    tool_here("train_seg", *plain)
    tool_here("train_seg", *compiled, "--compile", "true")
    ours, theirs = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("plain", "compiled"))
    assert ours["state_dict"].keys() == theirs["state_dict"].keys()
    for key, tensor in ours["state_dict"].items():
        torch.testing.assert_close(theirs["state_dict"][key], tensor, msg=lambda text, key=key: f"{key}: {text}")
    said = tool_here("train_seg", *again(shapes, tmp_path / "compiled", "--resume", epochs=2))
    assert "--compile False (was True)" in said


@pytest.mark.slow
def test_a_network_that_is_compiled_to_c_trains(shapes, tmp_path):
    tool("train_seg", *again(shapes, tmp_path / "compiled", epochs=1), "--compile", "true")
    assert (tmp_path / "compiled" / "best.ckpt").is_file()


def test_metrics_have_one_row_a_step(old_run):
    steps = [row["step"] for row in rows(old_run)]
    assert len(steps) == len(set(steps))
    assert {"val/miou", "epoch"} <= rows(old_run)[-1].keys()


def test_a_run_ends_in_time_and_goes_on_with_more(shapes, tmp_path, tool_here):
    timed = again(shapes, tmp_path / "timed", "--save-every", "1", "--repeat", "50", "--cache", "true")
    tool_here("train_seg", *timed, "--max-time", "1s")
    last = torch.load(tmp_path / "timed" / "last.ckpt", weights_only=False)
    assert 1 <= last["run"]["elapsed"] < 60
    assert last["lr_schedulers"][0]["_last_lr"][0] == 0.0
    assert "val/miou" in rows(tmp_path / "timed")[-1]
    assert "this run is finished" in tool_here("train_seg", *timed, "--max-time", "1s", "--resume")
    more = f"{int(last['run']['elapsed']) + 2}s"
    said = tool_here("train_seg", *timed, "--max-time", more, "--resume")
    assert f"changed since the run began: --max-time {more} (was 1s)" in said
    again_last = torch.load(tmp_path / "timed" / "last.ckpt", weights_only=False)
    assert again_last["global_step"] > last["global_step"]
    assert again_last["run"]["elapsed"] >= int(last["run"]["elapsed"]) + 2
