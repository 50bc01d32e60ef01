"""Commands and configs that the documents print are parsed by the tools they name."""

import functools
import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [ROOT / "README.md", *sorted((ROOT / "tools").glob("*.py")), *sorted((ROOT / "configs").rglob("*.yaml"))]
COMMANDS = sorted(
    {
        match[0].split("  #")[0].strip()
        for source in SOURCES
        for match in re.finditer(r"python tools/\w+\.py[^\n`]*", source.read_text())
        if "<name>" not in match[0] and "NAME" not in match[0]
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command, monkeypatch):
    from tools import cli

    _, path, *arguments = shlex.split(command)
    called = {}

    def recorded(function):
        return functools.wraps(function)(lambda **values: called.update(values))

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    module = importlib.import_module("tools." + Path(path).stem)
    cli.command(recorded(getattr(module, Path(path).stem)), arguments)
    assert called


def test_there_are_commands():
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.name)
def test_config_is_flat_and_says_how_to_run_it(path):
    text = path.read_text()
    assert f"--config {path.relative_to(ROOT)}" in text
    nested = {key for key, value in yaml.safe_load(text).items() if isinstance(value, dict)}
    assert nested <= {"trainer", "head_options"}
