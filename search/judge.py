"""Short trainings inside a search, and what their networks are worth on images that were held out."""

import time
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

from datasets import ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation, check_batch
from search.adaptation_options import Adaptation, AdaptationData, AdaptationRun
from search.search_errors import SearchError
from search.training import train_steps
from tasks.commands import require_same
from tasks.options import Optimization
from tasks.readiness import choose_device, require_step
from tasks.wings import WINGS

AUGMENTATIONS: dict[str, Any] = {
    "classification": ClassificationAugmentation,
    "detection": DetectionAugmentation,
    "segmentation": SegmentationAugmentation,
}


class Judge:
    """A training split in two parts: one to train on, under the task's usual augmentation, and one to judge by.

    Args:
        task: whose networks are to be judged.
        data: what is read.
        options: of the short trainings.
        run: for its seed and workers.

    Raises:
        DataError, TaskError: for data that cannot be read, or that the network cannot be trained on.
    """

    def __init__(self, task: Any, data: AdaptationData, options: Adaptation, run: AdaptationRun) -> None:
        self.wing, self.options, self.run = WINGS[task.kind], options, run
        files = self.wing.find_files(
            data.dataset, [data.train_split], data.data_root, group_by=data.group_by, classes=data.classes
        )[0]
        files = self.wing.limit_files(files, data.max_images)
        require_same(task.spec, files, "the checkpoint", str(files.root))
        self.wing.check_files(files, read=data.check_data)
        count = len(self.wing.images(files))
        held = min(max(1, round(data.holdout * count)), data.max_holdout or count)
        order = np.random.default_rng(run.seed).permutation(count)
        self.held = files.at(np.sort(order[:held]))
        self.samples = self.wing.train_samples(files.at(np.sort(order[held:])), task.spec, AUGMENTATIONS[task.kind]())
        self.batch_size = options.batch_size or self.wing.batch_size
        check_batch(self.samples, self.batch_size)
        require_step(task.network, self.batch_size, task.spec.input_size)
        if data.cache:
            self.samples.keep()
        self.images = [len(self.samples), held]
        self.measure = self.wing.measure

    def accuracy(self, task: Any) -> float:
        """What a network is worth, 0 to 1.

        Raises:
            SearchError: if there is nothing to find in the images that were held out.
        """
        with redirect_stdout(StringIO()):  # where no terminal is, a progress bar leaves an empty line behind
            found = self.wing.score(task.to(choose_device("auto")), self.held, self.run.workers)
        if not np.isfinite(found):
            raise SearchError(f"{self.images[1]} held-out images have nothing in them to find; raise --holdout")
        return float(found)

    def train(self, task: Any, number: int) -> tuple[float, float]:
        """Train a network in place for a short time, the same for all of an iteration: its accuracy, and seconds."""
        started = time.monotonic()
        task.optimization = Optimization(lr=self.options.lr, warmup_steps=self.options.steps // 10)
        seed = int(np.random.SeedSequence([self.run.seed, number]).generate_state(1)[0])
        train_steps(task, self.samples, self.options.steps, self.batch_size, seed, self.run.workers)
        return self.accuracy(task), time.monotonic() - started
