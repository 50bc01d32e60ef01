"""Trainings that are killed and gone on with, compared bit for bit with one that was not.

A training runs in a process of its own, forked from this one so that imports are there already, and says in a byte of
shared memory what it is at: starting up, training, validating or writing a checkpoint.
"""

import contextlib
import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

START, TRAIN, VALIDATE, WRITE, PHASES = 0, 1, 2, 3, ("start-up", "training", "validation", "writing")
LIMIT = 300  # seconds that a training may take


@dataclass
class Training:
    """A training of a tool.

    Attributes:
        tool: "train_seg", "train_det" or "train_cls".
        options: all but --output and --name.
    """

    tool: str
    options: list[str]

    def start(self, output: Path, *more: str) -> tuple[int, mmap.mmap]:
        """Begin in a process of its own: its number, and the byte that says what it is at."""
        phase = mmap.mmap(-1, 1)
        child = os.fork()
        if child == 0:
            _train(self.tool, [*self.options, "--output", str(output), "--name", "run", *more], output, phase)
        return child, phase

    def finish(self, output: Path, *more: str) -> int:
        """Train to the end; the status."""
        child, _ = self.start(output, *more)
        return wait(child, LIMIT)


def wait(child: int, seconds: float) -> int:
    """The status of a process once it has ended; it is killed after so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"process {child} took more than {seconds} s")


def kill(
    training: Training, output: Path, draw: random.Random, wanted: int | None, duration: float
) -> tuple[str, float]:
    """Begin a training and kill it; the phase it was in and the seconds that it had.

    Args:
        training: what to begin.
        output: for its run.
        draw: of the moment.
        wanted: a phase to kill it in, or None for any moment of `duration`, drawn evenly.
        duration: of an unbroken training, in seconds.
    """
    child, phase = training.start(output)
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
    return (PHASES[was] if was < 255 else "after the end"), lasted


def _await_phase(phase: mmap.mmap, wanted: int, draw: random.Random) -> None:
    """Wait for one of the first few times that a phase begins, and a little longer."""
    times, before = draw.randint(1, 3 if wanted != START else 1), None
    while phase[0] < 255:
        now = phase[0]
        times -= now == wanted and before != wanted
        if times == 0:
            time.sleep(draw.uniform(0, {START: 1.5, WRITE: 0.02}.get(wanted, 0.2)))
            return
        before = now
        time.sleep(0.0005)


def differing_bits(one: Path, other: Path) -> int:
    """How many bits differ between two runs: weights, averages, optimiser, scheduler and metrics.csv."""
    count = _bits((one / "metrics.csv").read_bytes(), (other / "metrics.csv").read_bytes())
    for name in ("best.ckpt", "last.ckpt"):
        contents = [torch.load(folder / name, weights_only=True) for folder in (one, other)]
        for part in (
            "state_dict",
            "current_model_state",
            "averaging_state",
            "optimizer_states",
            "lr_schedulers",
            "loops",
        ):
            if part == "loops" and name == "best.ckpt":
                continue
            found = [dict(_leaves(content.get(part))) for content in contents]
            for key in found[0].keys() | found[1].keys():
                count += _bits(*(_bytes(leaves.get(key)) for leaves in found))
    return count


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield name, value
    else:
        for key, item in items:
            yield from _leaves(item, f"{name}.{key}")


def _bytes(value: Any) -> bytes:
    return (
        value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        if isinstance(value, torch.Tensor) and value.numel()
        else repr(value).encode()
    )


def _bits(one: bytes, other: bytes) -> int:
    longest = max(len(one), len(other))
    difference = int.from_bytes(one.ljust(longest, b"\0"), "big") ^ int.from_bytes(other.ljust(longest, b"\0"), "big")
    return difference.bit_count()


def _train(tool: str, options: list[str], output: Path, phase: mmap.mmap) -> None:
    """The child: run a tool and never come back."""
    os.setpgid(0, 0)
    torch.set_num_threads(1)
    said = (output.parent / f"{output.name}.txt").open("a")
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    code: Any = 1
    try:
        _tell_phases(phase)
        from tools import cli

        sys.argv = [f"{tool}.py"]
        sys.path.insert(
            0, str(Path(__file__).resolve().parents[1] / "tools")
        )  # which the tool replaces by the checkout
        module = __import__(f"tools.{tool}", fromlist=[tool])
        cli.command(getattr(module, tool), options)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        if isinstance(ended.code, str):
            print(ended.code)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        phase[0] = 255
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _tell_phases(phase: mmap.mmap) -> None:
    """Write what a training is at into a byte."""
    from lightning.pytorch.loops import evaluation_loop, fit_loop

    from tasks.checkpoints import AtomicCheckpointIO

    def during(owner: Any, name: str, number: int) -> None:
        plain: Callable[..., Any] = getattr(owner, name)

        def told(*arguments: Any, **options: Any) -> Any:
            before, phase[0] = phase[0], number
            result = plain(*arguments, **options)
            phase[0] = before
            return result

        setattr(owner, name, told)

    during(AtomicCheckpointIO, "save_checkpoint", WRITE)
    during(evaluation_loop._EvaluationLoop, "run", VALIDATE)
    during(fit_loop._FitLoop, "advance", TRAIN)
