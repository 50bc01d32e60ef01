"""Options of NetAdapt; nothing here imports torch, so that a tool's --help is there at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets.grouping import check_group_by
from datasets.ranges import BATCH, COUNT, SEED, WORKERS, check_fields
from tasks.errors import RunError, TaskError
from tasks.options import Run, require_data


@dataclass(frozen=True)
class AdaptationData:
    """What proposals are trained and judged on, both out of the training split.

    Args:
        dataset: as in training.
        data_root: where the data is; by default data/ and the dataset's name.
        train_split: the split of which a part is held out.
        check_data: read all files first and tell of all faults at once.
        max_images: use only so many images.
        group_by: as in training.
        classes: as in training.
        cache: keep the decoded training images in memory.
        holdout: share of the images, 0.001 to 0.9, that proposals are judged by and not trained on.
        max_holdout: so many images at most.

    Raises:
        DataError: for a number outside its range, or a pattern that is none.
    """

    dataset: str = "shapes"
    data_root: Path | None = None
    train_split: str = "train"
    check_data: bool = True
    max_images: int | None = None
    group_by: str | None = None
    classes: Literal["voc"] | None = None
    cache: bool = False
    holdout: float = 0.1
    max_holdout: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, {"max_images": COUNT, "holdout": (0.001, 0.9), "max_holdout": COUNT})
        check_group_by(self.group_by)
        require_data(self.data_root, self.dataset == "shapes")


@dataclass(frozen=True)
class Adaptation:
    """How a network is cut.

    Args:
        target: share of the given network's latency, 0.01 to 0.999, at which the search ends.
        delta: share of the given network's latency that each iteration saves at least.
        steps: of the short training of each proposal.
        batch_size: images a step; by default 16, and 64 for classification.
        lr: the highest learning rate of the short training, which falls to 0 by its end.
        choose: the proposal that loses least accuracy for each millisecond saved ("ratio", MobileNetV3's), or the one
            of the highest accuracy ("accuracy", NetAdapt's).

    Raises:
        DataError, TaskError: for a number outside its range.
    """

    target: float = 0.7
    delta: float = 0.01
    steps: int = 200
    batch_size: int | None = None
    lr: float = 3e-4
    choose: Literal["ratio", "accuracy"] = "ratio"

    def __post_init__(self) -> None:
        limits = {"target": (0.01, 0.999), "delta": (1e-4, 0.5), "steps": COUNT, "batch_size": BATCH}
        check_fields(self, limits)
        if not 0 < self.lr < 1e30:
            raise TaskError(f"--lr {self.lr} is not a number above 0 and below 1e30")


@dataclass(frozen=True)
class AdaptationRun:
    """How the search is carried out, and where it goes.

    Args:
        workers: loader processes; any number gives the same samples.
        seed: of what is held out, and of order and augmentation.
        name: of the run; by default netadapt_DATASET_HEAD.
        output: the folder that runs go to.
        resume: go on with the run's search, or begin if there is none yet.
        overwrite: replace a search of the same name.

    Raises:
        DataError: for a number outside its range.
        RunError: for --resume and --overwrite together.
    """

    workers: int = 2
    seed: int = 0
    name: str | None = None
    output: Path = Path("runs")
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_fields(self, {"workers": WORKERS, "seed": SEED})
        if self.resume and self.overwrite:
            raise RunError("--resume goes on with a search, --overwrite replaces it: give one of the two")

    def folder(self, name: str) -> Path:
        """The run's folder, inside `output`, by that name unless it was given one; see `tasks.options.Run`."""
        return Run(name=self.name, output=self.output).named(name).folder
