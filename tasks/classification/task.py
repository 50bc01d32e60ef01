"""Classification: a network, what it is trained on, how it is evaluated, and the probability of every class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from backbones import Table, TimmTable, build_backbone, create_table, table_options
from datasets import CentreCrop
from heads import create_classifier, distillation_loss
from tasks.base import Spec, Task
from tasks.errors import TaskError
from tasks.options import Optimization
from tasks.teacher import Teacher

TOP = 5
SMALL = 64  # images up to this side are small ones
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ClassificationSpec(Spec):
    """A classifier; class i is names[i].

    Attributes:
        crop_ratio: of an image's sides that prediction looks at, see `datasets.CentreCrop`.
    """

    crop_ratio: float = 1.0


def classification_table(backbone: str, size: tuple[int, int], **options: Any) -> Table | TimmTable:
    """The backbone's table for images of a size, under those options that are not None.

    Up to 64 pixels, the first strides are 1 where the backbone has that option. Batch norm's momentum is 0.1: with V3's
    own 0.01, statistics take hundreds of steps to follow the weights, and a run on small data has not many more.

    Args:
        backbone: as for `backbones.create_table`.
        size: height and width of the images.
        **options: likewise.

    Raises:
        BackboneError: for an unknown backbone or option.
    """
    stem = {"small_images": True} if max(size) <= SMALL and "small_images" in table_options(backbone) else {}
    given = {key: value for key, value in options.items() if value is not None}
    return replace(create_table(backbone, **stem | given), norm_momentum=0.1)


class ClassificationNetwork(nn.Module):
    """Backbone and classifier. `network(images)`: normalised float32 [N, 3, H, W] -> raw logits [N, classes]."""

    def __init__(self, spec: ClassificationSpec) -> None:
        super().__init__()
        self.backbone = build_backbone(spec.table)
        self.backbone.check_size(*spec.input_size)
        self.head = create_classifier(self.backbone.channels, spec.table, len(spec.names), **spec.head_options)
        self.backbone.set_taps(self.head.taps)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))


class ClassificationTask(Task):
    """Trains and evaluates a classifier, and predicts with it.

    Args:
        spec: what to build.
        optimization: how to train.
        label_smoothing: of the targets, in 0 to 1.
        teacher: a network to learn from beside the labels, or None.

    Raises:
        TaskError: if the label smoothing is outside.
    """

    kind = "classification"
    monitor = "val/top1"
    pipeline_tag = "image-classification"
    predicts = "probabilities"
    spec_type = ClassificationSpec

    def __init__(
        self,
        spec: ClassificationSpec,
        optimization: Optimization | None = None,
        label_smoothing: float = 0.0,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__(spec, ClassificationNetwork(spec), optimization)
        if not 0 <= label_smoothing <= 1:
            raise TaskError(f"--label-smoothing {label_smoothing} is not in 0 to 1")
        self.label_smoothing, self.teacher = label_smoothing, teacher
        classes = len(spec.names)
        self.top1 = MulticlassAccuracy(classes, average="micro", validate_args=False)
        self.loss = MeanMetric()
        self.top5 = MulticlassAccuracy(classes, min(TOP, classes), average="micro", validate_args=False)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        images, target = batch["image"], batch["target"]
        logits = self.network(self.normalise(images)).float()
        loss = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
        if self.teacher is not None:
            taught = distillation_loss(logits, self.teacher(images), self.teacher.temperature)
            loss = torch.lerp(loss, taught, self.teacher.weight)
        self.require_finite(loss, batch["file"])
        right = (logits.detach().argmax(1) == target.argmax(1)).float().mean()
        shown = {"train/loss": loss, "train/top1": right}
        self.log_dict(shown, prog_bar=True, sync_dist=True, batch_size=len(logits))
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        logits, label = self.network(self.normalise(batch["image"])).float(), batch["label"]
        self.top1.update(logits, label)
        self.top5.update(logits, label)
        self.loss.update(F.cross_entropy(logits, label, reduction="none"))
        scores: dict[str, Any] = {"val/top1": self.top1, "val/top5": self.top5, "val/loss": self.loss}
        self.log_dict(scores, prog_bar=True, on_epoch=True, batch_size=len(logits))

    @torch.inference_mode()
    def predict(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """The probability of every class, float32 [N, classes].

        Args:
            images: uint8 [H, W, 3] RGB, of any size; the middle of each is looked at.
        """
        crop = CentreCrop(self.spec.input_size, self.spec.crop_ratio)
        batch = torch.from_numpy(np.stack([crop(image) for image in images])).permute(0, 3, 1, 2)
        return self.network(self.normalise(batch)).float().softmax(1).cpu().numpy()
