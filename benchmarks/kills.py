"""Kills trainings, goes on with them, and counts the bits that differ from a training that was never killed.

python benchmarks/kills.py --kills 50
python benchmarks/kills.py --task det --kills 5 --workers 0 --seed 3

Each kill is SIGKILL to a training of its own, then the same command with --resume until it ends. The first eighth of
the kills comes during start-up, as many during validation and as many while a checkpoint is written; the others come at
any moment of the training, drawn evenly. Compared are weights, averaged weights, optimiser, schedule and progress in
last.ckpt, the weights in best.ckpt, and metrics.csv.
"""

import argparse
import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import torch

from datasets import write_shapes
from tools import cli

START, TRAIN, VALIDATE, WRITE, ENDED = range(5)
FINISHED = "after the end"
PHASES = ("start-up", "training", "validation", "writing", "after training")
LIMIT = 300  # seconds that a training may take
EVERYWHERE = ["--epochs", "3", "--save-every", "2", "--trainer.log_every_n_steps", "2", "--trainer.accelerator", "cpu"]
EVERYWHERE += ["--trainer.enable_progress_bar", "false"]
SMALL = ["--dataset", "coco", "--size", "64", "64", "--batch-size", "8"]
# what makes a training hard to repeat: averages, accumulation, mosaic, mixup, dropout, a loss over the whole batch,
# images drawn by class
DRAWN = ["--class-uniform", "0.5"]
OPTIONS = {
    "seg": ["--dataset", "voc", "--crop", "64", "64", "--batch-size", "8", "--loss", "ohem+dice", *DRAWN],
    "det": [*SMALL, "--mosaic", "0.5", "--trainer.accumulate_grad_batches", "2", *DRAWN],
    "cls": ["--dataset", "folder", "--size", "32", "32", "--batch-size", "16", "--mixup", "0.2", "--dropout", "0.5"],
}


@dataclass
class Training:
    """A training of `train_<task>`, each time in a process of its own.

    It is forked from this one, so that imports are there already, and says in a byte of shared memory what it is at.
    """

    task: str
    options: list[str]

    def start(self, output: Path, *more: str) -> tuple[int, mmap.mmap]:
        """Begin: the number of the process, and the byte that says what it is at."""
        phase = mmap.mmap(-1, 1)
        child = os.fork()
        if child == 0:
            _train(
                f"train_{self.task}", [*self.options, "--output", str(output), "--name", "run", *more], output, phase
            )
        return child, phase

    def finish(self, output: Path, *more: str) -> int:
        """Train to the end; the status."""
        child, _ = self.start(output, *more)
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return -signal.SIGALRM

    def kill(self, output: Path, draw: random.Random, wanted: int | None, duration: float) -> tuple[str, float]:
        """Begin and kill: the phase that it was in, and the seconds that it had.

        Args:
            output: for its run.
            draw: of the moment.
            wanted: a phase to kill it in, or None for any moment of `duration` seconds.
            duration: of an unbroken training.
        """
        child, phase = self.start(output)
        begun = time.monotonic()
        if wanted is None:
            moment = begun + draw.uniform(0, duration)
            while time.monotonic() < moment and phase[0] < 255:
                time.sleep(0.002)
        else:
            _await_phase(phase, wanted, draw)
        was, lasted = phase[0], time.monotonic() - begun
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return (PHASES[was] if was < 255 else FINISHED), lasted


def _await_phase(phase: mmap.mmap, wanted: int, draw: random.Random) -> None:
    """Wait for one of the first few times that a phase begins, and a little longer."""
    times, before = 1 if wanted == START else draw.randint(1, 3), -1
    while phase[0] < 255:
        now = phase[0]
        times -= now == wanted and before != wanted
        if times == 0:
            time.sleep(draw.uniform(0, {START: 1.0, WRITE: 0.02}.get(wanted, 0.2)))
            return
        before = now
        time.sleep(0.0005)


def _train(tool: str, options: list[str], output: Path, phase: mmap.mmap) -> None:
    """The child: run a tool, and never come back."""
    with output.with_suffix(".txt").open("ab") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    code: Any = 1
    try:
        torch.set_num_threads(1)
        _tell_phases(phase)
        sys.argv = [f"{tool}.py"]
        cli.command(getattr(import_module(f"tools.{tool}"), tool), options)
        code = 0
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code)
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    phase[0] = 255
    sys.stdout.flush()
    os._exit(code)


