"""The notebook: what stands in it runs, and it is kept without outputs."""

import json
import os
import stat
import sys

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def test_it_is_kept_small_and_without_outputs():
    assert NOTEBOOK.stat().st_size < 20_000
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch):
    """In a folder of its own, with the command `mobiledense` of this checkout; a command that fails is told."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    command = tmp_path / "bin" / "mobiledense"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "mobiledense.py"}" "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.lstrip().startswith("!"):
            cell.source += "\nassert _exit_code == 0"
    folder = tmp_path / "work"
    folder.mkdir()
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    said = {cell.id: json.dumps(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"}
    assert "nothing found: no errors" in said["check-data"]
    assert "image/png" in said["samples"] and "image/png" in said["load"]
    assert (folder / "runs" / "quickstart" / "best.onnx").is_file()
    assert "text/html" in said["frame"]
