import json
import subprocess
import sys

import pytest

from search.search_errors import SearchError
from tests.conftest import ROOT

NETWORK = ["--backbone", "v3-small", "--width", "0.25", "--head", "lraspp", "--size", "64", "64", "--classes", "2"]
QUICK = [*NETWORK, "--rounds", "1", "--check", "3", "--step", "64"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tmp_path_factory.mktemp("latency") / "table.json"


@pytest.fixture
def measured(tool_here, table):
    return tool_here("latency_table", *QUICK, "--output", str(table))


def test_a_table_is_measured_held_to_networks_and_prices_them(tool_here, measured, table):
    content = json.loads(table.read_text())
    assert (content["head"], content["size"], content["runtime"]) == ("lraspp", [64, 64], "torch")
    assert all(layer["ms"] > 0 for layer in content["layers"])
    assert "3 networks: median error" in measured and "Spearman" in measured
    check = json.loads(table.with_suffix(".check.json").read_text())
    assert len(check["predicted"]) == len(check["measured"]) == len(check["again"]) == 3
    said = tool_here("cost", *NETWORK, "--latency", str(table))
    assert "latencies of lraspp at 64x64 in torch with 1 threads" in said and " ms" in said.splitlines()[-1]
    said = tool_here("cost", *NETWORK[:-2], "--classes", "3", "--latency", str(table), succeeds=False)
    assert "has no conv, " in said and "to 3 channels" in said


def test_what_is_there_is_not_measured_again_and_not_mixed(tool_here, measured, table):
    content = json.loads(table.read_text())
    tool_here("latency_table", *QUICK, "--output", str(table))
    assert json.loads(table.read_text())["layers"] == content["layers"]
    said = tool_here("latency_table", *QUICK, "--threads", "2", "--output", str(table), succeeds=False)
    assert "with 1 threads" in said and "not for lraspp at 64x64 in torch with 2 threads" in said
    assert json.loads(table.read_text())["layers"] == content["layers"]


def stop(*_):
    raise SearchError("stopped")


def test_a_table_that_was_stopped_prices_nothing_until_it_is_gone_on_with(tool_here, table, monkeypatch, tmp_path):
    path = tmp_path / "table.json"
    with monkeypatch.context() as patched:
        patched.setattr("search.making_tables.measure_networks", stop)
        assert tool_here("latency_table", *QUICK, "--output", str(path), succeeds=False).endswith("stopped")
    said = tool_here("cost", *NETWORK, "--latency", str(path), succeeds=False)
    assert f"{path}: is not complete" in said
    tool_here("latency_table", *QUICK, "--output", str(path))
    assert " ms" in tool_here("cost", *NETWORK, "--latency", str(path))


def test_a_table_does_not_take_the_name_of_its_plot(tool_here, tmp_path):
    said = tool_here("latency_table", *QUICK, "--output", str(tmp_path / "table.png"), succeeds=False)
    assert "a table is JSON, and its plot beside it has that name" in said and not [*tmp_path.iterdir()]


def test_two_at_once_are_refused(tool_here, tmp_path):
    path = tmp_path / "table.json"
    code = "import sys, time\nfrom pathlib import Path\nfrom tasks.lock import locked\n"
    lock = str(tmp_path / ".latency.lock")
    code += f"with locked(Path({lock!r})):\n    print('held', flush=True)\n    time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        said = tool_here("latency_table", *QUICK, "--output", str(path), succeeds=False)
        other.kill()
    assert "another process is measuring a table there" in said and not path.exists()


def test_layers_go_to_a_phone_and_come_back(tool_here, tmp_path):
    pytest.importorskip("onnx")
    folder, path = tmp_path / "layers", tmp_path / "table.json"
    tool_here("latency_table", *QUICK, "--runtime", "onnxruntime", "--write-layers", str(folder))
    said = tool_here("latency_table", "--read-layers", str(folder), "--output", str(path), succeeds=False)
    assert "layers have no .txt; run measure.sh" in said
    for file in folder.glob("*.onnx"):
        file.with_suffix(".txt").write_text("Average inference time cost: 0.5 ms")
    tool_here("latency_table", "--read-layers", str(folder), "--device", "Pixel 6", "--output", str(path))
    said = tool_here("cost", *NETWORK, "--latency", str(path))
    assert "on Pixel 6" in said and "not measured on this machine" in said and said.splitlines()[-1] == "28.50 ms"


def test_mistakes_are_one_line(tool_here, checkpoint, tmp_path):
    path = ["--output", str(tmp_path / "table.json")]
    said = tool_here("latency_table", "--checkpoint", str(checkpoint), "--width", "0.5", *path, succeeds=False)
    assert "--width: --checkpoint" in said and "leave one of them out" in said
    said = tool_here("latency_table", *NETWORK, "--step", "12", *path, succeeds=False)
    assert "--step 12: must be a multiple of 8" in said
    said = tool_here("latency_table", *NETWORK, "--write-layers", str(tmp_path), *path, succeeds=False)
    assert "--runtime torch: has no files" in said
    (tmp_path / "table.json").write_text('{"mine": 1}')
    said = tool_here("latency_table", *QUICK, *path, "--overwrite", "true", succeeds=False)
    assert "is no latency table" in said and (tmp_path / "table.json").read_text() == '{"mine": 1}'
