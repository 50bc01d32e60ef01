"""pip install -e . in an environment of its own, beside another distribution that owns a package called datasets."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools")
ROOT = Path(__file__).resolve().parents[1]


def call(*command: str | Path, cwd: Path, succeeds: bool = True) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert (done.returncode == 0) == succeeds, said
    return said


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy, as installing writes into it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("setup.py", "pyproject.toml", "README.md", "mobiledense.py"):
        shutil.copy(ROOT / name, copy)
    for name in ("backbones", "heads", "datasets", "tasks", "deploy", "search", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Python of an environment that has the libraries of this one behind its own."""
    folder = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    own = next(folder.glob("lib*/**/site-packages"))
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


def pip(python: Path, *arguments: str | Path, cwd: Path, succeeds: bool = True) -> str:
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--disable-pip-version-check"]
    options = offline if arguments[0] == "install" else ["--yes"]
    return call(python, "-m", "pip", arguments[0], *options, *arguments[1:], cwd=cwd, succeeds=succeeds)


def wheel_of_datasets(folder: Path) -> Path:
    """A distribution with the names of Hugging Face's."""
    path = folder / "datasets-9.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("datasets/__init__.py", "def load_dataset():\n    return 'theirs'\n")
        file.writestr("datasets-9.9.dist-info/METADATA", "Metadata-Version: 2.1\nName: datasets\nVersion: 9.9\n")
        file.writestr("datasets-9.9.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("datasets-9.9.dist-info/RECORD", "")
    return path


def test_an_install_leaves_other_packages_alone(checkout, python, tmp_path):
    ours = "from backbones import mobilenet_v3_large; import heads; print('ours')"
    theirs = "import datasets; print(datasets.load_dataset())"
    pip(python, "install", "-e", checkout, cwd=tmp_path)
    with_tasks = "import tasks, datasets; print(datasets.DataError.__name__)"
    assert call(python, "-c", with_tasks, cwd=tmp_path).strip() == "DataError"
    # of other programs, none finds a package that it does not expect
    for name in ("datasets", "tools", "tests", "benchmarks"):
        assert f"No module named '{name}'" in call(python, "-c", f"import {name}", cwd=tmp_path, succeeds=False)

    pip(python, "install", wheel_of_datasets(tmp_path), cwd=tmp_path)
    assert call(python, "-c", theirs, cwd=tmp_path).strip() == "theirs"
    assert call(python, "-c", ours, cwd=tmp_path).strip() == "ours"
    refused = call(python, "-c", "import tasks", cwd=tmp_path, succeeds=False).splitlines()[-1]
    assert "another package of that name" in refused and f'sys.path.insert(0, "{checkout}")' in refused
    command = python.parent / "mobiledense"
    assert "parameters" in call(command, "cost", "--size", "32", "32", cwd=tmp_path)
    assert 'did you mean "train-seg"?' in call(command, "trainseg", cwd=tmp_path, succeeds=False)

    pip(python, "uninstall", "mobiledense", cwd=tmp_path)
    assert not command.exists()
    assert call(python, "-c", theirs, cwd=tmp_path).strip() == "theirs"


def test_a_wheel_is_refused_in_one_line(checkout, python):
    line = "mobiledense is installed from a checkout, with pip install -e . and no other way"
    said = pip(python, "install", ".", cwd=checkout, succeeds=False)
    assert line in said and "Traceback" not in said
    said = call(python, "setup.py", "bdist_wheel", cwd=checkout, succeeds=False)
    assert line in said.splitlines()[-1] and "Traceback" not in said
    assert not list(checkout.rglob("*.whl"))
