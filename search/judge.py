"""Short trainings of proposals, and what their networks are worth on images that were held out."""

import time
from typing import Any

import numpy as np

from datasets import Samples
from search.adaptation_options import Adaptation
from search.held_out import Parts
from search.search_options import SearchData
from search.training import train_steps
from tasks.commands import require_same
from tasks.options import Optimization


class Judge:
    """What trains and judges the proposals of a search.

    Args:
        task: whose networks are to be judged.
        data: what is read.
        options: of the short trainings.

    Raises:
        DataError, TaskError: for data that the task is not for.
    """

    def __init__(self, task: Any, data: SearchData, options: Adaptation) -> None:
        self.spec, self.options, self.parts = task.spec, options, Parts(task.kind, data, options.seed)
        require_same(task.spec, self.parts.train, "the checkpoint", str(self.parts.train.root))
        self.samples: Samples | None = None
        self.batch_size = options.batch_size or self.parts.wing.batch_size

    def prepare(self) -> Samples:
        """What is trained on, made once; see `Parts.samples`."""
        self.samples = self.samples or self.parts.samples(self.spec, self.batch_size)
        return self.samples

    def accuracy(self, task: Any) -> float:
        """What a network is worth, see `Parts.score`."""
        return self.parts.score(task, self.options.workers)

    def train(self, task: Any, number: int) -> tuple[float, float]:
        """Train a network in place for a short time, the same for all of an iteration: its accuracy, and seconds."""
        how, samples, started = self.options, self.prepare(), time.monotonic()
        task.optimization = Optimization(lr=how.lr, warmup_steps=how.steps // 10)
        seed = int(np.random.SeedSequence([how.seed, number]).generate_state(1)[0])
        train_steps(task, samples, how.steps, self.batch_size, seed, how.workers)
        return self.accuracy(task), time.monotonic() - started
