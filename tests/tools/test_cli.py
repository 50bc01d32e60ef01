import errno
import os
import subprocess
import sys

import pytest
import torch

from backbones import BackboneError
from datasets import DataError
from tests.conftest import ROOT
from tools import cli


def ends(error: BaseException, capsys) -> tuple[object, str]:
    """Status or line that a tool ends with at an error, and what it wrote before."""

    def tool() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        cli.command(tool, [], "tool")
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    "error, line",
    [
        (DataError("a.png: not an image"), "tool: a.png: not an image"),
        (BackboneError("no such backbone"), "tool: no such backbone"),
        (FileNotFoundError("none.pth: no such weights file"), "tool: none.pth: no such weights file"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a.csv"),
            "tool: runs/a.csv: No space left on device; free some space, or name another folder",
        ),
        (
            NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), "a/b"),
            "tool: a/b: Not a directory; name a folder",
        ),
        (OSError(errno.EIO, "Input/output error"), "tool: Input/output error"),
        (
            DataError("Caught DataError in worker 0.\nOriginal Traceback ...\ndatasets.files.DataError: a.png: torn"),
            "tool: a.png: torn",
        ),
        (MemoryError(), "tool: out of memory; lower --batch-size, "),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to"), "tool: out of memory; lower --batch-size, "),
        (RuntimeError("enforce fail: DefaultCPUAllocator: can't allocate memory"), "tool: out of memory; lower "),
    ],
)
def test_what_a_user_or_a_machine_can_mend_is_one_line(error, line, capsys, monkeypatch):
    code, before = ends(error, capsys)
    assert str(code).startswith(line) and "\n" not in str(code)
    assert before == ""
    monkeypatch.setenv("MOBILEDENSE_TRACEBACK", "1")
    code, before = ends(error, capsys)
    assert str(code).startswith(line)
    assert "Traceback" in before


@pytest.mark.parametrize("error", [ValueError("shapes differ"), KeyError("x"), RuntimeError("mat1 and mat2")])
def test_what_is_ours_to_mend_shows_where(error, capsys):
    code, before = ends(error, capsys)
    assert str(code).startswith(f"tool: internal error, {type(error).__name__}: ")
    assert "Traceback" in before and "in tool" in before


@pytest.mark.parametrize("error, told", [(OSError(errno.ENOSPC, "full"), False), (KeyError("x"), True)])
def test_a_full_disk_in_a_thread_is_left_to_the_main_one(error, told):
    code = (
        "import threading; from tools import cli\n"
        f"def fail(): raise {error!r}\n"
        "def tool():\n thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "cli.command(tool, [], 'tool')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and ("Traceback" in done.stderr) == told


def test_ctrl_c(capsys):
    assert ends(KeyboardInterrupt(), capsys) == (130, "tool: stopped\n")


def test_a_reader_that_has_seen_enough_is_not_told():
    code = "from tools.cli import command\ndef tool():\n    print(200_000 * 'x')\ncommand(tool, [], 'tool')"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", 1)


def tool(epochs: int = 1, batch_size: int = 1, weights: str = "none", trainer: dict[str, object] | None = None) -> None:
    """Takes a few options."""


LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nepochs: [*b, *b]\n"


@pytest.mark.parametrize(
    "content, said",
    [
        ("trainer:\n  logger:\n    class_path: not_imported.Anything\n", "has 'class_path' in it"),
        ("trainer: {logger: {init_args: {}}}\n", "has 'init_args' in it"),
        ("weights: !!python/object/apply:os.getcwd []\n", "has a tag"),
        (LAUGHS, "has an alias, *a"),
        (f"epochs: {30 * '['}1{30 * ']'}\n", "has more than 20 lists or mappings"),
        (f"weights: {1_000_001 * 'x'}\n", "is longer than 1,000,000 characters"),
        (f"epochs: {5000 * '9'}\n", "4300 digits"),
        (b"weights: caf\xe9\n", "is not UTF-8 text; save it as UTF-8"),
        ('weights: "a\\0b"\n', "in it, which no option takes"),
        ("epochs: [1, 2\n", "line 2: is not YAML"),
        ("- epochs\n", "holds a list; write options in it"),
        ("epochs\n", "holds a str; write options in it"),
        ("", "holds nothing; write options in it"),
        ("epohcs: 1\n", "there is no option epohcs; did you mean --epochs?"),
        ("batch-size: 1\n", "there is no option batch-size; write batch_size"),
        ("epohcs.x: 1\n", "there is no option epohcs.x"),
        ("weights: ''\n", "weights is empty"),
        ("epochs:\nweights: x\n", "epochs is empty"),
        ("epochs: 1\nepochs: 2\n", "has epochs twice; keep one"),
        ("epochs: many\n", "--epochs: Expected int. Got value: many"),
        ("config: other.yaml\n", "has config in it"),
    ],
)
def test_a_config_that_cannot_be_read_is_one_line(content, said, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SystemExit) as ended:
        cli.command(tool, ["--config", str(path)], "tool")
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith(f"tool: {path}") and said in told and told.count("\n") == 1


@pytest.mark.parametrize(
    "name, said",
    [("", "it is a folder"), ("none.yaml", "no such file"), (300 * "x", "too long"), ("pipe", "it is no regular file")],
)
def test_a_config_that_is_no_file(name, said, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SystemExit):
        cli.command(tool, [f"--config={tmp_path / name}"], "tool")
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--trainer", "{logger: {class_path: not_imported.Anything}}"],
        ["--trainer.logger", "{class_path: not_imported.Anything}"],
        ["--trainer.logger.class_path", "not_imported.Anything"],
    ],
)
def test_no_option_imports_what_it_names(arguments, tmp_path, monkeypatch):
    (tmp_path / "not_imported.py").write_text("class Anything: ...")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        cli.command(tool, arguments, "tool")
    except SystemExit as ended:
        assert ended.code == 2
    assert "not_imported" not in sys.modules


def test_a_config_of_plain_values_is_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("# a comment\nepochs: 3\ntrainer:\n  max_steps: 1\n  plugins: [a, 1e-3]\n")
    taken = {}

    def tool(epochs: int = 1, trainer: dict[str, object] | None = None) -> None:
        taken.update(epochs=epochs, trainer=trainer)

    cli.command(tool, ["--config", str(path)], "tool")
    assert taken == {"epochs": 3, "trainer": {"max_steps": 1, "plugins": ["a", 1e-3]}}


@pytest.mark.parametrize(
    "words",
    [
        ["train_seg", "--help"],
        ["train_det", "--lrr", "1"],
        ["train_cls", "--dataset", "folder", "--data-root", "/nowhere"],
        ["eval_det", "--checkpoint", "/nowhere.ckpt"],
        ["predict", "--checkpoint", "/nowhere.ckpt", "--source", "x"],
    ],
)
def test_what_is_told_before_anything_is_read_needs_no_torch(words):
    code = (
        "import importlib, sys; sys.path.insert(0, '.')\n"
        f"function = getattr(importlib.import_module('tools.{words[0]}'), '{words[0]}')\n"
        "from tools.cli import command\n"
        f"try: command(function, {words[1:]})\n"
        "except SystemExit: print(sorted({'torch', 'cv2', 'lightning'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[]", run.stderr
