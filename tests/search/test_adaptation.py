"""NetAdapt on tiny networks: what it leaves, how it goes on after it was killed, and what it refuses."""

import json
import pkgutil
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import search.adaptation
from backbones import create_table
from search.adaptation import choose
from search.configurations import narrower_layers
from search.latencies import LatencyTable
from search.layers import network_layers
from tasks import (
    ClassificationSpec,
    ClassificationTask,
    DetectionSpec,
    DetectionTask,
    SegmentationSpec,
    SegmentationTask,
)
from tasks.joint.network import JointSpec
from tasks.joint.task import JointTask
from tasks.wings import load_task
from tests.conftest import ROOT, class_folders

QUICK = ["--steps", "2", "--batch-size", "4", "--workers", "0", "--delta", "0.1", "--target", "0.9"]


@pytest.fixture(scope="module")
def given(shapes, tmp_path_factory):
    """For each kind of task the options that name an untrained checkpoint and its data."""
    folder = tmp_path_factory.mktemp("given")
    tree = class_folders(shapes, folder / "tree")
    names = (shapes / "labels.txt").read_text().split()
    classes = sorted(path.name for path in (tree / "train").iterdir())
    table, colours = create_table("v3-small", width=0.25), [(0, 0, 0)] * len(names)
    stride16 = replace(table, output_stride=16)
    tasks = {
        "segmentation": SegmentationTask(
            SegmentationSpec(stride16, "lraspp", names, colours, (64, 64), auxiliary=True)
        ),
        "detection": DetectionTask(DetectionSpec(table, "ssdlite", names[1:], colours[1:], (64, 64))),
        "classification": ClassificationTask(
            ClassificationSpec(table, "classifier", classes, colours[: len(classes)], (32, 32))
        ),
    }
    data = {"segmentation": ("voc", shapes), "detection": ("coco", shapes), "classification": ("folder", tree)}
    lines = {}
    for kind, task in tasks.items():
        path = folder / f"{kind}.ckpt"
        torch.save({"state_dict": task.state_dict(), "mobiledense": task.describe()}, path)
        dataset, root = data[kind]
        lines[kind] = ["--checkpoint", str(path), "--dataset", dataset, "--data-root", str(root), *QUICK]
    return lines


def history(folder):
    """What a search did, but for how long it took."""

    def timeless(value):
        if isinstance(value, dict):
            return {key: timeless(one) for key, one in value.items() if key != "seconds"}
        return [timeless(one) for one in value] if isinstance(value, list) else value

    return timeless(json.loads((folder / "history.json").read_text())["iterations"])


@pytest.fixture(scope="module")
def found():
    """What `whole` found the first time."""
    return []


@pytest.fixture
def whole(given, found, tmp_path, tool_here):
    """The history of a search that nobody stopped."""
    if not found:
        line = [*given["classification"], "--target", "0.8", "--output", str(tmp_path)]
        tool_here("netadapt", *line, "--name", "whole")
        found.append(history(tmp_path / "whole"))
    return found[0]


@pytest.fixture(scope="module", autouse=True)
def known_layers():
    """Layers of the same networks are found once for all tests, which are about other things."""
    known = {}

    def layers(spec, size=None):
        key = repr(spec), size
        if key not in known:
            known[key] = network_layers(spec, size)
        return known[key]

    with pytest.MonkeyPatch.context() as patched:
        for module in ("adaptation", "beside", "latencies", "proposals"):
            patched.setattr(f"search.{module}.network_layers", layers)
        yield


@pytest.fixture
def quick(monkeypatch):
    """Without plots, and what else takes its time and is of no account."""
    monkeypatch.setattr("search.adaptation_report.plot", lambda *_: b"")
    monkeypatch.setattr("search.held_out.require_step", lambda *_: None)


