"""What the documents print runs: every command is parsed by what it names, and README's Python runs."""

import argparse
import functools
import re
import runpy
import shlex
import sys

import pytest
import yaml

import mobiledense
import tasks  # noqa: F401 which finds datasets
from datasets import read_image
from tests.conftest import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *(ROOT / "docs").glob("*.md"),
]
SOURCES = [
    *DOCUMENTS,
    *(ROOT / "tools").glob("*.py"),
    *(ROOT / "benchmarks").glob("*.py"),
    *(ROOT / "examples").glob("*.py"),
    *(ROOT / "configs").rglob("*.yaml"),
]
COMMAND = re.compile(
    r"(?:torchrun[^\n`]*? |python )(?:tools|benchmarks|examples)/\w+\.py[^\n`]*|(?<=\n)mobiledense [a-z][^\n`]*"
)
COMMANDS = sorted(
    {
        match[0].split("  #")[0].strip()
        for source in SOURCES
        for match in COMMAND.finditer(source.read_text())
        if " ..." not in match[0] and "{" not in match[0]  # parts of commands, and those that programs put together
    }
)
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


class Parsed(BaseException):
    """Raised once a command line is parsed."""


def parsed(*_: object, **__: object) -> None:
    raise Parsed


@pytest.fixture
def parse_only(monkeypatch, tmp_path):
    """Commands end where they would begin to work; the data that they name is there."""
    from tools import cli

    call, parse = cli.command, argparse.ArgumentParser.parse_args

    def parse_args(parser, *arguments, **options):
        parse(parser, *arguments, **options)
        raise Parsed

    monkeypatch.setattr(cli, "command", lambda function, *rest: call(functools.wraps(function)(parsed), *rest))
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    for name in ("DIR", "VOCdevkit", *re.findall(r"my_\w+", "\n".join(COMMANDS))):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command, monkeypatch, parse_only):
    words = shlex.split(command)
    script = next((place for place, word in enumerate(words) if word.endswith(".py")), 0)
    monkeypatch.setattr(sys, "argv", words[script:])
    if script:
        with pytest.raises(Parsed):
            runpy.run_path(str(ROOT / words[script]), run_name="__main__")
    elif words[1] != "demo":
        with pytest.raises(Parsed):
            mobiledense.main()


def test_a_command_that_does_not_parse_is_found(monkeypatch, parse_only, capsys):
    monkeypatch.setattr(sys, "argv", ["cost.py", "--bakbone", "v3-small"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "tools" / "cost.py"), run_name="__main__")
    assert "did you mean --backbone?" in capsys.readouterr().err


def test_there_are_commands_of_every_tool_and_benchmark():
    said = "\n".join(COMMANDS)
    scripts = [path for folder in ("tools", "benchmarks", "examples") for path in (ROOT / folder).glob("*.py")]
    scripts = [path for path in scripts if "__main__" in path.read_text()]
    assert len(scripts) > 20
    assert [path.name for path in scripts if f"python {path.relative_to(ROOT)}" not in said] == []


def test_make_has_what_is_printed():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    printed = {name for path in DOCUMENTS for name in re.findall(r"`?make ([a-z-]+)[`\n]", path.read_text())}
    assert {"demo", "test", "setup"} <= printed <= {*targets}


def test_links_lead_somewhere():
    for path in DOCUMENTS:
        links = [link for link in re.findall(r"\]\(([^)#]+)", path.read_text()) if "://" not in link]
        assert [link for link in links if not (path.parent / link).exists()] == []


def test_feature_maps_of_readme(capsys):
    exec(compile(BLOCKS[0], "README.md", "exec"), {})
    assert capsys.readouterr().out == "576 16\n"


def test_training_and_prediction_of_readme(shapes, monkeypatch, tmp_path):
    """On small images in small batches for one epoch."""
    tree, names = tmp_path / "my_images", sorted(path.stem for path in (shapes / "JPEGImages").glob("train_*"))
    for folder, source, suffix in (("images", "JPEGImages", ".jpg"), ("masks", "SegmentationClass", ".png")):
        (tree / folder).mkdir(parents=True)
        for name, letter in zip(names, "abcdefghijklmnop", strict=True):
            (tree / folder / f"{letter}{suffix}").write_bytes((shapes / source / f"{name}{suffix}").read_bytes())
    (tree / "labels.txt").write_bytes((shapes / "labels.txt").read_bytes())
    monkeypatch.chdir(tmp_path)
    code = BLOCKS[1]
    smaller = {
        "(256, 256)": "(64, 64)",
        "max_epochs=40": "max_epochs=1",
        "augmented, 16, ": "augmented, 4, ",
    }
    for before, after in smaller.items():
        assert code.count(before) == 1
        code = code.replace(before, after)
    values: dict = {}
    exec(compile(code, "README.md", "exec"), values)
    assert values["mask"].shape == read_image(tree / "images" / "a.jpg").shape[:2]
    assert values["mask"].max() < len(values["result"].names) == 6


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.name)
def test_config_is_flat_and_says_how_to_run_it(path):
    text = path.read_text()
    assert f"--config {path.relative_to(ROOT)}" in text
    nested = {key for key, value in yaml.safe_load(text).items() if isinstance(value, dict)}
    assert nested <= {"trainer", "head_options"}
