"""One training run: its folder, its loggers and callbacks, and Lightning's trainer around them."""

import ctypes
import difflib
import inspect
import logging
import platform
import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from datasets import Samples, check_batch
from tasks.base import Task
from tasks.checkpoints import AtomicCheckpointIO
from tasks.data import Loaders
from tasks.errors import RunError
from tasks.pictures import Draw, ValidationPictures
from tasks.sync_batch_norm import CpuSyncBatchNorm, GpuSyncBatchNorm


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
        resume: go on from the run's last checkpoint.
        overwrite: replace a run of the same name.
        trainer: any option of lightning.Trainer, such as --trainer.precision bf16-mixed, --trainer.devices 2,
            --trainer.gradient_clip_val 1, --trainer.accumulate_grad_batches 4 or --trainer.max_steps 100.
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
    trainer: dict[str, Any] | None = None

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
            config_text: written into the run's folder.
            epochs: passes over the training data.
            batch_size: pictures a step, over all processes.
            draw: draws samples, see `ValidationPictures`.
            drawn: how many of them, from all over `val`.

        Returns:
            The run's folder.

        Raises:
            RunError: if the folder is taken, there is nothing to resume, or Lightning has no such option.
            DataError: if the data does not fill a batch.
        """
        folder = self.output / (self.name or re.sub(r"[^\w.-]+", "-", name))  # timm:NAME and hf://OWNER/NAME are in it
        across = np.linspace(0, len(val) - 1, min(drawn, len(val))).round().astype(int)
        pictures = ValidationPictures([val[int(index)] for index in across], folder / "pictures", draw)
        fitter = build_trainer(folder, monitor, epochs, self.ema, self.patience, [pictures], self.trainer)
        check_batch(train, batch_size, fitter.world_size)
        checkpoint = None
        if fitter.is_global_zero:
            checkpoint = prepare_folder(folder, self.resume, self.overwrite)
            (folder / "config.yaml").write_text(config_text)
        elif self.resume:
            checkpoint = folder / "last.ckpt"
        if self.compile:
            for part in (task.network.backbone, task.network.head):
                part.compile()
        millions = sum(p.numel() for p in task.network.parameters()) / 1e6
        print(
            f"{len(train)} pictures, {len(task.spec.names)} classes, {millions:.2f} M parameters; writing to {folder}"
        )
        fitter.fit(task, Loaders(train, val, batch_size, self.workers, self.seed), ckpt_path=checkpoint)
        best = fitter.checkpoint_callback
        if fitter.is_global_zero and isinstance(best, ModelCheckpoint) and best.best_model_score is not None:
            print(f"best {monitor} {best.best_model_score:.4f} in {folder / 'best.ckpt'}")
        return folder


def prepare_folder(folder: Path, resume: bool, overwrite: bool) -> Path | None:
    """Make a run's folder; the checkpoint to go on from, if the run is to be resumed.

    Raises:
        RunError: if there is a run already and neither is asked for, or there is nothing to resume.
    """
    last = folder / "last.ckpt"
    if resume:
        if not last.is_file():
            raise RunError(f"{last}: nothing to resume; leave out --resume to start anew")
        return last
    if (folder / "config.yaml").exists() or last.exists():
        if not overwrite:
            raise RunError(
                f"{folder}: holds a run; name another --name, go on with --resume, or replace it with --overwrite"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return None


class Ema(WeightAveraging):
    """Exponential moving average of weights and batch-norm statistics; it validates and saves the average.

    The decay starts low, as min(decay, (1 + t) / (10 + t)), so that short runs are not held back by their first steps.
    """

    def __init__(self, decay: float) -> None:
        def average(averages: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
            step = int(updates)
            weight = 1 - min(decay, (1 + step) / (10 + step))
            if torch.is_floating_point(averages[0]):
                torch._foreach_lerp_(list(averages), list(current), weight)
            else:
                torch._foreach_copy_(list(averages), list(current))

        super().__init__(multi_avg_fn=torch.no_grad()(average))


def build_trainer(
    folder: Path,
    monitor: str,
    epochs: int,
    ema: float = 0.0,
    patience: int | None = None,
    callbacks: Sequence[Callback] = (),
    options: dict[str, Any] | None = None,
) -> L.Trainer:
    """Lightning's trainer, writing best.ckpt, last.ckpt, metrics.csv and TensorBoard events into `folder`.

    Args:
        folder: of the run.
        monitor: the metric that the best checkpoint has most of.
        epochs: passes over the training data.
        ema: decay of the averaged weights, 0 for none.
        patience: validations without improvement before the run stops early, or None.
        callbacks: further ones.
        options: of `lightning.Trainer`; they win over ours.

    Raises:
        RunError: for an option that Lightning's Trainer does not have.
    """
    options = dict(options or {})
    valid = inspect.signature(L.Trainer).parameters
    for name in options:
        if name not in valid:
            near = difflib.get_close_matches(name, valid, 1)
            raise RunError(
                f"--trainer.{name}: no such option" + (f"; did you mean --trainer.{near[0]}?" if near else "")
            )
    for noise in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", noise)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    on_cpu = options.get("accelerator", "auto") == "cpu" or not torch.cuda.is_available()
    if on_cpu:
        keep_freed_memory()
    best = ModelCheckpoint(
        folder, "best", monitor=monitor, mode="max", enable_version_counter=False, auto_insert_metric_name=False
    )
    # ModelCheckpoint's own save_last writes only when a new best does, and a resumed run would start from there
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    own: list[Callback] = [best, last, LearningRateMonitor("step"), *callbacks]
    if options.get("enable_progress_bar", True):
        own.append(RichProgressBar())
    if ema:
        own.append(Ema(ema))
    if patience is not None:
        own.append(EarlyStopping(monitor, mode="max", patience=patience))
    settings: dict[str, Any] = {
        "max_epochs": epochs,
        "callbacks": own,
        "logger": [CSVLogger(folder, "", ""), TensorBoardLogger(folder, "", "")],
        "default_root_dir": folder,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "plugins": [AtomicCheckpointIO(), CpuSyncBatchNorm() if on_cpu else GpuSyncBatchNorm()],
        "log_every_n_steps": 10,
        "enable_model_summary": False,
    }
    return L.Trainer(**settings | options)


def keep_freed_memory() -> None:
    """Have glibc keep freed memory instead of handing it back to the system and faulting it in again every step.

    `benchmarks/train_speed.py` measures what it is worth.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_max, arena_max = -1, -4, -8  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(arena_max, 1)
