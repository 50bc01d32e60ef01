"""Masks and boxes from one network: what it is trained on, how it is evaluated, and both in an image's own pixels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets import check_options, resize_image
from heads import DetectionLoss, SegmentationLoss, arg_max_mask, decode_detections
from tasks.base import Task
from tasks.detection.detections import Detections, gathered, in_pixels
from tasks.detection.distillation import BoxTeacher
from tasks.detection.metrics import coco_scores
from tasks.detection.task import boxed_losses
from tasks.detection.thresholds import best_threshold
from tasks.joint.network import JointNetwork, JointSpec
from tasks.options import Optimization
from tasks.segmentation.distillation import MaskTeacher
from tasks.segmentation.metrics import ConfusionMatrix
from tasks.teacher import Teacher

Image = NDArray[np.uint8]
LOSSES = ("mask", "class", "box")


class Joint(NamedTuple):
    """What is seen in one image: its mask, uint8 [H, W] of class indices, and its boxes."""

    mask: Image
    boxes: Detections


class Part:
    """A joint predictor as one of its tasks has it, with that task's `spec` and `predict`.

    Args:
        kind: of the task.
        spec: of the part.
        predict: of the joint predictor.
        at: which of the two results is the part's.
    """

    def __init__(self, kind: str, spec: Any, predict: Any, at: int) -> None:
        self.kind, self.spec, self._predict, self.at = kind, spec, predict, at

    def predict(self, images: Sequence[Image], **options: Any) -> list[Any]:
        """As the joint `predict`, but the part's result alone."""
        return [found[self.at] for found in self._predict(images, **options)]


def parts(predictor: Any) -> tuple[Part, Part]:
    """What a joint predictor is to segmentation and to detection."""
    spec: JointSpec = predictor.spec
    return (
        Part("segmentation", spec.masks, predictor.predict, 0),
        Part("detection", spec.boxes, predictor.predict, 1),
    )


class JointTask(Task):
    """Trains and evaluates a joint network, and predicts with it.

    Args:
        spec: what to build.
        optimization: how to train.
        mask_loss: see `heads.SegmentationLoss`.
        mask_weight: of the loss of masks, where weights are fixed.
        box_weight: of the box loss beside the class loss, likewise.

    Attributes:
        mask_teacher: a network to learn masks from beside the labels, or None.
        box_teacher: likewise for boxes.

    Raises:
        DataError: for a weight outside 0 to 1000.
    """

    kind = "joint"
    monitor = "val/mean"
    pipeline_tag = "image-segmentation"
    predicts = "masks_and_boxes"
    spec_type = JointSpec

    def __init__(
        self,
        spec: JointSpec,
        optimization: Optimization | None = None,
        mask_loss: str = "cross_entropy",
        mask_weight: float = 1.0,
        box_weight: float = 1.0,
    ) -> None:
        check_options(mask_weight=(mask_weight, 0, 1000), box_weight=(box_weight, 0, 1000))
        network = JointNetwork(spec)
        if spec.sigmoid:
            network.head.boxes.set_prior(0.01)
        super().__init__(spec, network, optimization)
        self.weights = (mask_weight, 1.0, box_weight)  # of `LOSSES`
        self.mask_criterion = SegmentationLoss(mask_loss)
        self.box_criterion = DetectionLoss("focal" if spec.sigmoid else "cross_entropy")
        self.anchors = network.head.anchors(spec.input_size)
        self.matrix = ConfusionMatrix(len(spec.names))
        self.found: dict[str, Detections] = {}
        self.mask_teacher: MaskTeacher | None = None
        self.box_teacher: BoxTeacher | None = None

    @property
    def teachers(self) -> list[Teacher]:
        return [teacher for teacher in (self.mask_teacher, self.box_teacher) if teacher is not None]

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        mask_logits, logits, offsets = self.network(self.normalise(batch["image"]))
        losses = torch.stack(
            [
                self.mask_criterion(mask_logits, batch["mask"]),
                *boxed_losses(self.box_criterion, logits, offsets, self.anchors, batch),
            ]
        )
        if self.spec.learned:
            uncertainty = self.network.uncertainty
            loss = ((-uncertainty).exp() * losses + uncertainty / 2).sum()
        else:
            loss = (losses * losses.new_tensor(self.weights)).sum()
        if self.mask_teacher is not None:
            loss = loss + self.mask_teacher.teach(mask_logits, batch["image"])
        if self.box_teacher is not None:
            taught = self.box_teacher.teach(logits, offsets, batch["image"], self.box_criterion, self.anchors)
            loss = loss + self.box_teacher.weight * sum(taught)
        self.require_finite(loss, batch["file"])
        shown = {f"train/{name}_loss": value for name, value in zip(LOSSES, losses, strict=True)}
        self.log_dict({"train/loss": loss, **shown}, prog_bar=True, sync_dist=True, batch_size=len(logits))
        return loss

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.spec = replace(self.spec, score_threshold=checkpoint["mobiledense"].get("score_threshold"))

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        mask_logits, *raw = self.network(self.normalise(batch["image"]))
        for row, mask in enumerate(batch["mask"]):
            mask = torch.as_tensor(mask if isinstance(mask, Tensor) else mask.copy(), device=self.device)[None]
            size = mask.shape[1], mask.shape[2]
            self.matrix.update(arg_max_mask(mask_logits[row : row + 1], size), mask)
        found = zip(batch["file"], self._detections(*raw, batch["size"]), batch["boxed"].tolist(), strict=True)
        self.found |= {file: detections for file, detections, boxed in found if boxed}

    def on_validation_epoch_end(self) -> None:
        boxes, found = self.trainer.datamodule.val.files.boxes, gathered(self.found)  # type: ignore[attr-defined]
        seen = boxes.at([index for index, path in enumerate(boxes.image_paths) if str(path) in found])
        detections = [found[str(path)] for path in seen.image_paths]
        ap = float(coco_scores(seen, detections, "faster").stats[0])
        if not self.keeps_threshold:
            self.spec = replace(self.spec, score_threshold=best_threshold(seen, detections))
        miou = self.matrix.scores().miou
        self.log_dict({"val/miou": miou, "val/ap": ap, "val/mean": (miou + ap) / 2}, prog_bar=True, sync_dist=True)
        self.found = {}
        self.matrix.reset()

    @torch.inference_mode()
    def predict(
        self, images: Sequence[Image], score_threshold: float = 0.001, iou_threshold: float = 0.55
    ) -> list[Joint]:
        """Masks and boxes of images, each in its own pixels, from one pass at the size of training.

        Args:
            images: uint8 [H, W, 3] RGB, of any size.
            score_threshold: see `DetectionTask.detect`.
            iou_threshold: likewise.
        """
        resized = np.stack([resize_image(image, self.spec.input_size) for image in images])
        mask_logits, *raw = self.network(self.normalise(torch.from_numpy(resized).permute(0, 3, 1, 2)))
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        masks = [arg_max_mask(mask_logits[row : row + 1], size)[0].cpu().numpy() for row, size in enumerate(sizes)]
        found = self._detections(*raw, sizes, score_threshold, iou_threshold)
        return [Joint(*pair) for pair in zip(masks, found, strict=True)]

    def _detections(self, logits: Tensor, offsets: Tensor, sizes: Any, *thresholds: Any) -> list[Detections]:
        decoded = decode_detections(logits, offsets, self.anchors.boxes, self.spec.sigmoid, *thresholds)
        return in_pixels(decoded, sizes)
