"""Short trainings that stand for long ones: what a network of the space is judged by.

Each network is trained from scratch for some hundred steps on a part of the training split, and judged by the rest of
it; MnasNet's trials were such trainings too. A supernet that all networks share weights of would judge more of them in
the same time, but is a second training code with rules of its own (which sub-networks a step trains, batch norms
re-estimated for each), holds the networks of one shape alone, and ranks by weights that none of them would have. Here
whatever is a table can be judged, by the training that it will have; what it costs is `steps` for each network. How far
short trainings put networks in the order of longer ones is measured, see search/rank_correlation.py.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from backbones import BackboneOptions
from search.held_out import Parts
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
from tasks.run import say, seed_everything
from tasks.segmentation.options import SegmentationOptions
from tasks.trainer import check_options
from tasks.wings import WINGS

OPTIONS: dict[str, tuple[Any, str]] = {  # of a task, and what they call a size
    "classification": (ClassificationOptions, "size"),
    "segmentation": (SegmentationOptions, "crop"),
    "detection": (DetectionOptions, "size"),
}
Price = Callable[[Spec], float]  # of the network that a spec describes, such as milliseconds


class Judge:
    """Trains networks of a space and judges them; what other processes get of it is a copy.

    Args:
        kind: of the task, a key of `OPTIONS`.
        network: V3, with the head.
        backbone: its options.
        data: what networks are trained on and judged by.
        proxy: how.
        controller: how accuracy and price are weighed.
        target: of the price.
        open_price: what makes the price of networks, given the widest of them.

    Attributes:
        spec: of V3's own network.
        space: of its tables.

    Raises:
        BackboneError, DataError, HeadError, TaskError: if no network could be trained or priced.
    """

    def __init__(
        self,
        kind: str,
        network: Network,
        backbone: BackboneOptions,
        data: SearchData,
        proxy: Proxy,
        controller: Controller,
        target: float,
        open_price: Callable[[Spec], Price],
    ) -> None:
        self.kind, self.network, self.data, self.proxy, self.controller = kind, network, data, proxy, controller
        self.target, self.wing, (options, size) = target, WINGS[kind], OPTIONS[kind]
        self.options, self.batch_size = options(**{size: proxy.size}), proxy.batch_size or self.wing.batch_size
        check_options(proxy.trainer or {})
        check_network(self.wing, network, backbone, self.options, data.dataset)
        self.parts = Parts(kind, data, proxy.seed)
        files = self.parts.train
        seen = self.wing.input_size(self.options, data.dataset, files) or (224, 224)
        made = self.wing.make_spec(network, backbone, files.names, files.colours, seen, self.options, data.dataset)
        self.spec: Any = self.wing.for_files(made, files)
        self.space = Space(self.spec.table)
        self.price = open_price(self.spec_of(self.space.largest))
        self.samples: Any = None

    def check(self) -> None:
        """Refuse what no network could be trained on or judged by, before any is.

        Raises:
            DataError, TaskError: if so.
        """
        self.samples = self.parts.samples(self.spec, self.batch_size)
        least = self.price(self.spec_of(self.space.smallest))
        if not least > 0:
            raise SearchError(
                f"the smallest network of the space costs {least:.4g} ms by this latency table; measure one anew"
            )
        if least > self.target:
            raise SearchError(
                f"--target-ms {self.target:g}: the smallest network of the space takes {least:.4g} ms; raise it"
            )

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

    def spec_of(self, choices: Choices) -> Spec:
        """Of a network of the space."""
        return replace(self.spec, table=self.space.table(choices))

    def train(self, choices: Choices, steps: int) -> Task:
        """A network after so many steps, once all is checked; on a CPU the same bit for bit for the same arguments."""
        seed_everything(self.proxy.seed)
        how = Optimization(lr=self.proxy.lr, warmup_steps=steps // 10)
        task, proxy = self.wing.make_task(self.spec_of(choices), how, self.options, self.parts.train), self.proxy
        train_steps(task, self.samples, steps, self.batch_size, proxy.seed, proxy.workers, proxy.trainer)
        return task

    def score(self, task: Task) -> float:
        """How good a network is, see `Parts.score`."""
        return self.parts.score(task, self.proxy.workers)
