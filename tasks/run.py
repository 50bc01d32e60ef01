"""One training run: its folder, what is written there and when, and how it starts, stops and goes on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from datasets import ClassUniform, Samples, check_batch, check_shared_memory
from tasks.base import Task
from tasks.callbacks import FirstStep, LastCheckpoint, SeedSteps, Signals, Stopped
from tasks.checkpoints import export_weights
from tasks.curves import plot_curves
from tasks.drawing import Draw, DrawBatch, FirstBatch, ValidationImages
from tasks.errors import RunError
from tasks.folders import LOCK, require_own
from tasks.loaders import Loaders
from tasks.lock import Locked, locked
from tasks.loggers import LogOptions, build_loggers, require_loggers, tracker_ids
from tasks.metrics_file import MetricsFile
from tasks.optim import Clock, requested_steps
from tasks.options import Interval, Run
from tasks.readiness import require_folder
from tasks.resume import TellSchedule, begun_run, config_without_actions, run_length
from tasks.trainer import build_trainer, check_options, fit, is_first_process

UNTIL_TIME = 10**6  # epochs of a run that its time ends
CHECKPOINTS = ("last.ckpt", "best.ckpt")


def seed_everything(seed: int) -> None:
    """Seed what random numbers come from; call it before a network is built."""
    L.seed_everything(seed, verbose=False)
    torch.set_float32_matmul_precision("high")


def check_run(run: Run) -> None:
    """Refuse a run that cannot start where it is to, or under its trainer's options; nothing is read or written.

    Raises:
        RunError: if so.
    """
    require_folder(run.output)
    check_options(run.trainer or {})
    require_loggers(run.logger)
    require_own(run.folder, "training", ["config.yaml"])
    _checkpoint(run)


def train_run(
    run: Run,
    task: Task,
    train: Samples,
    val: Samples,
    config_text: str,
    epochs: int,
    batch_size: int,
    draw: Draw,
    drawn: int = 4,
    repeat: int = 1,
    draw_batch: DrawBatch | None = None,
    uniform: ClassUniform | None = None,
) -> bool:
    """Train, and keep the best and the last checkpoint.

    Args:
        run: how it is carried out, with a name.
        task: what to train.
        train: samples of one size.
        val: samples that choose the best checkpoint.
        config_text: the options as YAML, written into the run's folder.
        epochs: passes over the training data.
        batch_size: images a step, over all processes.
        draw: draws samples, see `ValidationImages`.
        drawn: how many of them, from all over `val`.
        repeat: passes over the training data that are one epoch.
        draw_batch: draws the first training batch, see `FirstBatch`.
        uniform: what of an epoch is drawn by class.

    Returns:
        Whether anything was trained; a finished run is left as it is.

    Raises:
        RunError: if the folder is taken or in use, the run cannot go on under these options, or Lightning does not
            take an option of its trainer.
        CheckpointError: if the checkpoint to go on from cannot be read.
        DataError: if the data does not fill a batch.
        Stopped: after a signal, once all is saved.
    """
    folder = run.folder
    config = config_without_actions(config_text)
    metrics, loggers = MetricsFile(folder / "metrics.csv"), dict[str, Logger]()
    epochs = UNTIL_TIME if run.max_time else (run.trainer or {}).get("max_epochs", epochs)
    clock = Clock(Interval.parse(run.max_time).seconds if run.max_time else None)
    teachers, train_digest, val_digest = [teacher.digest for teacher in task.teachers], train.digest(), val.digest()

    def state() -> dict[str, Any]:
        images = {"train": len(train), "val": len(val)}
        digests = {"train": train_digest, "val": val_digest}
        spent, ids = {"elapsed": clock.now()}, {"trackers": tracker_ids(loggers)}
        begun_with = {"options": config, "epochs": epochs, "images": images, "metrics": metrics.state_dict()}
        return begun_with | {"digests": digests, "teachers": teachers} | spent | ids

    require_own(folder, "training", ["config.yaml"])
    signals = Signals()
    with signals.installed(), _alone(folder):
        checkpoint = _checkpoint(run)
        if run.resume and checkpoint is None:
            say(f"{folder}: has no last.ckpt yet; the run begins at its first step")
        begun = None if checkpoint is None else begun_run(checkpoint, task, state())
        if begun is not None:
            metrics.load_state_dict(begun.state["metrics"])
            clock.elapsed = begun.state.get("elapsed", 0.0)
            more = begun.more(epochs, requested_steps(run.trainer), clock, run.patience)
            if more is not None:
                metrics.finalize("success")
                say(f"{folder}: this run is finished, {begun.step} steps; more {more} would go on with it")
                curves = folder / "curves.png"
                if is_first_process() and metrics.path.is_file() and not curves.exists():  # it was killed before
                    plot_curves(metrics.path, task.monitor, curves)
                _export(run)
                return False
            say(f"{folder}: going on after step {begun.step}")
        first = FirstStep(folder, config, keep=begun is not None)
        every = None if run.save_every is None else Interval.parse(run.save_every)
        callbacks = [
            first,
            SeedSteps(run.seed),
            ValidationImages(_across(val, drawn), folder / "images", draw),
            LastCheckpoint(folder / "last.ckpt", every, signals, state),
        ]
        if begun is None:
            loggers |= build_loggers(run.logger, folder, str(run.name))
            callbacks.append(LogOptions(loggers, config))
            callbacks += [] if draw_batch is None else [FirstBatch(folder / "images" / "first_batch.png", draw_batch)]
        else:
            ids = begun.state.get("trackers", {})
            loggers |= build_loggers(run.logger, folder, str(run.name), begun.step, ids)
            callbacks.append(TellSchedule(begun.length, run_length(run.max_time, epochs)))
        all_loggers = [metrics, *loggers.values()]
        fitter = build_trainer(
            folder, task.monitor, epochs, run.ema, run.patience, callbacks, run.trainer, all_loggers, clock
        )
        _check_data(run, train, val, batch_size, fitter.world_size, repeat)
        if run.compile:
            for part in (task.network.backbone, task.network.head):
                part.compile()
        millions = sum(p.numel() for p in task.network.parameters()) / 1e6
        classes = len(task.spec.names)
        say(f"{len(train)} images, {classes} classes, {millions:.2f} M parameters; writing to {folder}")
        task.most_steps, task.clock = requested_steps(run.trainer), clock
        try:
            with first:
                place = (0, 0) if begun is None else begun.place
                loaders = Loaders(train, val, batch_size, run.workers, run.seed, place, repeat, uniform)
                fit(fitter, task, loaders, checkpoint)
        except Stopped:
            _plot(first, metrics.path, task.monitor)
            raise
        _plot(first, metrics.path, task.monitor)
        best = fitter.checkpoint_callback
        if isinstance(best, ModelCheckpoint) and best.best_model_score is not None:
            say(f"best {task.monitor} {best.best_model_score:.4f} in {folder / 'best.ckpt'}")
        _export(run)
        return True


def _check_data(run: Run, train: Samples, val: Samples, batch_size: int, processes: int, repeat: int) -> None:
    check_batch(train, batch_size, processes, repeat)
    if len(val) < processes:
        raise RunError(f"{processes} processes are more than the {len(val)} validation images there are")
    check_shared_memory(train, batch_size // processes, run.workers)


def _checkpoint(run: Run) -> Path | None:
    """The checkpoint to go on from, or None to begin."""
    folder, last = run.folder, run.folder / "last.ckpt"
    if run.resume or _restarted(last):
        if last.is_file():
            return last
    elif not run.overwrite and any((folder / name).exists() for name in CHECKPOINTS):
        raise RunError(
            f"{folder}: holds a run; name another --name, go on with --resume, or replace it with --overwrite"
        )
    return None


def _plot(first: FirstStep, table: Path, monitor: str) -> None:
    if first.begun and table.is_file():  # else it may be of the run before
        plot_curves(table, monitor, table.with_name("curves.png"))


def _export(run: Run) -> None:
    best = run.folder / "best.ckpt"
    if run.export_weights is not None and is_first_process():
        export_weights(best, run.export_weights)
        say(f"wrote the weights of {best} to {run.export_weights}")


def _restarted(last: Path) -> bool:
    """Whether torchrun restarted this process, and its predecessor wrote the checkpoint (and not some run before)."""
    job = Path(f"/proc/{os.getppid()}/stat")  # torchrun's own process, as old as the job is
    if not int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) or not job.exists() or not last.is_file():
        return False
    booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    ticks = int(job.read_text().rpartition(")")[2].split()[19])  # starttime of proc(5)
    return last.stat().st_mtime > int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")


@rank_zero_only
def say(text: str) -> None:
    """Print a line, once for all processes."""
    print(text, flush=True)


def _across(samples: Samples, count: int) -> list[Any]:
    """Some samples from all over a split."""
    places = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return [samples[int(index)] for index in places]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make a folder and keep other runs out of it for as long as this one lasts; leave none that stays empty."""
    if not is_first_process():
        yield
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / LOCK):
            yield
    except Locked:
        raise RunError(f"{folder}: another process is training there; name another --name") from None
    finally:
        if made and not any(path.name != LOCK for path in folder.iterdir()):
            (folder / LOCK).unlink(missing_ok=True)
            for path in made:
                with suppress(OSError):  # it is no longer empty
                    path.rmdir()
