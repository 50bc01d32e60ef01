"""tools/benchmark.py, on tiny networks for a moment."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from backbones import create_table
from backbones.weights_download import sha256
from deploy import DeployError, export
from deploy.latency import measure, measure_peer
from deploy.latency_report import read_scores
from tasks import ClassificationSpec, ClassificationTask, DetectionSpec, DetectionTask, SegmentationSpec
from tasks import SegmentationTask as Segmenter
from tests.conftest import ROOT

NAMES, COLOURS = ["one", "two", "three"], [(0, 0, 0), (255, 0, 0), (0, 255, 0)]
TASKS = {
    "segmentation": (Segmenter, SegmentationSpec, "lraspp"),
    "detection": (DetectionTask, DetectionSpec, "ssdlite"),
    "classification": (ClassificationTask, ClassificationSpec, "classifier"),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Untrained, of every task."""
    folder = tmp_path_factory.mktemp("untrained")
    for kind, (task_type, spec_type, head) in TASKS.items():
        task = task_type(spec_type(create_table("v3-small", width=0.25), head, NAMES, COLOURS, (64, 64)))
        torch.save({"state_dict": task.state_dict(), "mobiledense": task.describe()}, folder / f"{kind}.ckpt")
    return {kind: folder / f"{kind}.ckpt" for kind in TASKS}


@pytest.fixture
def in_this_process(monkeypatch):
    """Files are measured here and not each in a process of its own; the machine is said to reach 1 G a second."""
    monkeypatch.setattr("deploy.latency.machine_peak", lambda: 1e9)
    monkeypatch.setattr(
        "deploy.latency_report.measure_apart",
        lambda what, *arguments: (measure if isinstance(what, Path) else measure_peer)(what, *arguments),
    )


def test_files_are_measured_stage_by_stage(checkpoints, shapes, tmp_path, tool_here, in_this_process):
    image = str(next((shapes / "JPEGImages").glob("val*")))
    files = [str(checkpoints[kind]) for kind in ("segmentation", "detection")]
    (tmp_path / "scores.json").write_text(json.dumps({"checkpoint": files[0], "miou": 0.5}))
    options = ["--image", image, "--rounds", "2", "--scores", str(tmp_path), "--output", str(tmp_path / "out")]
    said = tool_here("benchmark", *files, *options)
    assert all(word in said for word in ("preprocess", "network", "decode", "total", "of peak", "50.00"))
    found = json.loads((tmp_path / "out" / "latency.json").read_text())
    assert [(entry["file"], entry["task"], entry["score"]) for entry in found] == [
        (files[0], "segmentation", 0.5),
        (files[1], "detection", None),
        ("torchvision's lraspp_mobilenet_v3_large, 64x64", "segmentation", None),
        ("torchvision's ssdlite320_mobilenet_v3_large, 64x64", "detection", None),
    ]
    assert all(entry["size"] == [64, 64] and entry["milliseconds"]["total"][0] > 0 for entry in found[2:])
    for entry in found[:2]:
        median = {stage: values[0] for stage, values in entry["milliseconds"].items()}
        assert 0 < max(median["preprocess"], median["network"], median["decode"]) <= median["total"]
        assert all(low <= middle <= high for middle, low, high in entry["milliseconds"].values())
        assert entry["parts"].keys() == {"backbone", "head"} and min(entry["parts"].values()) > 0
        assert entry["madds"] > 10**6 and entry["megabytes"] > 0.1 and 0 < entry["peak_share"] < 10
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["latency.json", "latency_segmentation.png"]


@pytest.mark.slow
def test_an_exported_file_is_measured(checkpoints, tmp_path, tool_here):
    pytest.importorskip("onnxruntime")
    path = export(checkpoints["classification"], "onnx", tmp_path / "a, b.onnx")
    said = tool_here(
        "benchmark",
        str(path),
        "--threads",
        "1",
        "2",
        "--rounds",
        "2",
        "--torchvision",
        "false",
        "--output",
        str(tmp_path / "out"),
    )
    assert "--image is not given" in said
    found = json.loads((tmp_path / "out" / "latency.json").read_text())
    assert [entry["threads"] for entry in found] == [1, 2]


def test_scores_are_a_files_by_its_hash(checkpoints, tmp_path):
    moved, other = tmp_path / "moved.ckpt", checkpoints["detection"]
    shutil.copy(checkpoints["classification"], moved)
    told = {"checkpoint": "elsewhere.ckpt", "top1": 0.5, "sha256": sha256(moved)}
    (tmp_path / "scores.json").write_text(json.dumps(told))
    assert read_scores([tmp_path], [other, moved]) == {moved: 0.5}
    shutil.copy(other, moved)  # exported anew since it was evaluated
    (tmp_path / "scores.json").write_text(json.dumps(told | {"checkpoint": str(moved)}))
    with pytest.raises(DeployError, match=r"--scores .*: is of .*moved\.ckpt, or of what that was before"):
        read_scores([tmp_path], [other, moved])


@pytest.mark.parametrize(
    "options, said",
    [
        (["none.onnx"], "none.onnx: no such checkpoint"),
        (["{}", "--scores", "none.json"], "--scores none.json: is no scores.json"),
        (["{}", "--threads", "0"], "threads"),
        ([], "files"),
    ],
)
def test_what_cannot_be_measured_is_told(options, said, checkpoints, tool_here):
    found = tool_here("benchmark", *(option.format(checkpoints["detection"]) for option in options), succeeds=False)
    assert said in found and len(found.strip().splitlines()) == 1


def test_parts_of_a_joint_network_are_measured_apart(joint, tmp_path, tool_here, in_this_process):
    said = tool_here("benchmark", str(joint), "--rounds", "2", "--output", str(tmp_path), "--torchvision", "false")
    (entry,) = json.loads((tmp_path / "latency.json").read_text())
    assert entry["parts"].keys() == {"backbone", "masks", "boxes"}
    assert f"{joint}, 1 threads, the network's parts: backbone " in said


@pytest.mark.slow
def test_a_measurement_ends_with_the_process_that_began_it(tmp_path):
    (tmp_path / "begin.py").write_text(
        "from concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context\n"
        "from deploy.latency import _end_with_parent\nimport measured\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1, get_context('spawn'), _end_with_parent) as pool:\n"
        "        pool.submit(measured.long).result()\n"
    )
    (tmp_path / "measured.py").write_text(
        "import os, time\n\ndef long():\n    print(os.getpid(), flush=True)\n    time.sleep(300)\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    begun = subprocess.Popen(
        [sys.executable, "begin.py"], cwd=tmp_path, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths}
    )
    child = int(begun.stdout.readline())
    begun.kill()
    begun.wait()
    for _ in range(200):
        if not Path(f"/proc/{child}").exists():
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("it went on alone")
