"""What every task offers under the same names, so that tools, costs, prediction and export work on any of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from backbones import BackboneOptions, load_weights, start_normalisation
from datasets import Samples
from tasks.base import Spec, Task
from tasks.drawing import Image
from tasks.errors import TaskError
from tasks.options import Network, Optimization, Prediction
from tasks.prediction import Show, predict_images
from tasks.results import Given, Result, read_given
from tasks.sources import Sources

FOR_FILES = {  # options of prediction, and what to do in Python
    "instances": "tasks.joint.instances.cut_instances cuts them from a result",
    "json": "a result has to_json()",
    "output_stride": "give it to deploy.load",
    "track": "it is for the frames of one video",
}


class Predictor(Protocol):
    """What a checkpoint is once it is loaded, and an exported file likewise."""

    @property
    def spec(self) -> Any:
        """A `Spec`."""

    @property
    def predict(self) -> Any:
        """Images, uint8 [H, W, 3] RGB of any size -> masks, detections or probabilities, in the images' own pixels."""


class Wing(ABC):
    """One task.

    Files are those of a split, as the task's datasets have them; they have root, split, names and colours, and
    `at(chosen)`, those at some indices of `images`. Options are the task's own, such as `SegmentationOptions`.

    Attributes:
        task: what is trained; its `monitor` names the metric that chooses the best checkpoint.
        network: built from a spec.
        datasets: their names.
        heads: likewise, the first one by default.
        classes: how many a published network has, for its costs.
        batch_size: images a step, by default.
        drawn: images of a run that are drawn with each validation.
        measure: what `score` is called.
        tracks: whether it has boxes that can be followed over the frames of a video.
        result: what `results` has for each image.
    """

    task: ClassVar[type[Task]]
    network: ClassVar[Any]  # a class of networks
    datasets: ClassVar[tuple[str, ...]]
    heads: ClassVar[tuple[str, ...]]
    classes: ClassVar[int]
    batch_size: ClassVar[int] = 16
    drawn: ClassVar[int] = 4
    measure: ClassVar[str]
    tracks: ClassVar[bool] = False
    result: ClassVar[type[Result]]

    @abstractmethod
    def epochs(self, dataset: str) -> int:
        """Passes over the training split, by default."""

    @staticmethod
    @abstractmethod
    def find_files(
        dataset: str,
        splits: Sequence[str],
        data_root: Path | None = None,
        download: bool = False,
        group_by: str | None = None,
        classes: str | None = None,
    ) -> Any:
        """The files of some splits, a list; the arguments are the fields of `Data`.

        Raises:
            DataError: if the dataset or a split is missing.
        """

    def complete_files(self, files: Any, options: Any, val: Any = None) -> Any:
        """A split with what the task's own options add to it; of the one to train on, `val` is what it is validated on.

        Raises:
            DataError: if that is missing.
        """
        return files

    @staticmethod
    @abstractmethod
    def limit_files(files: Any, most: int | None) -> Any:
        """At most so many images of a split."""

    @staticmethod
    @abstractmethod
    def images(files: Any) -> Sequence[Path | Image]:
        """The images of a split: paths, or uint8 [H, W, 3] where they are held in memory."""

    @abstractmethod
    def check_files(self, *files: Any, read: bool) -> list[Any]:
        """A summary of each split; with `read`, once all its files are read.

        Raises:
            DataError: with a line for every fault of all of them.
        """

    @abstractmethod
    def input_size(self, options: Any, dataset: str, files: Any = None) -> tuple[int, int] | None:
        """Height and width of what the network is trained on; None if only the files tell.

        Raises:
            TaskError: if it was given, and is not to choose for these files.
        """

    def check_options(self, options: Any) -> None:
        """Refuse options that nothing can be trained with, before any file is read; by themselves they are in range.

        Raises:
            HeadError, TaskError: if so.
        """
        return

    @abstractmethod
    def make_spec(
        self,
        network: Network,
        backbone: BackboneOptions,
        names: Sequence[str],
        colours: Sequence[tuple[int, int, int]],
        size: tuple[int, int],
        options: Any = None,
        dataset: str = "",
    ) -> Spec:
        """What training builds, and `tools/cost.py` counts.

        Raises:
            BackboneError, HeadError: for a backbone, a head or an option that there is not.
        """

    def for_files(self, spec: Any, files: Any) -> Any:
        """A spec with what only the files tell, beside names and colours."""
        return spec

    @abstractmethod
    def make_task(
        self, spec: Any, optimization: Optimization, options: Any, files: Any = None, summary: Any = None
    ) -> Task:
        """What is trained, with fresh weights.

        Raises:
            DataError, HeadError, TaskError: for options that it cannot be trained with.
        """

    def start_normalisation(self, spec: Any, weights: str | None) -> dict[str, Any]:
        """The mean and std of a spec that start weights expect, as far as they are known."""
        return start_normalisation(spec.table, weights)

    def load_weights(self, task: Any, weights: str) -> str:
        """Fill a network with start weights, and say what was taken."""
        return str(load_weights(task.network.backbone, weights))

    def advise(self, files: Any, dataset: str) -> str:
        """What is worth a word about a training from scratch on these files, if anything is."""
        return ""

    @abstractmethod
    def train_samples(self, files: Any, spec: Any, augmentation: Any) -> Samples:
        """Samples of one size."""

    @abstractmethod
    def val_samples(self, files: Any, spec: Any) -> Samples:
        """Samples that choose the best checkpoint."""

    @staticmethod
    @abstractmethod
    def evaluate(
        predictor: Predictor,
        files: Any,
        folder: Path,
        settings: dict[str, Any],
        drawn: int | None = None,
        workers: int = 1,
        **options: Any,
    ) -> Any:
        """Scores of a split, printed and written.

        Args:
            predictor: of the split's classes.
            files: of the split.
            folder: for what is written.
            settings: what else is to stand in scores.json.
            drawn: how many images to draw; for None, as many as are usual for the task.
            workers: loader processes.
            **options: of the predictor's `predict`.

        Raises:
            TaskError: if a file cannot be written.
        """

    @abstractmethod
    def holders(self, files: Any, summary: Any = None) -> list[NDArray[np.int64]]:
        """For every class the training samples that hold it, by index; `summary` is of `check_files`, if that was read.

        Raises:
            TaskError: for files whose samples are drawn otherwise.
        """

    def tiled(self, predictor: Predictor, tile: tuple[int, int]) -> Predictor:
        """A predictor that looks at an image in tiles of a height and width.

        Raises:
            TaskError: for a task without boxes.
        """
        raise TaskError(f"--tile is for boxes, and this is a network for {self.task.kind}")

    @staticmethod
    @abstractmethod
    def score(predictor: Predictor, files: Any, workers: int = 1) -> float:
        """The one number of a split that a network is judged by, see `measure`: 0 to 1, nan where nothing is to find.

        It is one of those that `evaluate` prints.
        """

    @staticmethod
    @abstractmethod
    def draw(predictor: Any, samples: Sequence[dict[str, Any]]) -> Image:
        """Samples with what is true and what is predicted, in one image."""

    @staticmethod
    @abstractmethod
    def draw_batch(spec: Any, batch: dict[str, Any]) -> Image:
        """The first `OF_BATCH` images of a training batch with what is true in them, in one image."""

    @abstractmethod
    def show(self, predictor: Predictor, options: Prediction, frames: bool = False) -> Show:
        """What prediction makes of an image, or of the frames of one video, which stay of one size."""

    def predict_images(self, predictor: Predictor, sources: Sources, output: Path, options: Prediction) -> int:
        """Write predictions of all images; how many they are."""
        return predict_images(sources, output, self.show(predictor, options), predictor.spec.colours, options.json)

    def results(self, predictor: Predictor, images: Given | Iterable[Given], **options: Any) -> list[Result]:
        """What is seen in each image, as the tool predict would write it.

        Images are seen one after the other, so that only their results take memory, each as much as its drawing.

        Args:
            predictor: of the task.
            images: see `read_given`.
            **options: of `Prediction`, such as score_threshold.

        Raises:
            DataError: for an image that cannot be read, or a number outside its range.
            TaskError: for what is no image, or an option that Python has no use for.
        """
        for option in sorted(FOR_FILES.keys() & options):
            raise TaskError(f"{option} is for the tool predict; {FOR_FILES[option]}")
        show = self.show(predictor, Prediction(**options))
        seen = ((show(image), image.shape[:2], file) for file, image in read_given(images))
        return [self.result(predictor.spec, *one) for one in seen]
