"""Options of NetAdapt; nothing here imports torch, so that a tool's --help is there at once."""

from dataclasses import dataclass
from typing import Literal

from datasets.ranges import BATCH, COUNT, SEED, WORKERS, check_fields
from search.search_options import check_lr

LEAST = 1e-4  # share of the first latency that an iteration saves


@dataclass(frozen=True)
class Adaptation:
    """How a network is cut.

    Args:
        target: share of the given network's latency, 0.01 to 0.999, at which the search ends.
        delta: share of the given network's latency that the first iteration saves at least.
        delta_decay: what `delta` is multiplied by after each iteration, 0.5 to 1 (the schedule of NetAdapt's
            Algorithm 1): below 1 the steps become finer as the network becomes smaller, down to 0.0001.
        steps: of the short training of each proposal.
        batch_size: images a step; by default 16, and 64 for classification.
        lr: the highest learning rate of the short training, which falls to 0 by its end.
        choose: the proposal that loses least accuracy for each millisecond saved ("ratio", MobileNetV3's), or the one
            of the highest accuracy ("accuracy", NetAdapt's).
        seed: of what is held out, and of order and augmentation.
        workers: loader processes; any number gives the same samples.

    Raises:
        DataError, SearchError: for a number outside its range.
    """

    target: float = 0.7
    delta: float = 0.01
    delta_decay: float = 1.0
    steps: int = 200
    batch_size: int | None = None
    lr: float = 3e-4
    choose: Literal["ratio", "accuracy"] = "ratio"
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        ranges = {"target": (0.01, 0.999), "delta": (LEAST, 0.5), "delta_decay": (0.5, 1), "steps": COUNT}
        check_fields(self, ranges | {"batch_size": BATCH, "seed": SEED, "workers": WORKERS})
        check_lr(self.lr)
