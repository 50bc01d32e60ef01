"""An exported file as it predicts: the same `spec` and `predict(images)` as the checkpoint that it was made from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from datasets import CentreCrop, resize_image, resize_mask
from deploy import numpy_decoding as decoding
from deploy.description import Description
from deploy.extras import DeployError
from deploy.formats import Run
from deploy.mediapipe_outputs import own_outputs
from tasks.detection.detections import Detections
from tasks.joint.task import Joint
from tasks.wings import WINGS

Image = NDArray[np.uint8]
Outputs = dict[str, NDArray[Any]]


class Predictor(ABC):
    """An exported file: `decode(run(prepare(image)), size)` for each image.

    Attributes:
        kind: of the task.
        spec: of the network.
        description: what the file says of itself.

    Args:
        description: as read from the file.
        run: runs the file: uint8 [1, H, W, 3] -> its outputs by name.
    """

    kind: ClassVar[str]

    def __init__(self, description: Description, run: Run) -> None:
        self.description, self.run = description, run
        self.spec = WINGS[self.kind].task.spec_type.from_dict(description.spec)
        self.size = description.size
        self.anchors = np.array(description.anchors or [], dtype=np.float32)

    def __call__(self, images: Any, **options: Any) -> list[Any]:
        """A `tasks.results.Result` for each image, see `tasks.wing.Wing.results`."""
        return WINGS[self.kind].results(self, images, **options)  # type: ignore[arg-type]

    def prepare(self, image: Image) -> Image:
        """uint8 [H, W, 3] of any size -> uint8 [1, height, width, 3], as the file takes it."""
        return resize_image(image, self.size)[None]

    @abstractmethod
    def decode(self, found: Outputs, size: tuple[int, int]) -> Any:
        """What the outputs for one image, [1, ...] each, mean in an image of `size`, its height and width."""


class ClassificationPredictor(Predictor):
    """A classifier."""

    kind = "classification"

    def prepare(self, image: Image) -> Image:
        return CentreCrop(self.size, self.spec.crop_ratio)(image)[None]

    def predict(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """As `ClassificationTask.predict`."""
        return np.stack([self.decode(self.run(self.prepare(image)), self.size) for image in images])

    def decode(self, found: Outputs, size: tuple[int, int]) -> NDArray[np.float32]:
        """float32 [classes]."""
        return found["probabilities"][0]


def require_one_view(tta_scales: Sequence[float], tta_flip: bool, window: tuple[int, int] | None) -> None:
    """Refuse what `SegmentationTask.predict` has beyond one look at the whole image.

    Raises:
        DeployError: if it is asked for.
    """
    if tuple(tta_scales) != (1.0,) or tta_flip or window is not None:
        raise DeployError("several scales, flips and windows are for a checkpoint, and this is an exported file")


class SegmentationPredictor(Predictor):
    """A segmentation network, of either output kind."""

    kind = "segmentation"

    def predict(
        self,
        images: Sequence[Image],
        tta_scales: Sequence[float] = (1.0,),
        tta_flip: bool = False,
        window: tuple[int, int] | None = None,
    ) -> list[Image]:
        """As `SegmentationTask.predict`, but that every image is stretched to the one size of the file.

        Raises:
            DeployError: for other scales, flips or windows, which are for a checkpoint.
        """
        require_one_view(tta_scales, tta_flip, window)
        return [self.decode(self.run(self.prepare(image)), image.shape[:2]) for image in images]

    def decode(self, found: Outputs, size: tuple[int, int]) -> Image:
        """uint8 [height, width] of class indices."""
        return decode_mask(found, "logits", size)


def decode_mask(found: Outputs, logits: str, size: tuple[int, int]) -> Image:
    """A mask at an image's size, out of the outputs for it: their logits under a name, or mask."""
    if logits in found:
        return decoding.class_mask(found[logits][0], size)
    mask: Any = found["mask"][0]
    return mask if mask.shape == size else resize_mask(mask, size)


class DetectionPredictor(Predictor):
    """A detector, of any output kind."""

    kind = "detection"

    def predict(
        self, images: Sequence[Image], score_threshold: float = 0.001, iou_threshold: float = 0.55
    ) -> list[Any]:
        """As `predict` of the task.

        Where the file suppresses boxes itself, its thresholds hold, and `score_threshold` only leaves out more.

        Raises:
            DeployError: for another `iou_threshold` than such a file's.
        """
        thresholds = score_threshold, iou_threshold
        return [self.decode(self.run(self.prepare(image)), image.shape[:2], *thresholds) for image in images]

    def decode(
        self, found: Outputs, size: tuple[int, int], score_threshold: float = 0.001, iou_threshold: float = 0.55
    ) -> Any:
        """Detections in pixels of the image."""
        found = {name: value[0] for name, value in found.items()}
        if self.description.target == "mediapipe":
            found = own_outputs(found)
        if "offsets" in found:
            found["boxes"] = decoding.decode_boxes(found["offsets"], self.anchors)
        if "logits" in found:
            found["scores"] = decoding.class_scores(found["logits"], self.spec.sigmoid)
        if "classes" in found:
            if iou_threshold != self.description.thresholds["iou"]:
                raise DeployError(f"iou_threshold {iou_threshold}: the file has {self.description.thresholds['iou']}")
            count = int((found["scores"][: int(found["count"])] > score_threshold).sum())
            boxes, scores, labels = (found[name][:count] for name in ("boxes", "scores", "classes"))
        else:
            boxes, scores, labels = decoding.detect(found["boxes"], found["scores"], score_threshold, iou_threshold)
        height, width = size
        sides = np.array([width, height] * 2, dtype=np.float32)
        return Detections(boxes * sides, scores, labels.astype(np.int64))


class JointPredictor(DetectionPredictor):
    """A joint network, of any output kind."""

    kind = "joint"

    def decode(
        self, found: Outputs, size: tuple[int, int], score_threshold: float = 0.001, iou_threshold: float = 0.55
    ) -> Joint:
        """The mask, and detections in pixels of the image."""
        boxes = super().decode(found, size, score_threshold, iou_threshold)
        return Joint(decode_mask(found, "mask_logits", size), boxes)


PREDICTORS: dict[str, type[Predictor]] = {
    predictor.kind: predictor
    for predictor in (ClassificationPredictor, SegmentationPredictor, DetectionPredictor, JointPredictor)
}
