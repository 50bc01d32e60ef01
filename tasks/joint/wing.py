"""Masks and boxes from one network, as the tools see it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones import BackboneOptions
from datasets import AugmentDetection, DetectionAugmentation, JointDataset, JointFiles, Resize, holders
from datasets.joint.checks import JointSummary, check_files
from datasets.joint.files import limit_joint
from datasets.joint.find import boxes_from, find_files
from datasets.segmentation.find import DATASETS
from datasets.unlabelled import find_unlabelled
from heads import JOINT_HEADS, DetectionLoss, SegmentationLoss
from tasks.detection.distillation import load_box_teacher
from tasks.detection.options import DetectionOptions
from tasks.detection.task import detection_table
from tasks.detection.weights import start_detection_normalisation
from tasks.errors import TaskError
from tasks.joint.drawing import draw_joint, draw_joint_batch, show_joint
from tasks.joint.evaluation import evaluate, score
from tasks.joint.network import JointNetwork, JointSpec
from tasks.joint.options import JointOptions
from tasks.joint.results import JointResult
from tasks.joint.task import JointTask
from tasks.joint.tiles import TiledJoint
from tasks.joint.weights import load_joint_weights
from tasks.options import Network, Optimization, Prediction
from tasks.prediction import Show
from tasks.segmentation.distillation import load_mask_teacher
from tasks.segmentation.options import SegmentationOptions
from tasks.segmentation.task import segmentation_table
from tasks.teacher import require_teacher
from tasks.wing import Wing


class JointWing(Wing):
    """LR-ASPP and SSDLite on one backbone."""

    task = JointTask
    network = JointNetwork
    datasets = DATASETS
    heads = JOINT_HEADS
    classes = 21  # VOC's

    find_files = staticmethod(find_files)
    limit_files = staticmethod(limit_joint)
    evaluate = staticmethod(evaluate)
    score = staticmethod(score)
    measure = "mean of mIoU and COCO AP"
    tracks = True
    result = JointResult
    draw = staticmethod(draw_joint)
    draw_batch = staticmethod(draw_joint_batch)

    @staticmethod
    def images(files: JointFiles) -> Sequence[Path]:
        return [image.path for image in files.images]

    def epochs(self, dataset: str) -> int:
        return 16 if dataset == "shapes" else 60

    def check_files(self, *files: JointFiles, read: bool) -> list[JointSummary]:
        return check_files(*files) if read else []

    def input_size(self, options: JointOptions, dataset: str, files: Any = None) -> tuple[int, int]:
        return options.size or ((160, 160) if dataset == "shapes" else (320, 320))

    def check_options(self, options: JointOptions) -> None:
        SegmentationLoss(options.mask_loss)
        DetectionLoss(options.loss)
        require_teacher(options.teacher_seg)
        require_teacher(options.teacher_det)

    def make_spec(
        self,
        network: Network,
        backbone: BackboneOptions,
        names: Sequence[str],
        colours: Sequence[tuple[int, int, int]],
        size: tuple[int, int],
        options: JointOptions | None = None,
        dataset: str = "",
    ) -> JointSpec:
        head = network.head or self.heads[0]
        small = {"small_objects": True} if dataset == "shapes" and head.endswith("+ssdlite") else {}
        width = {} if backbone.width is None else {"width": backbone.width}
        table = detection_table(network.backbone, **backbone.given())
        branch: Any = None
        if options is not None and options.sharing == "stage4":
            branch = segmentation_table(network.backbone, head.split("+")[0], **backbone.given())
        return JointSpec(
            table,
            head,
            list(names),
            list(colours),
            size,
            small | width | (network.head_options or {}),
            box_names=list(names),  # until the files tell, see `for_files`
            box_colours=list(colours),
            sigmoid=options is not None and options.loss == "focal",
            learned=options is not None and options.weighting == "learned",
            branch=branch,
        )

    def complete_files(self, files: JointFiles, options: JointOptions, val: JointFiles | None = None) -> JointFiles:
        share = None if val is None else options.box_share
        found = boxes_from(files, options.box_dataset, options.box_data_root, share)
        if options.unlabelled is None or val is None:
            return found
        known = [image.path for image in found.images + val.images]
        return replace(found, boxes=replace(found.boxes, unlabelled=find_unlabelled(options.unlabelled, known)))

    def for_files(self, spec: JointSpec, files: JointFiles) -> JointSpec:
        return replace(spec, box_names=files.box_names, box_colours=files.box_colours)

    def make_task(
        self,
        spec: JointSpec,
        optimization: Optimization,
        options: JointOptions,
        files: JointFiles | None = None,
        summary: JointSummary | None = None,
    ) -> JointTask:
        from tasks.wings import load_task  # which has this wing among all others

        task = JointTask(spec, optimization, options.mask_loss, options.mask_weight, options.box_weight)
        weight = options.distillation_weight
        of_masks = SegmentationOptions(
            teacher=options.teacher_seg, distillation=options.distillation, distillation_weight=weight
        )
        of_boxes = DetectionOptions(teacher=options.teacher_det, distillation_weight=weight)
        task.mask_teacher = load_mask_teacher(of_masks, spec.names, spec.input_size, load_task)
        task.box_teacher = load_box_teacher(of_boxes, spec.boxes, task.anchors, load_task)
        return task

    def start_normalisation(self, spec: JointSpec, weights: str | None) -> dict[str, Any]:
        return start_detection_normalisation(spec.table, weights)

    def load_weights(self, task: JointTask, weights: str) -> str:
        return load_joint_weights(task.network, task.spec, weights)

    def holders(self, files: JointFiles, summary: JointSummary | None = None) -> list[NDArray[np.int64]]:
        if files.share is not None:
            raise TaskError("--class-uniform draws from all images alike, and --box-dataset by --box-share: give one")
        of_masks, of_boxes = (summary or check_files(files)[0]).masks.present, files.boxes.present
        names = list(dict.fromkeys(files.names + files.box_names))
        present = np.zeros((len(files.images), len(names)), dtype=bool)
        for row, image in zip(present, files.images, strict=True):
            for known, own, at in ((files.names, of_masks, image.mask), (files.box_names, of_boxes, image.boxes)):
                row[[names.index(name) for name in known]] |= own[at] if at is not None else False
        return holders(present)

    def tiled(self, predictor: Any, tile: tuple[int, int]) -> TiledJoint:
        return TiledJoint(predictor, tile)

    def train_samples(self, files: JointFiles, spec: JointSpec, augmentation: DetectionAugmentation) -> JointDataset:
        return JointDataset(files, AugmentDetection(augmentation, spec.input_size))

    def val_samples(self, files: JointFiles, spec: JointSpec) -> JointDataset:
        return JointDataset(replace(files, share=None), Resize(spec.input_size))

    def show(self, predictor: Any, options: Prediction, frames: bool = False) -> Show:
        return show_joint(predictor, options, frames)
