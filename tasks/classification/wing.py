"""Classification as the tools see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones import BackboneOptions
from datasets import ClassificationAugmentation, ClassificationDataset, ClassificationFiles, holders
from datasets.classification.checks import check_classification
from datasets.classification.dataset import evaluation_samples, training_samples
from datasets.classification.find import DATASETS, find_files, limit_classification
from tasks.classification.distillation import load_teacher
from tasks.classification.drawing import draw_label_batch, draw_labels
from tasks.classification.evaluation import evaluate, score
from tasks.classification.options import ClassificationOptions
from tasks.classification.prediction import classify_images, show_labels
from tasks.classification.results import ClassificationResult
from tasks.classification.task import (
    ClassificationNetwork,
    ClassificationSpec,
    ClassificationTask,
    classification_table,
)
from tasks.classification.weights import load_classification_weights
from tasks.drawing import Image
from tasks.errors import TaskError
from tasks.options import Network, Optimization, Prediction
from tasks.prediction import Show
from tasks.sources import Sources
from tasks.wing import Wing


class ClassificationWing(Wing):
    """A class for each image."""

    task = ClassificationTask
    network = ClassificationNetwork
    datasets = DATASETS
    heads = ("classifier",)
    classes = 1000  # ImageNet's
    batch_size = 64
    drawn = 24

    find_files = staticmethod(find_files)
    limit_files = staticmethod(limit_classification)
    evaluate = staticmethod(evaluate)
    score = staticmethod(score)
    measure = "top-1"
    result = ClassificationResult
    draw = staticmethod(draw_labels)
    draw_batch = staticmethod(draw_label_batch)

    @staticmethod
    def images(files: ClassificationFiles) -> Sequence[Path | Image]:
        return [*map(Path, files.image_paths)] if files.images is None else [*files.images]

    def epochs(self, dataset: str) -> int:
        return 10

    def check_files(self, *files: ClassificationFiles, read: bool) -> list[Any]:
        check_classification(*files, read=read)
        return []

    def input_size(
        self, options: ClassificationOptions, dataset: str, files: ClassificationFiles | None = None
    ) -> tuple[int, int] | None:
        held = None if files is None else files.size
        if held is not None and options.size is not None:
            raise TaskError(f"--size is for --dataset folder; images of {dataset} are {held[1]}x{held[0]}")
        return held or options.size or (None if files is None else (224, 224))

    def make_spec(
        self,
        network: Network,
        backbone: BackboneOptions,
        names: Sequence[str],
        colours: Sequence[tuple[int, int, int]],
        size: tuple[int, int],
        options: ClassificationOptions | None = None,
        dataset: str = "",
    ) -> ClassificationSpec:
        of_head = (network.head_options or {}) | ({} if options is None else {"dropout": options.dropout})
        table = classification_table(network.backbone, size, **backbone.given())
        crop_ratio = 0.875 if dataset == "folder" else 1.0
        return ClassificationSpec(
            table, self.heads[0], list(names), list(colours), size, of_head, crop_ratio=crop_ratio
        )

    def make_task(
        self,
        spec: ClassificationSpec,
        optimization: Optimization,
        options: ClassificationOptions,
        files: ClassificationFiles | None = None,
        summary: Any = None,
    ) -> ClassificationTask:
        teacher = load_teacher(options, spec.names)
        return ClassificationTask(spec, optimization, options.label_smoothing, teacher)

    def load_weights(self, task: ClassificationTask, weights: str) -> str:
        return load_classification_weights(task.network, task.spec, weights)

    def holders(self, files: ClassificationFiles, summary: Any = None) -> list[NDArray[np.int64]]:
        return holders(files.labels[:, None] == np.arange(len(files.names)))

    def train_samples(
        self, files: ClassificationFiles, spec: ClassificationSpec, augmentation: ClassificationAugmentation
    ) -> ClassificationDataset:
        return training_samples(files, spec.input_size, augmentation)

    def val_samples(self, files: ClassificationFiles, spec: ClassificationSpec) -> ClassificationDataset:
        return evaluation_samples(files, spec.input_size, spec.crop_ratio)

    def show(self, predictor: Any, options: Prediction, frames: bool = False) -> Show:
        return show_labels(predictor)

    def predict_images(self, predictor: Any, sources: Sources, output: Path, options: Prediction) -> int:
        return classify_images(predictor, sources, output, options.json)
