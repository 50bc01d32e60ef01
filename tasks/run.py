"""One training run: its folder, what is written there and when, and how it starts, stops and goes on."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from datasets import COUNT, WORKERS, Samples, check_batch, check_shared_memory
from datasets.ranges import SEED, check_fields
from tasks.base import Task
from tasks.callbacks import FirstStep, Interval, LastCheckpoint, SeedSteps, Signals
from tasks.checkpoints import export_weights
from tasks.drawing import Draw, ValidationImages
from tasks.errors import RunError
from tasks.loaders import Loaders
from tasks.lock import Locked, locked
from tasks.metrics_file import MetricsFile
from tasks.optim import requested_steps
from tasks.resume import TellSchedule, begun_run, config_without_actions
from tasks.trainer import build_trainer, fit, is_first_process

LOCK = ".lock"
CHECKPOINTS = ("last.ckpt", "best.ckpt")


@dataclass(frozen=True)
class Run:
    """How a training run is carried out, and where it goes.

    Args:
        ema: decay of the averaged weights that are validated and saved, 0 for none.
        patience: stop after so many validations without improvement.
        compile: run the network through torch.compile.
        workers: loader processes; any number gives the same samples.
        seed: of weights, order and augmentation.
        name: of the run; by default DATASET_BACKBONE_HEAD, or DATASET_BACKBONE of a classifier.
        output: the folder that runs go to.
        resume: go on from the run's last checkpoint, or begin if it has none yet.
        overwrite: replace a run of the same name, from the first step on.
        save_every: write last.ckpt between epochs too, after so many steps (500) or so much time (90s, 10m, 2h).
        export_weights: also write the best weights to this .safetensors file.
        trainer: any option of lightning.Trainer, such as --trainer.precision bf16-mixed, --trainer.devices 2,
            --trainer.gradient_clip_val 1, --trainer.accumulate_grad_batches 4 or --trainer.max_steps 100.

    Raises:
        DataError: for a number outside its range.
        RunError: for another value that cannot be.
    """

    ema: float = 0.998
    patience: int | None = None
    compile: bool = False
    workers: int = 2
    seed: int = 0
    name: str | None = None
    output: Path = Path("runs")
    resume: bool = False
    overwrite: bool = False
    save_every: str | None = None
    export_weights: Path | None = None
    trainer: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_fields(self, {"ema": (0, 0.999999), "patience": COUNT, "workers": WORKERS, "seed": SEED})
        if self.resume and self.overwrite:
            raise RunError("--resume goes on with a run, --overwrite replaces it: give one of the two")
        if self.export_weights is not None and self.export_weights.suffix != ".safetensors":
            raise RunError(f"--export-weights {self.export_weights}: the file's name must end in .safetensors")
        if self.save_every is not None:
            Interval.parse(self.save_every)

    def seed_everything(self) -> None:
        """Seed what random numbers come from; call it before a network is built."""
        L.seed_everything(self.seed, verbose=False)
        torch.set_float32_matmul_precision("high")

    def fit(
        self,
        task: Task,
        train: Samples,
        val: Samples,
        monitor: str,
        name: str,
        config_text: str,
        epochs: int,
        batch_size: int,
        draw: Draw,
        drawn: int = 4,
    ) -> Path:
        """Train, and keep the best and the last checkpoint.

        Args:
            task: what to train.
            train: samples of one size.
            val: samples that choose the best checkpoint.
            monitor: the metric that the best checkpoint has most of.
            name: of the run, unless it was given one.
            config_text: the options as YAML, written into the run's folder.
            epochs: passes over the training data.
            batch_size: images a step, over all processes.
            draw: draws samples, see `ValidationImages`.
            drawn: how many of them, from all over `val`.

        Returns:
            The run's folder.

        Raises:
            RunError: if the folder is taken or in use, the run cannot go on under these options, or Lightning does not
                take an option of its trainer.
            CheckpointError: if the checkpoint to go on from cannot be read.
            DataError: if the data does not fill a batch.
            Stopped: after a signal, once all is saved.
        """
        folder = self.folder(name)
        config = config_without_actions(config_text)
        metrics = MetricsFile(folder / "metrics.csv")
        epochs = (self.trainer or {}).get("max_epochs", epochs)

        def state() -> dict[str, Any]:
            images = {"train": len(train), "val": len(val)}
            return {"options": config, "epochs": epochs, "images": images, "metrics": metrics.state_dict()}

        _require_ours(folder)
        signals = Signals()
        with signals.installed(), _alone(folder):
            checkpoint = self._checkpoint(folder)
            begun = None if checkpoint is None else begun_run(checkpoint, task, state())
            if begun is not None:
                metrics.load_state_dict(begun.state["metrics"])
                if begun.is_finished(epochs, requested_steps(self.trainer)):
                    metrics.finalize("success")
                    say(f"{folder}: this run is finished, {begun.step} steps; more --epochs would go on with it")
                    return self._export(folder)
                say(f"{folder}: going on after step {begun.step}")
            first = FirstStep(folder, config, keep=begun is not None)
            every = None if self.save_every is None else Interval.parse(self.save_every)
            callbacks = [
                first,
                SeedSteps(self.seed),
                ValidationImages(_across(val, drawn), folder / "images", draw),
                LastCheckpoint(folder / "last.ckpt", every, signals, state),
                *([] if begun is None else [TellSchedule(begun.state["epochs"], epochs)]),
            ]
            step = None if begun is None else begun.step
            fitter = build_trainer(
                folder, monitor, epochs, self.ema, self.patience, callbacks, self.trainer, metrics, step
            )
            self._check_data(train, val, batch_size, fitter.world_size)
            if self.compile:
                for part in (task.network.backbone, task.network.head):
                    part.compile()
            millions = sum(p.numel() for p in task.network.parameters()) / 1e6
            classes = len(task.spec.names)
            say(f"{len(train)} images, {classes} classes, {millions:.2f} M parameters; writing to {folder}")
            task.most_steps = requested_steps(self.trainer)
            with first:
                place = (0, 0) if begun is None else begun.place
                fit(fitter, task, Loaders(train, val, batch_size, self.workers, self.seed, place), checkpoint)
            best = fitter.checkpoint_callback
            if isinstance(best, ModelCheckpoint) and best.best_model_score is not None:
                say(f"best {monitor} {best.best_model_score:.4f} in {folder / 'best.ckpt'}")
            return self._export(folder)

    def folder(self, name: str) -> Path:
        """The run's folder, inside `output`.

        Raises:
            RunError: for a name that leads out of it or is no name for a folder.
        """
        given = self.name if self.name is not None else re.sub(r"[^\w.-]+", "-", name)  # timm:NAME is in it
        folder = self.output / given
        inside, top = Path(os.path.abspath(folder)), Path(os.path.abspath(self.output))
        if not given.strip() or top not in inside.parents:
            raise RunError(f"--name {given}: must name a folder inside {self.output}")
        if "\0" in given or max(len(os.fsencode(part)) for part in Path(given).parts) > 200:
            raise RunError(f"--name {given[:40]}...: is too long for a folder's name")
        for part in (top, inside):
            if part.exists() and not part.is_dir():
                raise RunError(f"{part}: is a file, and a run needs a folder; name another --output or --name")
        return folder

    def _check_data(self, train: Samples, val: Samples, batch_size: int, processes: int) -> None:
        check_batch(train, batch_size, processes)
        if len(val) < processes:
            raise RunError(f"{processes} processes are more than the {len(val)} validation images there are")
        check_shared_memory(train, batch_size // processes, self.workers)

    def _checkpoint(self, folder: Path) -> Path | None:
        """The checkpoint to go on from, or None to begin."""
        last = folder / "last.ckpt"
        if self.resume or _restarted(last):
            if last.is_file():
                return last
            say(f"{folder}: has no last.ckpt yet; the run begins at its first step")
        elif not self.overwrite and any((folder / name).exists() for name in CHECKPOINTS):
            raise RunError(
                f"{folder}: holds a run; name another --name, go on with --resume, or replace it with --overwrite"
            )
        return None

    def _export(self, folder: Path) -> Path:
        if self.export_weights is not None and is_first_process():
            export_weights(folder / "best.ckpt", self.export_weights)
            say(f"wrote the weights of {folder / 'best.ckpt'} to {self.export_weights}")
        return folder


def _require_ours(folder: Path) -> None:
    """Refuse a folder with a config.yaml of somebody else's, which a run would replace.

    Raises:
        RunError: if there is one, and nothing that only a run leaves.
    """
    if (folder / "config.yaml").exists() and not any((folder / name).exists() for name in (LOCK, *CHECKPOINTS)):
        raise RunError(f"{folder}: holds a config.yaml that no run wrote; name another --name or --output")


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
