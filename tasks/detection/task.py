"""Detection: a network, what it is trained on, how it is evaluated, and boxes in an image's own pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backbones import Table, TimmTable, build_backbone, create_table, paper_options
from datasets import check_options, limit_detection, resize_image
from heads import Anchors, DetectionLoss, create_detection_head, decode_detections
from tasks.base import Spec, Task
from tasks.detection.detections import Detections, gathered, in_pixels
from tasks.detection.distillation import BoxTeacher
from tasks.detection.metrics import coco_scores
from tasks.detection.thresholds import best_threshold, check_threshold
from tasks.options import Optimization

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class DetectionSpec(Spec):
    """A detection network; label i is names[i], background has no name.

    Attributes:
        sigmoid: whether scores are sigmoids (trained by focal loss) or a softmax.
        score_threshold: what boxes are shown above by default, 0 to 1; chosen by the last validation.
    """

    sigmoid: bool = False
    score_threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_threshold(self.score_threshold)


def detection_table(backbone: str, **options: Any) -> Table | TimmTable:
    """The backbone's table as SSDLite uses it, unless options that are not None say otherwise.

    That is the reduced tail for V3, a last convolution that follows the width for V2 and MnasNet, and a batch norm
    momentum of 0.03, as in torchvision's and TensorFlow's SSDLite.

    Raises:
        BackboneError: for an unknown backbone or option.
    """
    papers = paper_options(backbone, {"reduced_tail": True, "scale_last": True, "small_images": False})
    given = {key: value for key, value in options.items() if value is not None}
    return replace(create_table(backbone, **papers | given), norm_momentum=0.03)


class DetectionNetwork(nn.Module):
    """Backbone and head. `network(images)` takes normalised float32 [N, 3, H, W]; `heads.SSDLite` has the outputs."""

    def __init__(self, spec: DetectionSpec) -> None:
        super().__init__()
        self.backbone = build_backbone(spec.table)
        self.backbone.check_size(*spec.input_size)
        channels, strides = self.backbone.channels, self.backbone.strides
        self.head = create_detection_head(spec.head, channels, strides, len(spec.names), **spec.head_options)
        self.backbone.set_taps(self.head.taps)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.backbone(images))


def boxed_losses(
    criterion: DetectionLoss, logits: Tensor, offsets: Tensor, anchors: Anchors, batch: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """Class and box loss of the images whose boxes are known; 0 where there are none, for other processes' sake.

    Args:
        criterion: of all images.
        logits: float [N, A, K + 1].
        offsets: float [N, A, 4].
        anchors: of both.
        batch: has "boxes", "labels" and "boxed", bool [N].
    """
    (rows,) = batch["boxed"].nonzero(as_tuple=True)
    if len(rows) == len(logits):
        return criterion(logits, offsets, anchors, batch["boxes"], batch["labels"])
    known = float(len(rows) > 0)
    rows = rows if len(rows) else rows.new_zeros(1)
    classes, boxes = criterion(
        logits[rows], offsets[rows], anchors, *(batch[name][rows] for name in ("boxes", "labels"))
    )
    return known * classes, known * boxes


class DetectionTask(Task):
    """Trains and evaluates a detection network, and predicts with it.

    Args:
        spec: what to build.
        optimization: how to train.
        box_weight: of the box loss beside the class loss.

    Attributes:
        teacher: a network to learn from beside the labels, or None; set once the anchors are there.

    Raises:
        DataError: for a box weight outside 0 to 1000.
    """

    kind = "detection"
    monitor = "val/ap"
    pipeline_tag = "object-detection"
    predicts = "detections"
    spec_type = DetectionSpec

    teacher: BoxTeacher | None

    def __init__(self, spec: DetectionSpec, optimization: Optimization | None = None, box_weight: float = 1.0) -> None:
        check_options(box_weight=(box_weight, 0, 1000))
        network = DetectionNetwork(spec)
        super().__init__(spec, network, optimization)
        self.box_weight = box_weight
        self.criterion = DetectionLoss("focal" if spec.sigmoid else "cross_entropy")
        if spec.sigmoid:
            network.head.set_prior(0.01)
        self.anchors = network.head.anchors(spec.input_size)
        self.found: dict[str, Detections] = {}
        self.tiny = 0  # boxes that augmentation left too small to see, in the epoch so far

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        logits, offsets = self.network(self.normalise(batch["image"]))
        classes, boxes = boxed_losses(self.criterion, logits, offsets, self.anchors, batch)
        loss = classes + self.box_weight * boxes
        if self.teacher is not None:
            classes_taught, boxes_taught = self.teacher.teach(
                logits, offsets, batch["image"], self.criterion, self.anchors
            )
            loss = loss + self.teacher.weight * (classes_taught + self.box_weight * boxes_taught)
        self.require_finite(loss, batch["file"])
        shown = {"train/loss": loss, "train/class_loss": classes, "train/box_loss": boxes}
        self.log_dict(shown, prog_bar=True, sync_dist=True, batch_size=len(logits))
        self.tiny += sum(batch["tiny"])
        return loss

    def on_train_epoch_end(self) -> None:
        self.log_now(self.global_step - 1, tiny_boxes=self.over_processes(self.tiny))
        self.tiny = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self._trainer is not None:
            checkpoint["tiny"] = int(self.over_processes(self.tiny))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.tiny = checkpoint["tiny"] if self.trainer.is_global_zero else 0
        self.spec = replace(self.spec, score_threshold=checkpoint["mobiledense"].get("score_threshold"))

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.found |= zip(batch["file"], self.detect(batch["image"], batch["size"]), strict=True)

    def on_validation_epoch_end(self) -> None:
        files = self.trainer.datamodule.val.files  # type: ignore[attr-defined]
        found = gathered(self.found)
        # limit_val_batches leaves out the last ones
        files = limit_detection(files, sum(str(path) in found for path in files.image_paths))
        detections = [found[str(path)] for path in files.image_paths]
        scores = coco_scores(files, detections, "faster")
        if not self.keeps_threshold:
            self.spec = replace(self.spec, score_threshold=best_threshold(files, detections))
        self.log_dict({"val/ap": scores.stats[0], "val/ap50": scores.stats[1]}, prog_bar=True, sync_dist=True)
        self.found = {}

    @torch.inference_mode()
    def detect(
        self,
        images: Tensor,
        sizes: Sequence[tuple[int, int]],
        score_threshold: float = 0.001,
        iou_threshold: float = 0.55,
    ) -> list[Detections]:
        """Detections in images that were resized to the input size.

        Args:
            images: uint8 [N, 3, H, W].
            sizes: height and width that each image had, in whose pixels the boxes are.
            score_threshold: scores must be above it.
            iou_threshold: a box is dropped if its intersection over union with a better one of its class is above this.
        """
        logits, offsets = self.network(self.normalise(images))
        decoded = decode_detections(
            logits, offsets, self.anchors.boxes, self.spec.sigmoid, score_threshold, iou_threshold
        )
        return in_pixels(decoded, sizes)

    def predict(
        self, images: Sequence[Image], score_threshold: float = 0.001, iou_threshold: float = 0.55
    ) -> list[Detections]:
        """Detections in images, each in its own pixels.

        Args:
            images: uint8 [H, W, 3] RGB, of any size.
            score_threshold: see `detect`.
            iou_threshold: likewise.
        """
        resized = np.stack([resize_image(image, self.spec.input_size) for image in images])
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        return self.detect(torch.from_numpy(resized).permute(0, 3, 1, 2), sizes, score_threshold, iou_threshold)
