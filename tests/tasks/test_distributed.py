import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def curve(launcher: list[str], shapes: Path, folder: Path, processes: int) -> list[float]:
    folder.mkdir()
    command = [
        sys.executable,
        *launcher,
        str(ROOT / "tests/tasks/ddp_curve.py"),
        str(shapes),
        str(folder),
        str(processes),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "curve.json").read_text())


def test_two_processes_give_the_curve_of_one(shapes, tmp_path):
    one = curve([], shapes, tmp_path / "one", 1)
    two = curve(["-m", "torch.distributed.run", "--nproc_per_node=2"], shapes, tmp_path / "two", 2)
    assert len(one) == 6
    assert one[-1] < one[0]
    assert two[:4] == pytest.approx(one[:4], rel=1e-5)
    assert two == pytest.approx(one, rel=1e-2)  # rounding grows from step to step