@pytest.mark.parametrize("kind", ["segmentation", "detection", "classification"])
def test_every_iteration_is_a_checkpoint(kind, given, tmp_path, tool_here):
    said = tool_here("netadapt", *given[kind], "--output", str(tmp_path), "--name", "x")
    folder, done = tmp_path / "x", history(tmp_path / "x")
    assert len(done) >= 2 and done[-1]["price"] <= 0.9 * done[0]["price"] < done[-2]["price"]
    for number, entry in enumerate(done):
        task = load_task(folder / f"iteration_{number:02d}.ckpt", "cpu")
        assert task.kind == kind and task.spec.table.name == "mobilenet_v3_small"
        if number:
            before, least = done[number - 1], 0.1 * done[0]["price"]
            trained = [one for one in entry["proposals"] if one["width"] is not None]
            assert len(trained) == len(entry["proposals"]) - 1
            assert all(one["price"] <= before["price"] - least for one in trained)
            changed = {name for name, n in entry["widths"].items() if n != before["widths"][name]}
            assert changed == {entry["width"]}
            assert entry["images_seen"] == before["images_seen"] + 8 * len(entry["proposals"])
            assert f"iteration {number}: {entry['width']} " in said
    assert not (folder / "proposals").exists()
    assert (folder / "netadapt.png").stat().st_size > 5000
    assert (
        f"iteration {len(done) - 1}: " in (page := (folder / "netadapt.html").read_text()) and "data:image/png" in page
    )
    assert len((folder / "netadapt.csv").read_text().splitlines()) == 1 + len(done)
    last = folder / f"iteration_{len(done) - 1:02d}.ckpt"
    tool = {"segmentation": "seg", "detection": "det", "classification": "cls"}[kind]
    assert f"python tools/train_{tool}.py --backbone {last} --weights {last} " in said
    words = shlex.split(said.rpartition("python tools/")[2].splitlines()[0])[1:]
    words += ["--epochs", "1", "--batch-size", "8", "--workers", "0", "--output", str(tmp_path), "--name", "long"]
    tool_here(f"train_{tool}", *words, "--trainer.enable_progress_bar", "false")
    cut, trained = (load_task(path, "cpu").spec for path in (last, tmp_path / "long" / "last.ckpt"))
    assert (cut.table.rows, cut.table.output_stride) == (trained.table.rows, trained.table.output_stride)
    assert (cut.head, cut.input_size) == (trained.head, trained.input_size)


WRITE, REMOVE = (f"search.adaptation_history.{name}" for name in ("write_json", "shutil.rmtree"))
KILLS = [
    *[(WRITE, 0), ("search.judge.train_steps", 1)],
    *[("search.adaptation_history.save", 0), ("search.adaptation_history.shutil.copyfile", 0), (WRITE, 0), (REMOVE, 0)],
    ("search.adaptation_report.write_table", 0),
]


@pytest.mark.usefixtures("quick")
def test_a_killed_search_goes_on_to_the_same_history(given, whole, tmp_path, tool_here, monkeypatch):
    """Killed while it trains, and before each kind of file of an iteration is written or removed."""
    line = [*given["classification"], "--target", "0.8", "--output", str(tmp_path), "--name", "x", "--resume"]
    for where, calls in KILLS:
        with monkeypatch.context() as patched:
            module, _, name = where.rpartition(".")
            original = getattr(pkgutil.resolve_name(module), name)
            patched.setattr(where, dies_after(original, calls))
            tool_here("netadapt", *line, succeeds=False)
    said = tool_here("netadapt", *line)
    assert history(tmp_path / "x") == whole
    assert "iteration " in said and not (tmp_path / "x" / "proposals").exists()
    before = (tmp_path / "x" / "history.json").read_bytes()
    assert "iteration 1" not in tool_here("netadapt", *line)  # a finished one is left alone
    assert (tmp_path / "x" / "history.json").read_bytes() == before


