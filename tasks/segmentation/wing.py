"""Segmentation as the tools see it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones import BackboneOptions
from datasets import (
    AugmentSegmentation,
    SegmentationAugmentation,
    SegmentationDataset,
    SegmentationFiles,
    SegmentationSummary,
    holders,
)
from datasets.segmentation.checks import check_files
from datasets.segmentation.find import DATASETS, find_files, limit_segmentation
from datasets.unlabelled import find_unlabelled
from heads import SEGMENTATION_HEADS, SegmentationLoss
from tasks.errors import TaskError
from tasks.options import Network, Optimization, Prediction
from tasks.prediction import Show
from tasks.segmentation.distillation import load_mask_teacher
from tasks.segmentation.drawing import draw_mask_batch, draw_masks, show_masks
from tasks.segmentation.evaluation import evaluate, score
from tasks.segmentation.options import SegmentationOptions
from tasks.segmentation.results import SegmentationResult
from tasks.segmentation.task import SegmentationNetwork, SegmentationSpec, SegmentationTask, segmentation_table
from tasks.segmentation.weights import load_segmentation_weights
from tasks.teacher import require_teacher
from tasks.wing import Wing

CONSTANTS = {"balanced": 1.02, "mild": 1.1}  # of class weights, see `SegmentationSummary.balanced_weights`


class SegmentationWing(Wing):
    """LR-ASPP and other decoders."""

    task = SegmentationTask
    network = SegmentationNetwork
    datasets = DATASETS
    heads = SEGMENTATION_HEADS
    classes = 19  # Cityscapes'

    find_files = staticmethod(find_files)
    limit_files = staticmethod(limit_segmentation)
    evaluate = staticmethod(evaluate)
    score = staticmethod(score)
    measure = "mIoU"
    result = SegmentationResult
    draw = staticmethod(draw_masks)
    draw_batch = staticmethod(draw_mask_batch)

    @staticmethod
    def images(files: SegmentationFiles) -> Sequence[Path]:
        return [image for image, _ in files.pairs]

    def epochs(self, dataset: str) -> int:
        return 40

    def complete_files(
        self, files: SegmentationFiles, options: SegmentationOptions, val: SegmentationFiles | None = None
    ) -> SegmentationFiles:
        if options.unlabelled is None or val is None:
            return files
        known = [image for image, _ in files.pairs + val.pairs]
        return replace(files, unlabelled=find_unlabelled(options.unlabelled, known))

    def check_files(self, *files: SegmentationFiles, read: bool) -> list[SegmentationSummary]:
        return check_files(*files) if read else []

    def input_size(self, options: SegmentationOptions, dataset: str, files: Any = None) -> tuple[int, int]:
        return options.crop or ((160, 160) if dataset == "shapes" else (512, 512))

    def check_options(self, options: SegmentationOptions) -> None:
        SegmentationLoss(options.loss, None, options.label_smoothing)
        require_teacher(options.teacher)

    def make_spec(
        self,
        network: Network,
        backbone: BackboneOptions,
        names: Sequence[str],
        colours: Sequence[tuple[int, int, int]],
        size: tuple[int, int],
        options: SegmentationOptions | None = None,
        dataset: str = "",
    ) -> SegmentationSpec:
        head, of_head = network.head or self.heads[0], network.head_options or {}
        table = segmentation_table(network.backbone, head, **backbone.given())
        auxiliary = options is not None and options.auxiliary > 0
        return SegmentationSpec(table, head, list(names), list(colours), size, of_head, auxiliary=auxiliary)

    def make_task(
        self,
        spec: SegmentationSpec,
        optimization: Optimization,
        options: SegmentationOptions,
        files: SegmentationFiles | None = None,
        summary: SegmentationSummary | None = None,
    ) -> SegmentationTask:
        weights = options.class_weights if isinstance(options.class_weights, list) else None
        if weights is not None and len(weights) != len(spec.names):
            raise TaskError(f"--class-weights has {len(weights)} numbers for {len(spec.names)} classes")
        if options.class_weights in CONSTANTS and files is not None:
            weights = (summary or check_files(files)[0]).balanced_weights(CONSTANTS[options.class_weights])
        from tasks.wings import load_task  # which has this wing among all others

        teacher = load_mask_teacher(options, spec.names, spec.input_size, load_task)
        of_loss = options.loss, weights, options.label_smoothing, options.auxiliary
        return SegmentationTask(spec, optimization, *of_loss, teacher)

    def holders(self, files: SegmentationFiles, summary: SegmentationSummary | None = None) -> list[NDArray[np.int64]]:
        return holders((summary or check_files(files)[0]).present)

    def train_samples(
        self, files: SegmentationFiles, spec: SegmentationSpec, augmentation: SegmentationAugmentation
    ) -> SegmentationDataset:
        return SegmentationDataset(files, AugmentSegmentation(augmentation, spec.input_size))

    def val_samples(self, files: SegmentationFiles, spec: SegmentationSpec) -> SegmentationDataset:
        return SegmentationDataset(files)

    def load_weights(self, task: SegmentationTask, weights: str) -> str:
        return load_segmentation_weights(task.network, task.spec, weights)

    def show(self, predictor: Any, options: Prediction, frames: bool = False) -> Show:
        return show_masks(predictor, options, frames)
