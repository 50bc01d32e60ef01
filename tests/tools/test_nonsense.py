"""Each option of each tool with nonsense of its type: one line, no traceback, and nothing taken that makes no sense."""

import dataclasses
import importlib
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tasks import Optimization
from tasks.run import Run
from tests.conftest import ROOT, once
from tests.tools.nonsense import TOOLS, Case, cases, fault, prepare

SHARED = {field.name for group in (Optimization, Run) for field in dataclasses.fields(group)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nonsense")


@pytest.fixture(scope="module")
def base(folder):
    return prepare(folder)


@pytest.fixture
def end(monkeypatch, capsys, base):
    """What is wrong with how a tool ends, and what it said; in this process, and without a training step."""
    import lightning.pytorch as L
    from matplotlib.figure import Figure

    from tools import cli

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cli, "build_parser", once(cli.build_parser))
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    monkeypatch.setattr(L.Trainer, "fit", lambda *_, **__: None)
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    monkeypatch.setattr("deploy.latency.machine_peak", lambda: 1e9)
    monkeypatch.setattr("deploy.latency_report.measure_apart", measured_here)
    monkeypatch.setattr("search.filling.time_in_turn", lambda calls, *_: [1.0] * len(calls))
    monkeypatch.setattr("search.making_tables.CALIBRATED", 2)
    monkeypatch.setattr("search.layer_runtimes.OnnxRuntime.network", lambda *_: None)  # whose export takes seconds
    for name in ("adaptation", "configurations", "filling", "latencies", "proposals"):
        monkeypatch.setattr(f"search.{name}.network_layers", layers_once)
    monkeypatch.setattr("deploy.serving.PACKAGES", ())  # which would come from npm
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", lambda _: None)

    def call(case: Case) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", [f"{case.tool}.py"])
        function = getattr(importlib.import_module(f"tools.{case.tool}"), case.tool)
        status, line = 0, ""
        try:
            cli.command(function, [*base[case.tool], *case.line()])
        except SystemExit as ended:
            status, line = (1, ended.code) if isinstance(ended.code, str) else (int(ended.code or 0), "")
        said = capsys.readouterr().err + line
        return fault(case, status, said), said

    return call


def layers_once(spec, size=None, known={}):  # noqa: B006 shared by all cases
    """Layers of a network, found once for all cases."""
    from search.layers import network_layers

    key = f"{spec} {size}"
    if key not in known:
        known[key] = network_layers(spec, size)
    return known[key]


def measured_here(what, *arguments):
    """As in a process of its own, without the seconds that it takes to begin."""
    from deploy.latency import measure, measure_peer

    return (measure if isinstance(what, Path) else measure_peer)(what, *arguments)


@pytest.mark.parametrize("tool", TOOLS)
def test_nonsense_is_one_line(tool, end, folder):
    if tool == "search":
        pytest.importorskip("optuna")
    wrong = []
    shutil.rmtree(folder / "none", ignore_errors=True)  # which another tool wrote to
    for case in cases(tool, folder):
        if tool in ("train_det", "train_cls", "train_joint") and case.option in SHARED:
            continue
        found, said = end(case)
        if found:
            wrong.append(f"{tool} {' '.join(case.line())[:80]} {found}: {said[-300:]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "line, said",
    [
        ("train_seg --max-images -3", "--max-images -3 is not in 1 to "),
        ("train_seg --scale 2 1", "--scale 2.0 1.0: give the smaller one first"),
        ("train_seg --scale -1 1", "--scale -1.0 1.0 is not in 0.1 to 10"),
        ("train_seg --label-smoothing 2", "--label-smoothing 2.0 is not in 0 to 1"),
        ("train_seg --class-weights 1 -1 1 1 1 1", "--class-weights 1.0 -1.0 1.0 1.0 1.0 1.0 is not in 0 to "),
        ("train_seg --class-weights 0 0 0 0 0 0", "--class-weights are all 0"),
        ("train_seg --auxiliary -1", "--auxiliary -1.0 is not in 0 to 100"),
        ("train_seg --batch-size 0", "--batch-size 0 is not in 1 to "),
        ("train_seg --epochs 0", "--epochs 0 is not in 1 to "),
        ("train_seg --crop 0 0", "--crop 0 0 is not in 16 to 4096"),
        ("train_seg --flip 2", "--flip 2.0 is not in 0 to 1"),
        ("train_seg --width 1000", "width 1000.0 is not in 0.05 to 8"),
        ("train_seg --head-options.bogus 1", 'there is no option of lraspp "bogus" (there are filters)'),
        ("train_seg --head-options.filters 1.5", "option filters of lraspp: 1.5 is not a whole number"),
        ("train_seg --head unet --head-options.encoder_name x", 'there is no option of unet "encoder_name"'),
        ("train_seg --head unet --head-options.decoder_channels x", "unet cannot be built with"),
        ("train_seg --head raspp --batch-size 1", "a batch of 1 of 64x64 leaves batch norm one value a channel"),
        ("train_det --class-uniform 2", "--class-uniform 2.0 is not in 0 to 1"),
        ("train_det --mosaic 2", "--mosaic 2.0 is not in 0 to 1"),
        ("train_det --box-weight -1", "--box-weight -1.0 is not in 0 to 1000"),
        (
            "train_det --head-options.small_objects maybe",
            "small_objects of ssdlite: 'maybe' is not true or false",
        ),
        ("train_det --batch-size 1", "a batch of 1 of 64x64 leaves batch norm one value a channel"),
        ("train_joint --box-share 1", "--box-share 1.0 is not in 0.01 to 0.99"),
        ("train_joint --head lraspp", 'there is no head "lraspp"; did you mean "lraspp+ssdlite"?'),
        ("train_cls --dropout 2", "--dropout 2.0 is not in 0 to 0.99"),
        ("eval_seg --max-images 0", "--max-images 0 is not in 1 to "),
        ("eval_seg --tta-scales 0", "--tta-scales 0.0 is not in 0.1 to 4"),
        ("eval_seg --tta-scales 100", "--tta-scales 100.0 is not in 0.1 to 4"),
        ("eval_seg --window 0 0", "--window 0 0 is not in 16 to 65536"),
        ("eval_seg --workers 1000", "--workers 1000 is not in 0 to 128"),
        ("eval_seg --output setup.py/x", "setup.py: is a file; name a folder with --output"),
        ("predict --tile 8 100", "--tile 8 100 is not in 16 to 65536"),
        ("predict --opacity 7", "--opacity 7.0 is not in 0 to 1"),
        ("predict --device abacus", "--device abacus: this machine has cpu"),
        ("predict --track true", "--track is for a video or webcam that a detector or a joint network sees"),
        ("predict --max-frames 0", "--max-frames 0 is not in 1 to "),
        ("cost --size 0 0", "--size 0 0 is not in 1 to 4096"),
        ("cost --head classifier --head-options.bogus 1", 'there is no option of classifier "bogus"'),
    ],
)
def test_what_is_said(end, line, said):
    tool, option, *words = shlex.split(line)
    fault, told = end(Case(tool, option[2:].replace("-", "_") if "." not in option else option[2:], tuple(words), True))
    assert said in told and not fault, told