def dies_after(original, calls):
    """A function that is killed once it was called so often."""
    left = iter(range(calls))

    def call(*arguments, **options):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    return call


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_search_killed_by_the_system_keeps_its_proposals(given, whole, tmp_path, tool_here):
    line = [*given["classification"], "--target", "0.8", "--output", str(tmp_path), "--name", "x"]
    running = subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "netadapt.py"), *line], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(kept := [*(tmp_path / "x" / "proposals").glob("proposal_*.ckpt")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL and len(kept) >= 2
    ages = {path: path.stat().st_mtime_ns for path in kept}
    seen = []
    original = search.adaptation.History.complete

    def complete(self, entry, chosen=None):
        seen.append({path: path.stat().st_mtime_ns for path in ages if path.exists()})
        original(self, entry, chosen)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search.adaptation.History, "complete", complete)
        tool_here("netadapt", *line, "--resume")
    assert seen[0] == ages and history(tmp_path / "x") == whole


@pytest.mark.usefixtures("quick")
def test_what_is_judged_by_is_not_trained_on(given, tmp_path, tool_here, monkeypatch):
    held, trained = set(), set()

    def keep(judge, task):
        held.update(judge.parts.held.image_paths)
        trained.update(judge.samples.files.image_paths)
        return 0.5

    monkeypatch.setattr("search.judge.Judge.accuracy", keep)
    tool_here("netadapt", *given["classification"], "--holdout", "0.25", "--output", str(tmp_path))
    assert held and trained and not held & trained
    assert round(0.25 * len(held | trained)) == len(held)
    assert all("/train/" in path for path in held | trained)


REFUSED = ["--seed", "1", "--max-holdout", "1", "--target", "0.8", "--workers", "1"]


@pytest.mark.usefixtures("quick")
def test_other_options_and_other_files_are_refused(given, tmp_path, tool_here, monkeypatch):
    line = [*given["classification"], "--output", str(tmp_path), "--name", "x"]
    monkeypatch.setattr("search.judge.train_steps", stop)
    tool_here("netadapt", *line, succeeds=False)
    said = tool_here("netadapt", *line, succeeds=False)
    assert "holds a search; name another --name, go on with --resume, or replace it with --overwrite" in said
    said = tool_here("netadapt", *line, "--resume", *REFUSED, succeeds=False)
    assert "cannot go on with other options than it began with: " in said
    assert "--max-holdout 1 (was None)" in said and "--seed 1 (was 0)" in said
    assert not [word for word in ("--target", "--workers") if word in said]
    other = tmp_path / "other.ckpt"
    content = torch.load(line[1], weights_only=True)
    torch.save({**content, "state_dict": {k: v * 2 for k, v in content["state_dict"].items()}}, other)
    said = tool_here("netadapt", "--checkpoint", str(other), *line[2:], "--resume", succeeds=False)
    assert "the checkpoint is not what it was" in said
    begun = json.loads((tmp_path / "x" / "history.json").read_text())
    for damaged in ([1], {name: begun[name] for name in begun if name != "config"}):
        (tmp_path / "x" / "history.json").write_text(json.dumps(damaged))
        assert "is no history of a search" in tool_here("netadapt", *line, "--resume", succeeds=False)


def stop(*_, **__):
    raise KeyboardInterrupt


def test_a_target_that_no_cut_reaches_is_refused_before_anything_is_read(given, tmp_path, tool_here):
    line = [*given["classification"], "--target", "0.01", "--data-root", str(tmp_path), "--output", str(tmp_path)]
    said = tool_here("netadapt", *line, succeeds=False)
    assert "--target 0.01 is " in said and "the smallest network that can be cut from this one needs " in said
    assert not [*tmp_path.iterdir()]


def test_a_step_that_no_width_saves_alone_is_refused_before_anything_is_read(given, tmp_path, tool_here):
    line = [*given["classification"], "--output", str(tmp_path / "runs"), "--delta", "0.5", "--target", "0.5"]
    said = tool_here("netadapt", *line, succeeds=False)
    assert "--delta 0.5: no width alone saves so much; the most is 0." in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("quick")
def test_steps_become_finer_by_delta_decay(given, tmp_path, tool_here):
    line = [*given["classification"], "--target", "0.8", "--output", str(tmp_path), "--name", "x"]
    tool_here("netadapt", *line, "--delta-decay", "0.5", "--steps", "1")
    first, *others = history(tmp_path / "x")
    assert len(others) >= 3
    for number, (before, entry) in enumerate(pairwise([first, *others])):
        saved = [before["price"] - one["price"] for one in entry["proposals"] if one["width"] is not None]
        delta = 0.1 * 0.5**number * first["price"]
        assert min(saved) >= delta
        assert number == 0 or min(saved) < 2 * delta  # which the step before had asked for


@pytest.mark.usefixtures("quick")
def test_a_step_that_nothing_saves_any_more_is_told_and_loses_nothing(given, tmp_path, tool_here):
    line = [*given["classification"], "--output", str(tmp_path), "--name", "x"]
    said = tool_here("netadapt", *line, "--delta", "0.15", "--target", "0.5", succeeds=False)
    assert "no width is left that saves 0.15 of the first network's price (at most 0." in said
    assert len(history(tmp_path / "x")) >= 2


def test_networks_without_rows_are_refused(tmp_path, tool_here):
    task = ClassificationTask(
        ClassificationSpec(create_table("timm:mobilenetv3_small_050"), "classifier", ["a"], [(0, 0, 0)], (64, 64))
    )
    table, names, colours = create_table("v3-small", width=0.25), ["a", "b"], [(0, 0, 0)] * 2
    of_boxes = {"box_names": ["b"], "box_colours": colours[:1]}
    joint = JointTask(JointSpec(table, "lraspp+ssdlite", names, colours, (64, 64), **of_boxes))
    unet = SegmentationTask(SegmentationSpec(table, "unet", names, colours, (64, 64)))
    heads = "a search works on classifiers, lraspp and ssdlite"
    for network, words in ((task, "is no table of rows"), (joint, heads), (unet, heads)):
        torch.save({"state_dict": network.state_dict(), "mobiledense": network.describe()}, tmp_path / "x.ckpt")
        assert words in tool_here("netadapt", "--checkpoint", str(tmp_path / "x.ckpt"), succeeds=False)


@pytest.mark.usefixtures("quick")
def test_prices_come_from_a_latency_table(given, tmp_path, tool_here):
    line, file = [*given["classification"], "--output", str(tmp_path)], tmp_path / "table.json"
    spec = load_task(line[1], "cpu").spec
    costs = {layer: 0.1 + layer.channels_in / 100 for layer in narrower_layers(spec)}
    table = LatencyTable("classifier", (32, 32), "torch", 1, "toy", costs, overhead=0.5)
    table.write(file)
    tool_here("netadapt", *line, "--name", "x", "--latency", str(file))
    done = history(tmp_path / "x")
    assert len(done) > 1 and " ms " in (said := (tmp_path / "x" / "history.json").read_text()).replace('"', " ")
    assert "multiply" not in said
    for number, entry in enumerate(done):
        found = load_task(tmp_path / "x" / f"iteration_{number:02d}.ckpt", "cpu").spec
        assert entry["price"] == pytest.approx(table.price(found))
    table.milliseconds = {layer: costs[layer] for layer in network_layers(spec)}
    table.write(file)
    said = tool_here("netadapt", *line, "--latency", str(file), succeeds=False)
    assert f"{file}: has no " in said and "give --interpolate true" in said
    said = tool_here("netadapt", *given["detection"], "--latency", str(file), succeeds=False)
    assert "is for networks with classifier, and this one has ssdlite" in said


@pytest.fixture
def evaluated(given, tmp_path):
    """Folders of evaluations, each with its network beside it."""

    def write(name, task, accuracy, **more):
        folder = tmp_path / "runs" / name
        (folder / "eval_test").mkdir(parents=True)
        torch.save({"state_dict": task.state_dict(), "mobiledense": task.describe()}, folder / "best.ckpt")
        scores = {"checkpoint": "runs/moved/best.ckpt", "split": "test", "top1": accuracy, "output_stride": 32} | more
        (folder / "eval_test" / "scores.json").write_text(json.dumps(scores))
        return str(folder / "eval_test")

    return write


def test_other_networks_are_drawn_beside_a_finished_search(given, evaluated, tmp_path, tool_here, monkeypatch):
    line = [*given["classification"], "--output", str(tmp_path), "--name", "x"]
    tool_here("netadapt", *line)
    drawn = (tmp_path / "x" / "netadapt.png").read_bytes()
    last = load_task(tmp_path / "x" / "iteration_01.ckpt", "cpu")
    wider, (entry, done) = replace(last.spec, table=create_table("v3-small", width=0.3)), history(tmp_path / "x")
    paths = [
        evaluated("<long>", last, 0.5),
        evaluated("w030", ClassificationTask(wider), 0.25),
        evaluated("boxes", load_task(given["detection"][1], "cpu"), 0.75),
        evaluated("strided", last, 0.75, output_stride=16),
    ]
    marks = []
    original = search.adaptation.write_report

    def write_report(history, folder, beside):
        marks.extend(beside)
        original(history, folder, beside)

    monkeypatch.setattr("search.adaptation.write_report", write_report)
    monkeypatch.setattr("search.judge.train_steps", stop)
    said = tool_here("netadapt", *line, "--resume", "--beside", *paths)
    assert [(one.name, one.accuracy, one.split, one.is_iteration) for one in marks] == [
        ("<long>", 0.5, "test", True),
        ("w030", 0.25, "test", False),
    ]
    assert marks[0].price == done["price"] < entry["price"] < marks[1].price
    assert "boxes/best.ckpt: is for another task" in said and "strided/best.ckpt: was evaluated at another" in said
    assert (tmp_path / "x" / "netadapt.png").read_bytes() != drawn
    page = (tmp_path / "x" / "netadapt.html").read_text()
    assert "<td>&lt;long&gt;</td><td>iteration</td>" in page and "<td>w030</td><td>other</td>" in page
    assert "boxes" not in page


def test_scores_of_what_is_not_there_any_more_are_refused(given, evaluated, tmp_path, tool_here):
    task = load_task(given["classification"][1], "cpu")
    path = evaluated("anew", task, 0.5, sha256="0" * 64)
    line = [*given["classification"], "--output", str(tmp_path), "--name", "x", "--beside"]
    said = tool_here("netadapt", *line, path, succeeds=False)
    assert f"--beside {path}: is of runs/moved/best.ckpt, which is not there, or is not what it was" in said
    said = tool_here("netadapt", *line, str(tmp_path / "none"), succeeds=False)
    assert f"--beside {tmp_path / 'none'}: is no scores.json" in said
    assert not (tmp_path / "x").exists()


def proposal(width, price, accuracy):
    return {"width": width, "price": price, "accuracy": accuracy}


def test_the_choice_by_ratio_is_the_least_loss_for_what_is_saved():
    uncut, large = proposal(None, 10, 0.80), proposal("large", 6, 0.76)  # 1 point a ms
    small, worse = proposal("small", 9, 0.785), proposal("worse", 9, 0.70)  # 1.5 and 10 points a ms
    assert choose([uncut, small, large, worse], 10) is large
    assert choose([small, large, worse], 10) is small  # of the highest accuracy
    # of those that lose nothing the one that saves most, however much better another is
    better, faster = proposal("better", 9, 0.9), proposal("faster", 8, 0.81)
    assert choose([uncut, small, large, better, faster], 10) is faster
    assert choose([better, faster], 10) is better
