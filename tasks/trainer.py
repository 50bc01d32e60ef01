"""Lightning's trainer with our callbacks, loggers and plugins, and its errors in our words."""

import ctypes
import inspect
import logging
import os
import platform
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
import torch.distributed as dist
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only

from datasets.faults import did_you_mean
from tasks.callbacks import BestCheckpoint, EarlyStopping, Ema, StopAfter
from tasks.checkpoints import AtomicCheckpointIO
from tasks.errors import RunError, TaskError
from tasks.loggers import TRACKERS, build_loggers
from tasks.metrics_file import MetricsFile
from tasks.optim import Clock, requested_steps
from tasks.synchronised import CpuSynchronised, GpuSynchronised

OURS = ["callbacks", "plugins", "default_root_dir", "use_distributed_sampler", "barebones", "enable_checkpointing"]
OURS += ["fast_dev_run"]  # which trains without keeping anything
COUNTS = ("accumulate_grad_batches", "num_nodes", "log_every_n_steps", "max_epochs", "max_steps")
FLAGS = ("detect_anomaly", "enable_model_summary", "enable_progress_bar", "inference_mode", "logger")
HALF = ("16-true", "bf16-true", "transformer-engine", "transformer-engine-float16")  # weights of half precision
CONNECTOR = "lightning.pytorch.trainer.connectors.checkpoint_connector"
RESTORES = ("resume_start", "_restore_modules_and_callbacks", "restore_training_state")  # its functions
NOISE = (
    ".*does not have many workers.*",
    ".*in eval mode at the start of training.*",  # --freeze
    ".*exists and is not empty.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*smaller than the logging interval.*",
    ".*sync_dist=True.*",  # what is logged is of all processes already
    ".*your dataloader is not resumable.*",  # it is: see tasks.loaders
    ".*but have no `val_dataloader`.*",  # short trainings of a search
)


def is_first_process() -> bool:
    """Whether this is the only process, or the one of several that writes; known before there is a trainer."""
    return not getattr(rank_zero_only, "rank", 0)


def build_trainer(
    folder: Path,
    monitor: str,
    epochs: int,
    ema: float = 0.0,
    patience: int | None = None,
    callbacks: Sequence[Callback] = (),
    options: dict[str, Any] | None = None,
    loggers: Sequence[Logger] | None = None,
    clock: Clock | None = None,
) -> L.Trainer:
    """Lightning's trainer, writing best.ckpt into `folder`, and what is logged.

    Args:
        folder: of the run.
        monitor: the metric that the best checkpoint has most of.
        epochs: passes over the training data.
        ema: decay of the averaged weights, 0 for none.
        patience: validations without improvement before the run stops early, or None.
        callbacks: further ones.
        options: of `lightning.Trainer`; they win over ours.
        loggers: of the run; by default metrics.csv and TensorBoard events in `folder`.
        clock: of the run, whose limit ends it.

    Raises:
        RunError: for an option that Lightning's Trainer does not have, or a value that it cannot have.
    """
    options = dict(options or {})
    check_options(options)
    keep_quiet()
    on_cpu = options.get("accelerator", "auto") == "cpu" or not torch.cuda.is_available()
    if on_cpu:
        keep_freed_memory()
    steps = requested_steps(options)
    options.pop("max_steps", None)
    # the last checkpoint, among `callbacks`, holds what the best one so far is, and is saved after it
    own: list[Callback] = [BestCheckpoint(folder, monitor), *callbacks]
    if options.get("logger", True) is not False:
        own.append(LearningRateMonitor("step"))
    if options.get("enable_progress_bar", True):
        own.append(RichProgressBar())
    if ema:
        own.append(Ema(ema))
    if patience is not None:
        own.append(EarlyStopping(monitor, mode="max", patience=patience))
    own.append(StopAfter(steps, clock or Clock(None)))
    plugins: list[Any] = [AtomicCheckpointIO(), CpuSynchronised() if on_cpu else GpuSynchronised()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))  # which would save in the middle of a step
    if loggers is None:
        loggers = [MetricsFile(folder / "metrics.csv"), *build_loggers(["tensorboard"], folder, "").values()]
    settings: dict[str, Any] = {
        "max_epochs": epochs,
        "callbacks": own,
        "logger": [*loggers],
        "default_root_dir": folder,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "plugins": plugins,
        "log_every_n_steps": 10,
        "enable_model_summary": False,
    }
    try:
        return L.Trainer(**settings | options)
    except (
        MisconfigurationException,
        AttributeError,
        ImportError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        given = " ".join(f"--trainer.{name} {value}" for name, value in options.items())
        raise RunError(f"Lightning's trainer refuses {given}: {_first_line(error)}") from error


def keep_quiet() -> None:
    """Have Lightning say nothing that is no news."""
    for noise in NOISE:
        warnings.filterwarnings("ignore", noise)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def check_options(options: dict[str, Any]) -> None:
    """Refuse options of Lightning's Trainer that do not exist, are ours to set, or would crash or wait for ever.

    Raises:
        RunError: naming the option.
    """
    valid = [name for name in inspect.signature(L.Trainer).parameters if name not in OURS]
    for name in options:
        if name not in valid:
            raise RunError(f"--trainer.{name}: no such option{did_you_mean(name, valid)}")
    for name in COUNTS:
        value = options.get(name, 1)
        if not isinstance(value, int) or (value < 1 and not (name == "max_steps" and value == -1)):
            raise RunError(f"--trainer.{name} {value}: must be a whole number from 1 up")
    for name in FLAGS:
        if not isinstance(options.get(name), bool | None):
            raise RunError(f"--trainer.{name} {options[name]}: must be true or false")
    for name in ("devices", "limit_train_batches", "val_check_interval", "check_val_every_n_epoch"):
        if options.get(name, 1) == 0:
            raise RunError(f"--trainer.{name} 0: must be above 0")
    if options.get("precision") in HALF:
        raise RunError(f"--trainer.precision {options['precision']}: give bf16-mixed or 16-mixed; weights stay float32")
    nodes = options.get("num_nodes") or 1
    launched = any(name in os.environ for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "NODE_RANK", "GROUP_RANK"))
    if nodes != 1 and not launched:
        raise RunError(
            f"--trainer.num_nodes {nodes} alone would wait for ever: start it on every node, by torchrun or srun"
        )


def fit(trainer: L.Trainer, task: Any, loaders: Any, checkpoint: Path | None) -> None:
    """Train, going on from a checkpoint if there is one.

    Raises:
        RunError: for an option that only the training itself refuses, or a state that does not fit the run.
    """
    _meet_again(trainer)
    try:
        trainer.fit(task, loaders, ckpt_path=checkpoint, weights_only=True)
    except Exception as error:
        told = None if isinstance(error, TaskError) else _tell(error, trainer, checkpoint)
        if told is None:
            raise
        raise RunError(told) from error
    finally:
        loaders.close()
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()  # what comes after training is for one process, which would wait for the others


def _meet_again(trainer: L.Trainer) -> None:
    """Have the processes that torchrun restarted meet under a name of their own.

    Its store is the one of their predecessors, at whose addresses they would otherwise look for each other.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if attempt == "0" or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or dist.is_initialized():
        return
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.PrefixStore(f"attempt {attempt}", dist.TCPStore(*place, is_master=False))
    device = trainer.strategy.root_device
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=trainer.global_rank, world_size=trainer.world_size)


def _tell(error: Exception, trainer: L.Trainer, checkpoint: Path | None) -> str | None:
    """What a user is told of an error of the training, or None where it is ours."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    restoring = any(
        frame.f_globals.get("__name__") == CONNECTOR and frame.f_code.co_name in RESTORES for frame in frames
    )
    if restoring and not isinstance(error, OSError | MemoryError | torch.OutOfMemoryError):
        restored = f"its state of the run cannot be restored ({_first_line(error)})"
        return f"{checkpoint}: {restored}; start a new one with --weights {checkpoint}"
    if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
        return f"--compile: torch.compile fails here ({_first_line(error)}); leave it out, or mend what it says"
    package = type(error).__module__.partition(".")[0]
    if package in TRACKERS:
        return f"--logger {package}: {_first_line(error)}"
    if isinstance(error, RuntimeError):
        if trainer.world_size > 1 and ("gloo" in str(error) or isinstance(error, dist.DistError)):
            return f"another process of this run ended, or cannot be reached: {_first_line(error)}"
        return None
    in_lightning = frames[-1].f_globals.get("__name__", "").startswith("lightning.")
    if in_lightning and isinstance(error, MisconfigurationException | ValueError | TypeError):
        return f"Lightning's trainer refuses its options: {_first_line(error)}"
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
