"""Going on with a run: which options may be others than when it began, and whether there is anything left to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from tasks.base import Task
from tasks.checkpoints import read_checkpoint
from tasks.errors import RunError
from tasks.optim import Clock
from tasks.options import NOT_WRITTEN

# options that say where and how fast, and not what is computed
FREE = {"workers", "output", "name", "data_root", "download", "check_data", "compile", "save_every", "export_weights"}
FREE |= {"logger", "patience", "epochs", "max_time", "cache"}
FREE |= {"weights"}  # over which the checkpoint's are loaded
FREE |= {"unlabelled"}  # whose images are compared
# where teachers lie; they are compared themselves
TEACHERS = {"teacher", "teacher_weights", "teacher_seg", "teacher_det"}
HOW = {"accelerator", "devices", "num_nodes", "strategy", "max_epochs", "max_steps", "max_time", "profiler"}
HOW |= {"enable_progress_bar", "log_every_n_steps", "deterministic", "benchmark"}


def config_without_actions(text: str) -> str:
    """The YAML of a run's options without those that say what to do with the run's folder."""
    options = yaml.safe_load(text) or {}
    return yaml.safe_dump({k: v for k, v in options.items() if k not in NOT_WRITTEN}, sort_keys=False)


def changed_options(before: str, now: str) -> dict[str, tuple[Any, Any]]:
    """Options whose values differ between two configs, as a user writes them: {"lr": (0.1, 0.2)}.

    Those that only one of them has are left out, as another release may have written it, except parts of options, such
    as trainer.precision.
    """
    old, new = (_flat(yaml.safe_load(text) or {}) for text in (before, now))
    names = [name for name in [*new, *(old.keys() - new.keys())] if "." in name or (name in old and name in new)]
    pairs = {name: (old.get(name), new.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flat(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in options.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def run_length(max_time: str | None, epochs: int) -> str:
    """What ends a run, in words: "8h" or "30 epochs"."""
    return max_time or f"{epochs} epochs"


@dataclass(frozen=True)
class BegunRun:
    """A run that can be gone on with.

    Attributes:
        content: of its last checkpoint.
    """

    content: dict[str, Any]

    @property
    def state(self) -> dict[str, Any]:
        """What `Run` saves beside the weights."""
        return self.content["run"]

    @property
    def length(self) -> str:
        """How long it was to be, as `run_length` has it."""
        return run_length((yaml.safe_load(self.state["options"]) or {}).get("max_time"), self.state["epochs"])

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return self.content["global_step"]

    @property
    def place(self) -> tuple[int, int]:
        """The epoch that comes next, and how many of its batches are done."""
        loops = self.content["loops"]["fit_loop"]
        epoch, batch = (loops[name]["current"] for name in ("epoch_progress", "epoch_loop.batch_progress"))
        return epoch["processed"], batch["completed"] if epoch["ready"] > epoch["processed"] else 0

    def more(self, epochs: int, steps: int | None, clock: Clock, patience: int | None) -> str | None:
        """The option by which a run that is finished would go on, or None where it is not.

        Steps or time are over once what follows them is done too: the last validation, and what is kept after it.
        """
        progress = self.content["loops"]["fit_loop"]["epoch_progress"]["current"]
        between = progress["ready"] == progress["processed"]  # else an epoch is begun
        stops = [state for name, state in self.content["callbacks"].items() if name.startswith("EarlyStopping")]
        if patience is not None and any(state["wait_count"] >= patience for state in stops):
            return "--patience"
        if steps is not None and self.step >= steps and between:
            return "--trainer.max_steps"
        if clock.share >= 1 and between:
            return "--max-time"
        return "--epochs" if progress["processed"] >= epochs else None


def begun_run(path: Path, task: Task, state: dict[str, Any]) -> BegunRun:
    """Read the last checkpoint of a run, and say which options are others now.

    Args:
        path: of that checkpoint.
        task: as the options now say.
        state: what `Run` saves beside the weights, as it would be now.

    Raises:
        CheckpointError: if the file cannot be read, or is of another task.
        RunError: if the network, its training or the data are others, or the file has no state of a run.
    """
    content = read_checkpoint(path, task.kind)
    if not _has_state(content):
        raise RunError(f"{path}: has weights and no state of a run; start a new one with --weights {path}")
    begun = content["run"]
    changed = changed_options(begun["options"], state["options"])
    same_teachers = begun.get("teachers") == state["teachers"]
    may_change = FREE | TEACHERS if same_teachers else FREE
    free = [name for name in changed if name in may_change or name.removeprefix("trainer.") in HOW]
    fixed = [name for name in changed if name not in free]
    if fixed:
        raise RunError(
            f"{path}: cannot go on with other options than it began with: {_listed(fixed, changed)}; give those it "
            f"began with (config.yaml beside it), or start a new run with --weights {path}"
        )
    ours, theirs = _without_words(task.describe()), _without_words(content["mobiledense"])
    others = [key for key in ours if key != "version" and ours[key] != theirs.get(key)]
    if others:
        raise RunError(f"{path}: is of another network or other data: {', '.join(others)} differ; name another run")
    for split, images in begun["images"].items():
        if images != state["images"][split]:
            counts = f"{images:,} images, and now {state['images'][split]:,}"
        elif begun.get("digests", {}).get(split, state["digests"][split]) != state["digests"][split]:
            counts = f"{images:,} images of other names or in another order"
        else:
            continue
        raise RunError(f"{path}: {split} had {counts}; put the data back, or start a new run with --weights {path}")
    if "teachers" in begun and not same_teachers:
        raise RunError(
            f"{path}: the teacher has other weights than when the run began; give those back, or start a new run with "
            f"--weights {path}"
        )
    if free:
        rank_zero_only(print)(f"changed since the run began: {_listed(free, changed)}")
    return BegunRun(content)


def _without_words(description: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its network, but for the words that older ones lack, and what training found."""
    table = description.get("table")
    table = {**table, "variant": ""} if isinstance(table, dict) else table
    return description | {"table": table, "score_threshold": None}


