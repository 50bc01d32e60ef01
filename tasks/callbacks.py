"""What happens beside the steps of a run: averaged weights, checkpoints, random numbers, stopping by signal."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint, WeightAveraging, early_stopping
from torch import Tensor

from tasks.optim import Clock
from tasks.options import Interval
from tasks.writing import whole


class Ema(WeightAveraging):
    """Exponential moving average of weights and batch-norm statistics; it validates and saves the average.

    The decay starts low, as min(decay, (1 + t) / (10 + t)), so that short runs are not held back by their first steps.
    """

    def __init__(self, decay: float) -> None:
        def average(averages: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
            step = int(updates)
            weight = 1 - min(decay, (1 + step) / (10 + step))
            if torch.is_floating_point(averages[0]):
                # under --trainer.precision bf16-true or 64-true the weights are of another type
                same = [new.to(old.dtype) for old, new in zip(averages, current, strict=True)]
                torch._foreach_lerp_(list(averages), same, weight)
            else:
                torch._foreach_copy_(list(averages), list(current))

        super().__init__(multi_avg_fn=torch.no_grad()(average))


# what a run writes into its folder; --overwrite removes these, and nothing else that may be there
WRITTEN = (
    *("config.yaml", "metrics.csv", "hparams.yaml", "best.ckpt", "last.ckpt", "events.out.tfevents.*", ".part[0-9]*"),
    *("curves.png", "images/first_batch.png"),
    *("images/epoch_[0-9][0-9][0-9]*.png", "eval_*/scores.json", "eval_*/results.json", "eval_*/confusion.csv"),
    *(f"eval_*/{name}.png" for name in ("confusion", "iou", "samples", "worst", "precision_recall", "threshold")),
)


class FirstStep(Callback):
    """Removes the run that was in the folder before, and writes config.yaml: right behind the first training step.

    By then all that can be refused is refused, and the step fits into memory. As a context, it removes what was begun
    if the step never came.

    Args:
        folder: of the run.
        config: what to write.
        keep: what is there belongs to the run, which goes on.
    """

    def __init__(self, folder: Path, config: str, keep: bool) -> None:
        self.folder, self.config = folder, config
        self.before = {path for pattern in WRITTEN for path in folder.glob(pattern)}
        self.stale = set() if keep else self.before
        self.begun = False

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if self.begun or not trainer.is_global_zero:
            return
        self.begun = True
        for path in self.stale:
            path.unlink(missing_ok=True)
        with whole(self.folder / "config.yaml") as unfinished:
            unfinished.write_text(self.config, encoding="utf-8")

    def __enter__(self) -> "FirstStep":
        return self

    def __exit__(self, *_: Any) -> None:
        if not self.begun:
            for path in self.folder.glob("events.out.tfevents.*"):
                if path not in self.before:
                    path.unlink()


class SeedSteps(Callback):
    """Makes the random numbers of a step (dropout's, say) depend on seed, epoch and step alone.

    So a resumed run draws what the unbroken one would have drawn, and every process of several draws the same, see
    `tasks.synchronised`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        state = np.random.SeedSequence((self.seed, trainer.current_epoch, batch_idx)).generate_state(2)
        torch.manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)


