"""A training split in two, so that no other split chooses a search's networks: what they are trained and judged by."""

import math
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

from datasets import ClassificationAugmentation, DetectionAugmentation, Samples, SegmentationAugmentation, check_batch
from datasets.faults import unknown_dataset
from search.search_errors import SearchError
from search.search_options import SearchData
from tasks.base import Spec, Task
from tasks.readiness import choose_device, require_step
from tasks.wings import WINGS

AUGMENTATIONS: dict[str, Any] = {
    "classification": ClassificationAugmentation,
    "detection": DetectionAugmentation,
    "segmentation": SegmentationAugmentation,
}


class Parts:
    """The two parts of a training split, drawn at random; the same ones for the same seed.

    Args:
        kind: of the task, a key of `AUGMENTATIONS`.
        data: what is parted.
        seed: of the draw.

    Attributes:
        wing: of the task.
        train: files to train on.
        held: files to judge by.
        images: how many the two have.

    Raises:
        DataError, SearchError: if there is no such split, or one of the two parts would be empty.
    """

    def __init__(self, kind: str, data: SearchData, seed: int) -> None:
        self.data, self.wing = data, WINGS[kind]
        if data.dataset not in self.wing.datasets:
            raise unknown_dataset(data.dataset, self.wing.datasets)
        of_split: dict[str, Any] = {"group_by": data.group_by, "classes": data.classes}
        (files,) = self.wing.find_files(data.dataset, [data.train_split], data.data_root, **of_split)
        files = self.wing.limit_files(files, data.max_images)
        count = len(self.wing.images(files))
        held = min(round(data.holdout * count), data.max_holdout or count)
        if not 0 < held < count:
            raise SearchError(
                f"--holdout {data.holdout} of {count} images leaves {count - held} to train on and {held} to judge by"
            )
        order = np.random.default_rng(seed).permutation(count)
        self.train, self.held = files.at(np.sort(order[held:])), files.at(np.sort(order[:held]))
        self.images = [count - held, held]

    def samples(self, spec: Spec, batch_size: int) -> Samples:
        """What is trained on, under the task's usual augmentation, once all files of both parts are checked.

        Args:
            spec: of a network that is to be trained.
            batch_size: images a step.

        Raises:
            DataError, TaskError: for data that cannot be read, or that the network cannot be trained on.
        """
        for summary in self.wing.check_files(self.train, self.held, read=self.data.check_data):
            for line in summary.lines():
                print(line)
        samples = self.wing.train_samples(self.train, spec, AUGMENTATIONS[self.wing.task.kind]())
        check_batch(samples, batch_size)
        require_step(self.wing.network(spec), batch_size, spec.input_size)
        if self.data.cache:
            samples.keep()
        return samples

    def score(self, task: Task, workers: int) -> float:
        """How good a network is on the images that none was trained on, 0 to 1; see `Wing.measure`.

        Raises:
            SearchError: if there is nothing to find in them.
        """
        with redirect_stdout(StringIO()):  # where no terminal is, a progress bar leaves an empty line behind
            found = self.wing.score(task.to(choose_device("auto")), self.held, workers)
        if not math.isfinite(found):
            raise SearchError(
                f"there is nothing to find in the {self.images[1]} held-out images; raise --holdout or --max-images"
            )
        return float(found)
