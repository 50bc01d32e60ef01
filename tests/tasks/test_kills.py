"""A handful of the kills of benchmarks/kills.py, which has the long run of them."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("task, workers", [("seg", 0), ("det", 2), ("cls", 2)])
def test_a_killed_training_ends_with_the_bits_of_an_unbroken_one(task, workers):
    command = [sys.executable, "benchmarks/kills.py", "--task", task, "--kills", "4", "--workers", str(workers)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{task}: 4 of 4 kills survived without a bit of difference" in done.stdout
