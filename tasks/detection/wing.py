"""Detection as the tools see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backbones import BackboneOptions
from datasets import (
    AugmentDetection,
    DetectionAugmentation,
    DetectionDataset,
    DetectionFiles,
    DetectionSummary,
    Resize,
)
from datasets.detection.checks import check_files
from datasets.detection.find import DATASETS, find_files, limit_detection
from heads import DETECTION_HEADS, DetectionLoss
from tasks.detection.drawing import draw_detections, show_boxes
from tasks.detection.evaluation import DetectionEvaluation, evaluate
from tasks.detection.options import DetectionOptions
from tasks.detection.task import DetectionNetwork, DetectionSpec, DetectionTask, detection_table
from tasks.detection.weights import load_detection_weights, start_detection_normalisation
from tasks.drawing import Image
from tasks.options import Network, Optimization, Prediction
from tasks.prediction import Show
from tasks.wing import Wing

FEW = 2000  # images, below which training from scratch is worth a word


class DetectionWing(Wing):
    """SSDLite."""

    task = DetectionTask
    network = DetectionNetwork
    datasets = DATASETS
    heads = tuple(DETECTION_HEADS)
    classes = 90  # ids of COCO's 80 classes

    def epochs(self, dataset: str) -> int:
        return 12 if dataset == "shapes" else 60

    def find_files(
        self,
        dataset: str,
        splits: Sequence[str],
        data_root: Path | None,
        download: bool = False,
        group_by: str | None = None,
        classes: str | None = None,
    ) -> list[DetectionFiles]:
        return find_files(dataset, splits, data_root, download, group_by, classes)

    def limit_files(self, files: DetectionFiles, most: int | None) -> DetectionFiles:
        return limit_detection(files, most)

    def check_files(self, *files: DetectionFiles, read: bool) -> list[DetectionSummary]:
        return check_files(*files) if read else []

    def check_options(self, options: DetectionOptions) -> None:
        DetectionLoss(options.loss)

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
        return DetectionTask(spec, optimization, options.box_weight)

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

    def train_samples(
        self, files: DetectionFiles, spec: DetectionSpec, augmentation: DetectionAugmentation
    ) -> DetectionDataset:
        return DetectionDataset(files, AugmentDetection(augmentation, spec.input_size))

    def val_samples(self, files: DetectionFiles, spec: DetectionSpec) -> DetectionDataset:
        return DetectionDataset(files, Resize(spec.input_size))

    def evaluate(
        self,
        predictor: Any,
        files: DetectionFiles,
        folder: Path,
        settings: dict[str, Any],
        drawn: int | None = None,
        workers: int = 1,
        **options: Any,
    ) -> DetectionEvaluation:
        return evaluate(predictor, files, folder, settings, 6 if drawn is None else drawn, workers, **options)

    def draw(self, task: DetectionTask, samples: Sequence[dict[str, Any]]) -> Image:
        return draw_detections(task, samples)

    def show(self, predictor: Any, options: Prediction, frames: bool = False) -> Show:
        return show_boxes(predictor, options)
