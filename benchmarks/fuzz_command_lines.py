"""Command lines with nonsense in them, as whole processes: how often each outcome occurs, and all that went wrong.

python benchmarks/fuzz_command_lines.py --lines 300 --seed 0

Options and values are those of tests/tools/nonsense.py, on top of a sound line that ends in seconds; most of those that
are no number at all are left out, as all of them end in the parser.
"""

import os
import random
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.progress import track

from tests.tools.nonsense import TOOLS, cases, fault, prepare
from tools.cli import command

PARSED = {"x", "nan", "inf", "", "[1]", "maybe", "nonsense"}  # what the parser is enough for
LIMIT = 120  # seconds; a refusal takes as long as imports do
ROOT = Path(__file__).resolve().parents[1]


def fuzz(lines: int = 300, seed: int = 0) -> None:
    """Run command lines, print those that end otherwise than they should, and counts of all outcomes.

    Args:
        lines: how many.
        seed: of the choice.
    """
    choose, counts = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        base = prepare(Path(name))
        everything = [case for tool in TOOLS for case in cases(tool, Path(name))]
        weights = [0.1 if PARSED & {*case.words} else 1.0 for case in everything]
        for case in track(choose.choices(everything, weights, k=lines), "Fuzzing", transient=True):
            status, said = _run(case.tool, [*base[case.tool], *case.line()])
            wrong = fault(case, status, said)
            counts[wrong or ("refused in one line" if status else "accepted")] += 1
            if wrong:
                print(f"{case.tool} {shlex.join(case.line())[:200]}\n  {wrong}: {said[-400:]}")
    for what, count in counts.most_common():
        print(f"{count:6} {what}")


def _run(tool: str, arguments: list[str]) -> tuple[int, str]:
    """The status of a process, as timeout(1) has it for one that does not end; and what it said on standard error."""
    line = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired as late:
        return 124, str(late.stderr or "")
    return done.returncode, done.stderr


if __name__ == "__main__":
    command(fuzz)