def _tell_phases(phase: mmap.mmap) -> None:
    """Write what a training is at into a byte."""
    from lightning.pytorch.loops import evaluation_loop, fit_loop

    from tasks.checkpoints import AtomicCheckpointIO

    def during(owner: Any, name: str, number: int, after: int | None = None) -> None:
        plain: Callable[..., Any] = getattr(owner, name)

        def told(*arguments: Any, **options: Any) -> Any:
            before, phase[0] = phase[0], number
            result = plain(*arguments, **options)
            phase[0] = before if after is None else after
            return result

        setattr(owner, name, told)

    during(AtomicCheckpointIO, "save_checkpoint", WRITE)
    during(evaluation_loop._EvaluationLoop, "run", VALIDATE)
    during(fit_loop._FitLoop, "advance", TRAIN)
    during(fit_loop._FitLoop, "on_run_end", TRAIN, after=ENDED)


def differing_bits(one: Path, other: Path) -> int:
    """How many bits differ between two finished runs."""
    count = _bits((one / "metrics.csv").read_bytes(), (other / "metrics.csv").read_bytes())
    training = ("optimizer_states", "lr_schedulers", "loops", "averaging_state", "current_model_state", "state_dict")
    for name, parts in (("last.ckpt", training), ("best.ckpt", ("state_dict", "current_model_state"))):
        contents = [torch.load(folder / name, weights_only=True) for folder in (one, other)]
        for part in parts:
            found = [dict(_leaves(content[part])) for content in contents]
            count += sum(_bits(*(_bytes(leaves.get(key)) for leaves in found)) for key in {**found[0], **found[1]})
    return count


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict | list):
        yield name, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(item, f"{name}.{key}")


def _bytes(value: Any) -> bytes:
    if isinstance(value, torch.Tensor) and value.numel():
        return value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return repr(value).encode()


def _bits(one: bytes, other: bytes) -> int:
    longest = max(len(one), len(other))
    return (
        int.from_bytes(one.ljust(longest, b"\0"), "big") ^ int.from_bytes(other.ljust(longest, b"\0"), "big")
    ).bit_count()


def data_of(task: str, folder: Path) -> list[str]:
    """Options for a small set that this task trains on, written on first use."""
    tree = folder / "shapes"
    write_shapes(tree, splits={"train": 48, "val": 12, "test": 4})
    if task == "cls":
        from tests.conftest import class_folders

        tree = folder / "classes"
        if not tree.exists():
            class_folders(folder / "shapes", tree)
    return ["--data-root", str(tree)]


def main() -> None:
    """Kill, go on, compare, and print a line each; the status is 1 if any bit differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=OPTIONS, action="append")
    parser.add_argument("--kills", type=int, default=50, help="for each task")
    parser.add_argument("--workers", type=int, default=2, help="loader processes")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for task in given.task or OPTIONS:
            folder = Path(temporary) / task
            folder.mkdir()
            everything = [*OPTIONS[task], *EVERYWHERE, *data_of(task, Path(temporary)), "--workers", str(given.workers)]
            failed |= not kill_one_task(Training(task, everything), folder, given.kills, given.seed)
    sys.exit(int(failed))


def kill_one_task(training: Training, folder: Path, kills: int, seed: int) -> bool:
    """Kill trainings of one task; whether all went on to the same bits."""
    begun = time.monotonic()
    if training.finish(folder / "unbroken"):
        sys.exit((folder / "unbroken.txt").read_text())
    duration, draw, same = time.monotonic() - begun, random.Random(seed), 0
    counts = dict.fromkeys(PHASES, 0)
    for number in range(kills):
        output, wanted = (
            folder / f"killed_{number}",
            {0: START, 1: VALIDATE, 2: WRITE}.get(number // max(1, kills // 8)),
        )
        phase, lasted = "", 0.0
        # a training that was faster than the moment is no kill, and start-up must be caught in it
        while phase in ("", FINISHED) or (wanted == START and phase != PHASES[START]):
            shutil.rmtree(output, ignore_errors=True)
            phase, lasted = training.kill(output, draw, wanted, duration)
            duration = min(duration, lasted) if phase == FINISHED else duration
        status = training.finish(output, "--resume")
        bits = differing_bits(folder / "unbroken" / "run", output / "run") if status == 0 else -1
        counts[phase], same = counts[phase] + 1, same + (bits == 0)
        print(
            f"{training.task} kill {number}: {phase}, after {lasted:.2f} s; status {status}, bits that differ: {bits}",
            flush=True,
        )
        if bits:
            print(output.with_suffix(".txt").read_text()[-2000:])
        shutil.rmtree(output, ignore_errors=True)
    where = ", ".join(f"{count} in {phase}" for phase, count in counts.items() if count)
    print(
        f"{training.task}: {same} of {kills} kills survived without a bit of difference; seed {seed}; {where}",
        flush=True,
    )
    return same == kills


if __name__ == "__main__":
    main()
