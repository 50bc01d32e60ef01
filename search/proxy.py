"""Short trainings that stand for long ones: what a network of the space is judged by.

Each network is trained from scratch for some hundred steps on a part of the training split, and judged by the rest of
it; MnasNet's trials were such trainings too. A supernet that all networks share weights of would judge more of them in
the same time, but is a second training code with rules of its own (which sub-networks a step trains, batch norms
re-estimated for each), holds the networks of one shape alone, and ranks by weights that none of them would have. Here
whatever is a table can be judged, by the training that it will have; what it costs is `steps` for each network. How far
short trainings put networks in the order of longer ones is measured, see search/rank_correlation.py.
"""

import math
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, fields, replace
from functools import cached_property
from io import StringIO
from typing import Any

from backbones import BackboneOptions
from datasets import ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation, check_batch
from datasets.faults import unknown_dataset
from search.held_out import hold_out
from search.reward import reward
from search.search_errors import SearchError
from search.search_options import Controller, Proxy, SearchData
from search.space import Choices, Space
from search.training import train_steps
from search.trials import Judged
from tasks.base import Spec, Task
from tasks.classification.options import ClassificationOptions
from tasks.commands import check_network
from tasks.detection.options import DetectionOptions
from tasks.errors import NonFiniteLoss
from tasks.options import Network, Optimization
from tasks.readiness import require_step
from tasks.run import say, seed_everything
from tasks.segmentation.options import SegmentationOptions
from tasks.trainer import check_options
from tasks.wing import Wing
from tasks.wings import WINGS

OPTIONS: dict[str, tuple[Any, str, Any]] = {  # of a task: its options, what they call a size, its augmentation
    "classification": (ClassificationOptions, "size", ClassificationAugmentation),
    "segmentation": (SegmentationOptions, "crop", SegmentationAugmentation),
    "detection": (DetectionOptions, "size", DetectionAugmentation),
}


@dataclass(frozen=True)
class Judge:
    """Trains networks of a space and judges them; a plain value, from which other processes make the same one.

    Attributes:
        kind: of the task, a key of `OPTIONS`.
        network: V3, with the head.
        backbone: its options.
        data: what networks are trained on and judged by.
        proxy: how.
        controller: how accuracy and price are weighed.
        price: of the network that a spec describes, such as `LatencyTable.price`.
        target: of the price.
    """

    kind: str
    network: Network
    backbone: BackboneOptions
    data: SearchData
    proxy: Proxy
    controller: Controller
    price: Callable[[Spec], float]
    target: float

    def __reduce__(self) -> Any:  # without what is cached, such as images
        return Judge, tuple(getattr(self, entry.name) for entry in fields(self))

    def __call__(self, choices: Choices) -> Judged:
        """What one short training comes to; a network whose training diverges has an accuracy of 0."""
        price = self.price(self.spec_of(choices))
        try:
            accuracy = self.score(self.train(choices, self.proxy.steps))
        except NonFiniteLoss as error:
            say(f"this network is taken for useless: {str(error).splitlines()[0]}")
            accuracy = 0.0
        how = self.controller
        return Judged(accuracy, price, reward(accuracy, price, self.target, how.alpha, how.beta))

    @property
    def wing(self) -> Wing:
        """Of the task."""
        return WINGS[self.kind]

    @cached_property
    def options(self) -> Any:
        """The task's own."""
        options, size, _ = OPTIONS[self.kind]
        return options(**{size: self.proxy.size})

    @cached_property
    def files(self) -> tuple[Any, Any]:
        """What is trained on, and what networks are judged by.

        Raises:
            DataError, SearchError: if there is no such split, or not enough in it.
        """
        data, wing = self.data, self.wing
        of_split: dict[str, Any] = {"group_by": data.group_by, "classes": data.classes}
        (found,) = wing.find_files(data.dataset, [data.train_split], data.data_root, **of_split)
        files = wing.limit_files(found, data.max_images)
        return hold_out(wing, files, data.holdout, self.proxy.seed)

    @cached_property
    def spec(self) -> Any:
        """Of V3's own network."""
        files = self.files[0]
        size = self.wing.input_size(self.options, self.data.dataset, files) or (224, 224)
        made = self.wing.make_spec(
            self.network, self.backbone, files.names, files.colours, size, self.options, self.data.dataset
        )
        return self.wing.for_files(made, files)

    @cached_property
    def space(self) -> Space:
        """Of its tables."""
        return Space(self.spec.table)

    @cached_property
    def samples(self) -> Any:
        """What is trained on, which does not depend on a network's table."""
        return self.wing.train_samples(self.files[0], self.spec, OPTIONS[self.kind][2]())

    @property
    def batch_size(self) -> int:
        """Images a step."""
        return self.proxy.batch_size or self.wing.batch_size

    def check_options(self) -> None:
        """Refuse options that no network could be trained by, before any file is read.

        Raises:
            BackboneError, DataError, HeadError, TaskError: if so.
        """
        if self.data.dataset not in self.wing.datasets:
            raise unknown_dataset(self.data.dataset, self.wing.datasets)
        check_network(self.wing, self.network, self.backbone, self.options, self.data.dataset)
        check_options(self.proxy.trainer or {})

    def check(self) -> None:
        """Refuse what no network could be trained on or judged by, before any is.

        Raises:
            DataError, TaskError: if so.
        """
        for summary in self.wing.check_files(*self.files, read=self.data.check_data):
            for line in summary.lines():
                print(line)
        check_batch(self.samples, self.batch_size)
        require_step(self.wing.network(self.spec), self.batch_size, self.spec.input_size)
        least, _ = (self.price(self.spec_of(choices)) for choices in (self.space.smallest, self.space.largest))
        if least > self.target:
            raise SearchError(
                f"--target-ms {self.target:g}: the smallest network of the space takes {least:.4g} ms; raise it"
            )

    def spec_of(self, choices: Choices) -> Spec:
        """Of a network of the space."""
        return replace(self.spec, table=self.space.table(choices))

    def train(self, choices: Choices, steps: int) -> Task:
        """A network after so many steps; the same one for the same arguments, on a CPU bit for bit."""
        seed_everything(self.proxy.seed)
        how = Optimization(lr=self.proxy.lr, warmup_steps=steps // 10)
        task, proxy = self.wing.make_task(self.spec_of(choices), how, self.options, self.files[0]), self.proxy
        train_steps(task, self.samples, steps, self.batch_size, proxy.seed, proxy.workers, proxy.trainer)
        return task

    def score(self, task: Task) -> float:
        """How good a network is on the images that none was trained on, 0 to 1.

        Raises:
            SearchError: if there is nothing to find in them.
        """
        with redirect_stdout(StringIO()):  # where no terminal is, a progress bar leaves an empty line behind
            found = self.wing.score(task, self.files[1], self.proxy.workers)
        if not math.isfinite(found):
            raise SearchError("there is nothing to find in the held-out images; raise --holdout or --max-images")
        return found