class StopAfter(Callback):
    """Ends training after so many optimiser steps or a time, with a validation and an end of the epoch as usual.

    Lightning's own max_steps counts a resumed run's epochs wrongly.

    Args:
        steps: None for any number.
        clock: of the run; it runs from the first step on.
    """

    def __init__(self, steps: int | None, clock: Clock) -> None:
        self.steps, self.clock = steps, clock

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.clock.start()
        loop = trainer.fit_loop.epoch_loop
        if self._over(trainer) and loop.val_loop.restarted_mid_evaluation:
            # broken off in its last validation, which Lightning would only begin again at the end of an epoch
            trainer.val_check_batch = loop.batch_progress.current.ready
            loop.val_loop.batch_progress.total.reset()

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if self.clock.limit is not None:  # one clock for all processes, whose learning rates would differ otherwise
            self.clock.elapsed = trainer.strategy.broadcast(self.clock.now())

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.should_stop or self._over(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        trainer.should_stop = trainer.should_stop or self._over(trainer)

    def _over(self, trainer: L.Trainer) -> bool:
        return self.clock.share >= 1 or (self.steps is not None and trainer.global_step >= self.steps)


class EarlyStopping(early_stopping.EarlyStopping):
    """Lightning's, with the patience that the options now give, also where a run goes on."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})


class BestCheckpoint(ModelCheckpoint):
    """best.ckpt: what validation had most of `monitor` at. The best score so far outlives a move of the folder."""

    def __init__(self, folder: Path, monitor: str) -> None:
        super().__init__(
            folder, "best", monitor=monitor, mode="max", enable_version_counter=False, auto_insert_metric_name=False
        )
        self.path = Path(self.dirpath or folder, "best.ckpt")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        score = state_dict["best_model_score"]
        if score is not None and self.path.is_file():
            self.best_model_score = self.kth_value = self.current_score = score
            self.best_model_path = self.kth_best_model_path = str(self.path)
            self.best_k_models = {str(self.path): score}


class Stopped(SystemExit):
    """A run was stopped by a signal, and its state is saved. The status is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Signals:
    """Remembers that SIGINT (Ctrl-C) or SIGTERM came, so that a run can stop where its state is whole.

    A second one stops at once.
    """

    def __init__(self) -> None:
        self.received, self.process = 0, os.getpid()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self.process:
            return  # a loader's worker, which ends when its run does
        if self.received:
            signal.signal(number, signal.SIG_IGN)
            raise Stopped(number)
        self.received = number
        name = signal.Signals(number).name
        os.write(2, f"\n{name}: saving and stopping; once more to stop without saving\n".encode())

    def install(self) -> None:
        """Take the signals over from whoever has them; in the main thread, which alone is told of them."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._handle)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Take them over, and hand them back."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.install()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)


class LastCheckpoint(Checkpoint):
    """last.ckpt: at the end of every epoch, between them as often as asked, and where a signal stops the run.

    A run that goes on from it ends with the same bits as one that was never broken. Between epochs it is written before
    a batch whose predecessor ended in an optimiser step, as Lightning keeps no accumulated gradients; during validation
    it says that all of the epoch's batches are done, so that the resumed run begins by validating.

    Args:
        path: of the file.
        every: how often between the ends of epochs, or None.
        signals: that stop the run.
        state: what else a resumed run needs, by name; it is asked for at every save.
    """

    def __init__(
        self, path: Path, every: Interval | None, signals: Signals, state: Callable[[], dict[str, Any]]
    ) -> None:
        self.path, self.every, self.signals, self.state = path, every, signals, state
        self.saved_step, self.saved_time = 0, time.monotonic()
        self._place = "end of epoch"
        self._validated = False

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.signals.install()  # Lightning took them over, and would end an unfinished run with status 0
        self.saved_step, self.saved_time = trainer.global_step, time.monotonic()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        stop, due = self._agreed(trainer, self.signals.received, self._due(trainer))
        stepped = batch_idx % trainer.accumulate_grad_batches == 0 and not self._validated
        self._validated = False
        if (stop or due) and stepped:
            if batch_idx:  # the end of the epoch before has saved all there was otherwise
                self._save(trainer, "between batches")
            if stop:
                self._stop(trainer, stop)

    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        # several processes have not the same number of validation batches, and so agree at the end of the epoch only
        if self.signals.received and trainer.world_size == 1 and trainer.state.fn == "fit":
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, Ema):
                    callback.on_validation_epoch_end(trainer, pl_module)  # puts the trained weights back
            self._save(trainer, "before validation")
            self._stop(trainer, self.signals.received)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._validated = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._save(trainer, "end of epoch")
        self._validated = False
        (stop,) = self._agreed(trainer, self.signals.received)
        if stop:
            self._stop(trainer, stop)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = self.state()
        loops = checkpoint["loops"]["fit_loop"]
        if self._place == "between batches":
            # the batch that comes next was announced, and has not begun
            progress = loops["epoch_loop.batch_progress"]
            progress["is_last_batch"] = False
            for count in (progress["current"], progress["total"]):
                count["ready"] = count["started"]
        elif self._place == "before validation":
            progress = loops["epoch_loop.val_loop.batch_progress"]
            for count in (progress["current"], progress["total"]):
                count.update(ready=1, started=1, processed=0, completed=0)

    def _save(self, trainer: L.Trainer, place: str) -> None:
        self._place = place
        try:
            trainer.save_checkpoint(self.path, weights_only=False)
        finally:
            self._place = "end of epoch"
        self.saved_step, self.saved_time = trainer.global_step, time.monotonic()

    def _due(self, trainer: L.Trainer) -> bool:
        if self.every is None:
            return False
        if self.every.steps:
            return trainer.global_step - self.saved_step >= self.every.steps
        return time.monotonic() - self.saved_time >= self.every.seconds

    def _agreed(self, trainer: L.Trainer, *numbers: int) -> list[int]:
        """The greatest of each number over all processes, since all must save and stop at the same step."""
        if trainer.world_size == 1:
            return list(numbers)
        agreed = torch.tensor(numbers, device=trainer.strategy.root_device)
        dist.all_reduce(agreed, dist.ReduceOp.MAX)
        return agreed.tolist()

    def _stop(self, trainer: L.Trainer, number: int) -> None:
        if trainer.is_global_zero:
            name, begun = signal.Signals(number).name, trainer.global_step > 0  # a file may be of the run before
            saved = f"saved {self.path}; go on with the same command and --resume" if begun else "nothing to save yet"
            sys.stderr.write(f"stopped by {name} at step {trainer.global_step}: {saved}\n")
        raise Stopped(number)
