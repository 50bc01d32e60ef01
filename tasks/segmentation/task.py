"""Segmentation: a network, what it is trained on, how it is evaluated, and masks in an image's own pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from backbones import BackboneError, Table, TimmTable, build_backbone, create_table, paper_options
from datasets import check_options, resize_image, resize_mask
from datasets.ranges import WINDOW
from heads import HeadError, SegmentationLoss, arg_max_mask, backbone_options, create_segmentation_head, resize
from heads.inputs import tap_channels
from tasks.base import Spec, Task
from tasks.errors import TaskError
from tasks.options import Optimization
from tasks.segmentation.distillation import MaskTeacher
from tasks.segmentation.metrics import ConfusionMatrix
from tasks.segmentation.sliding_window import slide

MOST_SIDE = 4096  # of an image that is resized to `shorter_side`; one that is no square has as many pixels
MIOU_EVERY = 10  # steps between updates of the running training mIoU
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class SegmentationSpec(Spec):
    """A segmentation network; index i in a mask is names[i].

    Attributes:
        auxiliary: whether there is an auxiliary head.
        shorter_side: pixels of the shorter side that images are resized to before they are predicted; None for their
            own.
    """

    auxiliary: bool = False
    shorter_side: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        side = self.shorter_side
        if side is not None and not (isinstance(side, int) and 0 < side <= MOST_SIDE):
            raise TaskError(f"shorter_side cannot be {side!r:.80}")


def segmentation_table(backbone: str, head: str, **options: Any) -> Table | TimmTable:
    """The backbone's table with those options of the head's paper that it has; options that are not None override them.

    Raises:
        BackboneError, HeadError: for an unknown backbone, head or option.
    """
    # a table of a classifier may be for small images
    papers = paper_options(backbone, backbone_options(head) | {"small_images": False})
    return create_table(backbone, **papers | {key: value for key, value in options.items() if value is not None})


class SegmentationNetwork(nn.Module):
    """Backbone and head. `network(images)` takes normalised float32 [N, 3, H, W] and returns raw logits."""

    def __init__(self, spec: SegmentationSpec) -> None:
        super().__init__()
        self.backbone = build_backbone(spec.table)
        self.backbone.check_size(*spec.input_size)
        channels, strides = self.backbone.channels, self.backbone.strides
        self.head = create_segmentation_head(spec.head, channels, strides, len(spec.names), **spec.head_options)
        self.auxiliary = None
        if spec.auxiliary:
            (width,) = tap_channels(channels, ["c4"])
            layers = [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            self.auxiliary = nn.Sequential(*layers, nn.Conv2d(width, len(spec.names), 1))
        self.backbone.set_taps([*self.head.taps, *(["c4"] if spec.auxiliary else [])])  # type: ignore[misc]

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))


class SegmentationTask(Task):
    """Trains and evaluates a segmentation network, and predicts with it.

    Args:
        spec: what to build.
        optimization: how to train.
        loss: see `heads.SegmentationLoss`.
        class_weights: for cross_entropy and ohem, one a class, or None.
        label_smoothing: for cross_entropy and ohem.
        auxiliary_weight: of the auxiliary head's loss.
        teacher: a network to learn from beside the labels, or None.

    Raises:
        DataError: for a number outside its range.
        TaskError: if all class weights are 0, or a loss cannot be had.
    """

    kind = "segmentation"
    monitor = "val/miou"
    pipeline_tag = "image-segmentation"
    predicts = "masks"
    spec_type = SegmentationSpec
    teacher: MaskTeacher | None

    def __init__(
        self,
        spec: SegmentationSpec,
        optimization: Optimization | None = None,
        loss: str = "cross_entropy",
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        auxiliary_weight: float = 0.4,
        teacher: MaskTeacher | None = None,
    ) -> None:
        check_options(
            label_smoothing=(label_smoothing, 0, 1),
            class_weights=(class_weights, 0, 1e6),
            auxiliary=(auxiliary_weight, 0, 100),
        )
        if class_weights is not None and not any(class_weights):
            raise TaskError("--class-weights are all 0; leave some above it")
        if "lovasz" in loss and len(spec.names) == 1:
            raise TaskError("--loss lovasz needs two classes or more, and there is one")
        super().__init__(spec, SegmentationNetwork(spec), optimization)
        self.auxiliary_weight, self.teacher = auxiliary_weight, teacher
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.criterion = SegmentationLoss(loss, weights, label_smoothing)
        self.train_matrix = ConfusionMatrix(len(spec.names))
        self.matrix = ConfusionMatrix(len(spec.names))

    def check_samples(self, samples: Any) -> None:
        """Refuse samples of a size that the backbone cannot take: validation has whole images, and not crops.

        Raises:
            TaskError: naming the size it was made for.
        """
        if self.network.backbone.made_for is None:
            return
        for sample in (samples[index] for index in range(len(samples))):
            try:
                self.network.backbone.check_size(*sample["image"].shape[:2])
            except BackboneError as error:
                raise TaskError(f"{sample['file']}: validation takes whole images, and no crops; {error}") from None

    def at_output_stride(self, output_stride: int) -> "SegmentationTask":
        """The same weights on a finer or coarser grid: the papers train at 16 and evaluate at 8 too (V2, Section 6.3).

        Strides past it become dilation by the rule of the checkpoint's table, see `backbones.Table`, so that every
        filter sees the same pixels of the image as before, at more places or fewer.

        Raises:
            TaskError: if the backbone or the head cannot have it.
        """
        spec, where = self.spec, f"--output-stride {output_stride}: {self.spec.table.name} with {self.spec.head}"
        try:
            spec = replace(spec, table=replace(spec.table, output_stride=output_stride))
            with torch.device("meta"):
                trial = SegmentationNetwork(spec).eval()
                trial(torch.empty(1, 3, *spec.input_size))
        except (BackboneError, HeadError, RuntimeError) as error:  # the last one of decoders whose maps do not fit
            raise TaskError(f"{where} cannot be built so ({str(error).splitlines()[0]})") from None
        most = max(trial.backbone.strides.values())
        if most != output_stride:
            raise TaskError(f"{where} has no stride above {most}; leave the option out")
        task = SegmentationTask(spec)
        task.load_state_dict(self.state_dict())
        return task.eval().to(self.device)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        features = self.network.backbone(self.normalise(batch["image"]))
        logits = self.network.head(features)
        loss = self.criterion(logits, batch["mask"])
        if self.network.auxiliary is not None:
            auxiliary = self.criterion(self.network.auxiliary(features["c4"]), batch["mask"])
            loss = loss + self.auxiliary_weight * auxiliary
        if self.teacher is not None:
            loss = loss + self.teacher.teach(logits, batch["image"])
        self.require_finite(loss, batch["file"])
        coarse = F.interpolate(batch["mask"][:, None], size=logits.shape[2:], mode="nearest")[:, 0]
        self.train_matrix.update(logits.detach().max(1)[1], coarse)
        self.log("train/loss", loss, prog_bar=True, sync_dist=True, batch_size=len(logits))
        if (self.global_step + 1) % MIOU_EVERY == 0:
            miou = self.train_matrix.scores().miou
            self.log("train/miou", miou, prog_bar=True, logger=False, batch_size=len(logits))
            self.log_now(self.global_step, miou=miou)
        return loss

    def on_train_epoch_end(self) -> None:
        self.train_matrix.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self._trainer is not None:
            seen = self.trainer.strategy.reduce(self.train_matrix.confmat.clone(), reduce_op="sum")  # by all processes
            checkpoint["train_matrix"] = seen.cpu()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.is_global_zero:
            self.train_matrix.confmat.copy_(checkpoint["train_matrix"])

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        mask = arg_max_mask(self.network(self.normalise(batch["image"])), batch["mask"].shape[1:])
        self.matrix.update(mask, batch["mask"])

    def on_validation_epoch_end(self) -> None:
        scores = self.matrix.scores()
        self.log_dict({"val/miou": scores.miou, "val/pixel_accuracy": scores.pixel_accuracy}, prog_bar=True)
        self.matrix.reset()

    @torch.inference_mode()
    def predict(
        self,
        images: Sequence[Image],
        tta_scales: Sequence[float] = (1.0,),
        tta_flip: bool = False,
        window: tuple[int, int] | None = None,
    ) -> list[Image]:
        """Masks of images, each at its own size.

        Args:
            images: uint8 [H, W, 3] RGB.
            tta_scales: the network sees the image, or each window of it, at each of these sizes; probabilities are
                averaged.
            tta_flip: also mirrored, averaged likewise.
            window: height and width of a sliding window for images larger than it, see `sliding_window.slide`, or
                None for the whole image at once.

        Returns:
            uint8 [H, W] of class indices, one an image.

        Raises:
            DataError: for tta_scales outside 0.1 to 4, or a window with a side under 32.
        """
        check_options(tta_scales=(tta_scales, 0.1, 4), window=(window, *WINDOW))
        return [self._predict_one(image, tta_scales, tta_flip, window) for image in images]

    def _predict_one(
        self, image: Image, tta_scales: Sequence[float], tta_flip: bool, window: tuple[int, int] | None
    ) -> Image:
        height, width = image.shape[:2]
        if self.spec.shorter_side is not None:
            # a narrow strip does not become a giant
            scale = min(self.spec.shorter_side / min(height, width), MOST_SIDE / math.sqrt(height * width))
            image = resize_image(image, (max(1, round(height * scale)), max(1, round(width * scale))))
        if window is not None and (image.shape[0] > window[0] or image.shape[1] > window[1]):
            return resize_mask(
                slide(lambda patch: self._scores(patch, tta_scales, tta_flip), image, window), (height, width)
            )
        return arg_max_mask(self._scores(image, tta_scales, tta_flip), (height, width))[0].cpu().numpy()

    def _scores(self, image: Image, tta_scales: Sequence[float], tta_flip: bool) -> Tensor:
        """Logits of an image, or averaged probabilities where it is seen several times, [1, classes, h, w].

        The latter are averaged on the logits' own grid, or on every fourth pixel where that is coarser.
        """
        x = self.normalise(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None])
        if tuple(tta_scales) == (1.0,) and not tta_flip:
            return self.network(x)
        height, width = image.shape[:2]
        grid: tuple[int, int] | None = None
        total = torch.zeros((), device=x.device)
        for scale in tta_scales:
            scaled = resize(x, (max(1, round(height * scale)), max(1, round(width * scale))))
            for mirrored in (False, True)[: 1 + tta_flip]:
                logits = self.network(scaled.flip(3)).flip(3) if mirrored else self.network(scaled)
                if grid is None:
                    stride = max(scaled.shape[2:]) / max(logits.shape[2:])
                    cell = min(4, 2 ** max(0, round(math.log2(stride))))
                    grid = -(-height // cell), -(-width // cell)
                total = total + resize(logits, grid).softmax(1)
        return total