def _has_state(content: dict[str, Any]) -> bool:
    """Whether what is read here of a run's state is there and of its kind; the trainer finds out about the rest."""
    kinds = {"global_step": int, "loops": dict, "optimizer_states": list, "lr_schedulers": list, "callbacks": dict}
    parts = {"options": str, "epochs": int, "images": dict, "metrics": dict}
    try:
        begun = content["run"]
        pairs = [*((content[name], kind) for name, kind in kinds.items())]
        pairs += [*((begun[name], kind) for name, kind in parts.items())]
        pairs += [(begun["metrics"]["rows"], int), (begun["metrics"]["pending"], dict)]
        options = yaml.safe_load(begun["options"]) or {}
        pairs += [(begun.get("elapsed", 0.0), float), (begun.get("trackers", {}), dict)]
        pairs += [(BegunRun(content).place, tuple), (options, dict)]
        if options.get("ema"):  # else Lightning would go on from the average
            pairs += [(content[name], dict) for name in ("current_model_state", "averaging_state")]
    except (AttributeError, IndexError, KeyError, TypeError, yaml.YAMLError):
        return False
    there = all(isinstance(value, kind) for value, kind in pairs)
    return there and all(content[name] for name, kind in kinds.items() if kind is not int)


def _listed(names: list[str], changed: dict[str, tuple[Any, Any]]) -> str:
    options = (f"--{name.replace('_', '-')} {changed[name][1]} (was {changed[name][0]})" for name in names)
    return ", ".join(options)


class TellSchedule(Callback):
    """Says what becomes of the learning rate where a run goes on for another length than it began with.

    Args:
        before: that length, such as "8h" or "30 epochs".
        now: likewise.
    """

    def __init__(self, before: str, now: str) -> None:
        self.before, self.now = before, now

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self.before != self.now:
            schedule: Any = trainer.lr_scheduler_configs[0].scheduler
            rate, factor = schedule.get_last_lr()[0], schedule.lr_lambdas[0](trainer.global_step)
            goes_on = factor * schedule.base_lrs[0]
            print(
                f"{self.now} in place of {self.before}: the learning rate goes on as a run of {self.now} has it here, "
                f"at {goes_on:.3g} after {rate:.3g}"
            )
