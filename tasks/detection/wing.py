"""Detection as the tools see it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones import BackboneOptions
from datasets import (
    AugmentDetection,
    DetectionAugmentation,
    DetectionDataset,
    DetectionFiles,
    DetectionSummary,
    Resize,
    holders,
)
from datasets.detection.checks import check_files
from datasets.detection.find import DATASETS, find_files, limit_detection
from datasets.unlabelled import find_unlabelled
from heads import DETECTION_HEADS, DetectionLoss
from tasks.detection.distillation import load_box_teacher
from tasks.detection.drawing import draw_box_batch, draw_detections, show_boxes
from tasks.detection.evaluation import evaluate, score
from tasks.detection.options import DetectionOptions
from tasks.detection.results import DetectionResult
from tasks.detection.task import DetectionNetwork, DetectionSpec, DetectionTask, detection_table
from tasks.detection.tiles import Tiled
from tasks.detection.weights import load_detection_weights, start_detection_normalisation
from tasks.options import Network, Optimization, Prediction
from tasks.prediction import Show
from tasks.teacher import require_teacher
from tasks.wing import Wing

FEW = 2000  # images, below which training from scratch is worth a word


class DetectionWing(Wing):
    """SSDLite."""

    task = DetectionTask
    network = DetectionNetwork
    datasets = DATASETS
    heads = tuple(DETECTION_HEADS)
    classes = 90  # ids of COCO's 80 classes

    find_files = staticmethod(find_files)
    limit_files = staticmethod(limit_detection)
    evaluate = staticmethod(evaluate)
    score = staticmethod(score)
    measure = "COCO AP"
    tracks = True
    result = DetectionResult
    draw = staticmethod(draw_detections)
    draw_batch = staticmethod(draw_box_batch)

    @staticmethod
    def images(files: DetectionFiles) -> Sequence[Path]:
        return files.image_paths

    def epochs(self, dataset: str) -> int:
        return 12 if dataset == "shapes" else 60

    def complete_files(
        self, files: DetectionFiles, options: DetectionOptions, val: DetectionFiles | None = None
    ) -> DetectionFiles:
        if options.unlabelled is None or val is None:
            return files
        return replace(files, unlabelled=find_unlabelled(options.unlabelled, files.image_paths + val.image_paths))

    def check_files(self, *files: DetectionFiles, read: bool) -> list[DetectionSummary]:
        return check_files(*files) if read else []

    def input_size(self, options: DetectionOptions, dataset: str, files: Any = None) -> tuple[int, int]:
        return options.size or ((160, 160) if dataset == "shapes" else (320, 320))

    def check_options(self, options: DetectionOptions) -> None:
        DetectionLoss(options.loss)
        require_teacher(options.teacher)

    def make_spec(
        self,
        network: Network,
        backbone: BackboneOptions,
        names: Sequence[str],
        colours: Sequence[tuple[int, int, int]],
        size: tuple[int, int],
        options: DetectionOptions | None = None,
        dataset: str = "",
    ) -> DetectionSpec:
        head = network.head or self.heads[0]
        small = {"small_objects": True} if dataset == "shapes" and head == "ssdlite" else {}
        width = {} if backbone.width is None else {"width": backbone.width}  # the extra maps follow the backbone's
        of_head = small | width | (network.head_options or {})
        table = detection_table(network.backbone, **backbone.given())
        sigmoid = options is not None and options.loss == "focal"
        return DetectionSpec(table, head, list(names), list(colours), size, of_head, sigmoid=sigmoid)

    def make_task(
        self,
        spec: DetectionSpec,
        optimization: Optimization,
        options: DetectionOptions,
        files: DetectionFiles | None = None,
        summary: DetectionSummary | None = None,
    ) -> DetectionTask:
        from tasks.wings import load_task  # which has this wing among all others

        task = DetectionTask(spec, optimization, options.box_weight)
        task.teacher = load_box_teacher(options, spec, task.anchors, load_task)
        return task

    def start_normalisation(self, spec: DetectionSpec, weights: str | None) -> dict[str, Any]:
        return start_detection_normalisation(spec.table, weights)

    def load_weights(self, task: DetectionTask, weights: str) -> str:
        return load_detection_weights(task.network, task.spec, weights)

    def advise(self, files: DetectionFiles, dataset: str) -> str:
        if dataset == "shapes" or len(files.image_paths) >= FEW:
            return ""
        return (
            f"{len(files.image_paths)} images are few to learn from scratch: expect rough boxes, and hundreds of "
            f"epochs. --weights imagenet starts the backbone from images of all kinds, --weights coco (v3-large "
            f"with ssdlite-torchvision) the whole network; either is worth more than any other option"
        )

    def holders(self, files: DetectionFiles, summary: DetectionSummary | None = None) -> list[NDArray[np.int64]]:
        return holders(files.present)

    def tiled(self, predictor: Any, tile: tuple[int, int]) -> Tiled:
        return Tiled(predictor, tile)

    def train_samples(
        self, files: DetectionFiles, spec: DetectionSpec, augmentation: DetectionAugmentation
    ) -> DetectionDataset:
        return DetectionDataset(files, AugmentDetection(augmentation, spec.input_size))

    def val_samples(self, files: DetectionFiles, spec: DetectionSpec) -> DetectionDataset:
        return DetectionDataset(files, Resize(spec.input_size))

    def show(self, predictor: Any, options: Prediction, frames: bool = False) -> Show:
        return show_boxes(predictor, options)
