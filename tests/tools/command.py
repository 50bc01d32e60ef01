"""Runs a tool as a user does: a process of its own, started from the repository."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str, *options: str, succeeds: bool = True, **environment: str) -> str:
    """What `python tools/<name>.py` prints; fails the test if it ends otherwise than expected."""
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *options]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr
