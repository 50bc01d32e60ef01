"""Trainings of some hundred steps inside a search, of which only the weights are kept."""

from typing import Any

import lightning.pytorch as L

from datasets import Samples, train_loader
from tasks.base import Task
from tasks.callbacks import SeedSteps
from tasks.trainer import check_options, keep_freed_memory, keep_quiet

TOOLS = {"classification": "train_cls", "detection": "train_det", "segmentation": "train_seg"}  # that train for long


def train_steps(
    task: Task,
    samples: Samples,
    steps: int,
    batch_size: int,
    seed: int = 0,
    workers: int = 0,
    trainer: dict[str, Any] | None = None,
) -> None:
    """Train a network in place, by its own options, whose schedule ends with the steps.

    The same arguments give the same weights, bit for bit on a CPU with the same number of threads.

    Args:
        task: what is trained; it is in evaluation mode afterwards.
        samples: of one size, see `tasks.wing.Wing.train_samples`.
        steps: of the optimiser.
        batch_size: images a step.
        seed: of the order and of each step's random numbers.
        workers: loader processes.
        trainer: options of lightning.Trainer, such as precision.

    Raises:
        NonFiniteLoss: if the loss becomes infinite or not a number.
        RunError: for an option that the trainer does not have.
    """
    check_options(trainer or {})
    keep_freed_memory()
    keep_quiet()
    settings: dict[str, Any] = {
        "max_steps": steps,
        "max_epochs": -1,
        "callbacks": [SeedSteps(seed)],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "log_every_n_steps": 1,
    }
    task.most_steps = steps
    fitter = L.Trainer(**settings | (trainer or {}))
    samples.to(fitter.strategy.root_device)
    fitter.fit(task, train_loader(samples, batch_size, workers, seed))
    task.eval()
