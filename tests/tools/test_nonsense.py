"""Each option of each tool with nonsense of its type: one line, no traceback, nothing accepted that makes no sense."""

import importlib
import sys

import pytest

from tests.conftest import ROOT
from tests.tools.nonsense import TOOLS, Case, cases, fault, prepare
AWAITING: set = set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nonsense")


@pytest.fixture(scope="module")
def base(folder):
    return prepare(folder)


@pytest.fixture
def end(monkeypatch, capsys, base):
    """How a tool ends, in this process and without a training step: what is wrong with it, and what it said."""
    import lightning.pytorch as L
    from matplotlib.figure import Figure

    from tools import cli

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    monkeypatch.setattr(L.Trainer, "fit", lambda *_, **__: None)
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)

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


@pytest.mark.parametrize("tool", TOOLS)
def test_every_option(tool, end, folder):
    import time
    wrong = []
    for case in cases(tool, folder):
        t=time.time()
        found, said = end(case)
        took = time.time()-t
        if found or took > 3:
            wrong.append(f"{' '.join(case.line())[:80]!r} {found} {took:.1f}: {said[-300:]}")
    assert not wrong, "\n".join(wrong)
