"""Command lines with nonsense in them, as whole processes: how often each outcome occurs, and all that went wrong.

python benchmarks/fuzz_command_lines.py --lines 300 --seed 0

Options and values are those of tests/tools/nonsense.py, one to three a line on top of a sound one that ends in seconds.
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
        everything = {tool: list(cases(tool, Path(name))) for tool in TOOLS}
        for _ in track(range(lines), "Fuzzing", transient=True):
            tool = choose.choice(TOOLS)
            chosen = choose.sample(everything[tool], choose.choice([1, 1, 2, 3]))
            typed = [*base[tool], *(word for case in chosen for word in case.line())]
            outcome, said = _run(tool, typed)
            if outcome in (0, 1, 2):
                # a line may stop at any of its nonsense
                faults = [fault(case, outcome, said) for case in chosen]
                wrong = faults[0] if len(chosen) == 1 else min(faults, key=len)
                wrong = "was accepted" if outcome == 0 and any(case.refused for case in chosen) else wrong
                counts[wrong or ("accepted" if outcome == 0 else f"refused in one line, status {outcome}")] += 1
            else:
                wrong = f"ended with {outcome}"
                counts[wrong] += 1
            if wrong:
                print(
                    f"{tool} {shlex.join(word for case in chosen for word in case.line())[:200]}\n  {wrong}: {said[-400:]}"
                )
    for what, count in counts.most_common():
        print(f"{count:6} {what}")


def _run(tool: str, arguments: list[str]) -> tuple[int | str, str]:
    """The status of a process, or what became of it; and what it said on standard error."""
    line = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired as late:
        return f"no end within {LIMIT} s", str(late.stderr or "")
    return done.returncode, done.stderr


if __name__ == "__main__":
    command(fuzz)
