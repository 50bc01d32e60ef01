"""Options of searches, data and place of both kinds; nothing here imports torch, so that --help is there at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datasets.grouping import check_group_by
from datasets.ranges import BATCH, COUNT, SEED, SIDE, WORKERS, check_fields
from search.reward import TRADE
from search.search_errors import SearchError
from tasks.errors import RunError
from tasks.options import Run, require_data


@dataclass(frozen=True)
class SearchData:
    """What networks are trained on and judged by: two parts of one training split.

    Args:
        dataset: as in training, of the task; data that has to be fetched must be there.
        data_root: where the data is; by default data/ and the dataset's name.
        train_split: the split that is parted.
        holdout: share of its images, 0.001 to 0.9, drawn at random, that networks are judged by and not trained on.
        max_holdout: so many of them at most.
        check_data: read all files first and tell of all faults at once.
        max_images: use only so many images of the split.
        group_by: as in training.
        classes: as in training.
        cache: keep the decoded images that are trained on in memory.

    Raises:
        DataError: for a number outside its range, or a pattern that is none.
    """

    dataset: str = "shapes"
    data_root: Path | None = None
    train_split: str = "train"
    holdout: float = 0.1
    max_holdout: int | None = None
    check_data: bool = True
    max_images: int | None = None
    group_by: str | None = None
    classes: Literal["voc"] | None = None
    cache: bool = False

    def __post_init__(self) -> None:
        check_fields(self, {"max_images": COUNT, "holdout": (0.001, 0.9), "max_holdout": COUNT})
        require_data(self.data_root, self.dataset == "shapes")
        check_group_by(self.group_by)

    @property
    def words(self) -> list[str]:
        """The options by which a training has the same data."""
        given = {
            "dataset": self.dataset,
            "data-root": self.data_root,
            "group-by": self.group_by,
            "classes": self.classes,
        }
        given |= {"train-split": None if self.train_split == "train" else self.train_split}
        return [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]


@dataclass(frozen=True)
class Proxy:
    """The short training that a network is judged by.

    Args:
        size: height and width of what the network is trained on, as in the training of the task.
        steps: of the optimiser, AdamW; its rate rises over the first tenth and falls to 0.
        batch_size: images a step; by default 16, and 64 for classification.
        lr: the highest learning rate.
        seed: of weights, of the order of images, of what is held out and of what is tried.
        workers: loader processes.
        trainer: any option of lightning.Trainer, such as --trainer.precision bf16-mixed.

    Raises:
        DataError, SearchError: for a number outside its range.
    """

    size: tuple[int, int] | None = None
    steps: int = 500
    batch_size: int | None = None
    lr: float = 1e-3
    seed: int = 0
    workers: int = 0
    trainer: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        ranges = {"size": SIDE, "steps": COUNT, "batch_size": BATCH, "seed": SEED, "workers": WORKERS}
        check_fields(self, ranges)
        check_lr(self.lr)


def check_lr(lr: float) -> None:
    """Refuse a learning rate that AdamW, which computes with it as a float32, cannot have.

    Raises:
        SearchError: if so.
    """
    if not 0 < lr < 1e30:
        raise SearchError(f"--lr {lr} is not a number above 0 and below 1e30")


@dataclass(frozen=True)
class Controller:
    """What is tried, how it is weighed, and by whom.

    Args:
        trials: networks that are trained and judged, V3's own first.
        alpha: exponent of latency over target, up to the target: the reward is accuracy * (latency / target) ** alpha.
        beta: likewise, beyond it; alpha 0 with beta -1 is a hard limit, nearly.
        population: of the last networks, whose best ones have children.
        tournament: how many of these compete for a child.
        processes: of this machine that train networks, each another one.
        storage: URL of a database that several machines search on together, under the same --name, such as
            postgresql+psycopg://USER@HOST/DB; by default trials.db in the search's folder.
        check: how many networks from all over the history are trained longer, to tell how far short trainings put
            networks in the same order; at least 8 tell something.
        check_steps: of those trainings, by default 10 times --steps.

    Raises:
        DataError, SearchError: for a number outside its range.
    """

    trials: int = 100
    alpha: float = TRADE
    beta: float = TRADE
    population: int = 20
    tournament: int = 5
    processes: int = 1
    storage: str | None = None
    check: int = 0
    check_steps: int | None = None

    def __post_init__(self) -> None:
        ranges = {"trials": (1, 10**6), "alpha": (-1, 0), "beta": (-1, 0), "check_steps": COUNT}
        ranges |= {"population": (1, 10**6), "tournament": (1, 10**6), "processes": (1, 128), "check": (0, 10**6)}
        check_fields(self, ranges)
        if self.check in (1, 2) or (self.check and self.trials < 3):
            raise SearchError(
                f"--check {self.check} of {self.trials} trials: give 3 or more, whose orders can be compared"
            )
        if self.check_steps is not None and not self.check:
            raise SearchError("--check-steps is for --check, which is 0")


@dataclass(frozen=True)
class Place:
    """Where a search goes.

    Args:
        name: of the search; by default search_DATASET_BACKBONE, or netadapt_DATASET_HEAD.
        output: the folder that its folder is made in.
        resume: go on with a search, or join one of other machines; begin if there is none yet.
        overwrite: replace a search of the same name.

    Raises:
        RunError: for --resume and --overwrite together.
    """

    name: str | None = None
    output: Path = Path("runs")
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise RunError("--resume goes on with a search, --overwrite replaces it: give one of the two")

    def run(self, name: str) -> Run:
        """Its name and folder, by that name unless it was given one."""
        return Run(name=self.name, output=self.output).named(name)
