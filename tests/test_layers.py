"""The folders' imports run one way: backbones, heads, datasets below tasks below deploy below tools."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BELOW = {
    "backbones": set(),
    "heads": set(),
    "datasets": set(),
    "tasks": {"backbones", "heads", "datasets"},
    "deploy": {"backbones", "heads", "datasets", "tasks"},
    "search": {"backbones", "heads", "datasets", "tasks", "deploy"},
    "tools": {"backbones", "heads", "datasets", "tasks", "deploy", "search"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", BELOW)
def test_imports_run_downwards(folder):
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        ours = imported(path) & (BELOW.keys() | {"benchmarks", "tests"})
        assert ours <= BELOW[folder] | {folder}, f"{path} imports {ours}"


def test_no_two_files_of_one_name_lie_in_different_layers():
    layers: dict[str, set[str]] = {}
    for folder in BELOW:
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "__init__.py":
                layers.setdefault(path.name, set()).add(folder)
    assert {name: folders for name, folders in layers.items() if len(folders) > 1} == {}


def test_another_datasets_package_is_a_clear_error(tmp_path):
    other = tmp_path / "datasets"
    other.mkdir()
    (other / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.path.append({str(ROOT)!r}); import tools.cli"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert str(other) in done.stderr and "another package" in done.stderr
    assert "Traceback" not in done.stderr


def test_backbones_import_alone():
    code = (
        "import sys; from backbones import mobilenet_v3_large; print('heads' in sys.modules, 'datasets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
