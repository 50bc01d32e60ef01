"""An exported file as it predicts: the same `spec` and `predict(images)` as the checkpoint that it was made from."""

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets import CentreCrop, resize_image
from deploy import numpy_decoding as decoding
from deploy.description import Description
from deploy.extras import DeployError
from deploy.formats import Run
from tasks.detection.detections import Detections
from tasks.wings import WINGS

Image = NDArray[np.uint8]


class Predictor:
    """An exported file.

    Attributes:
        kind: of the task.
        spec: of the network.
        description: what the file says of itself.

    Args:
        description: as read from the file.
        run: runs the file.
    """

    kind: ClassVar[str]

    def __init__(self, description: Description, run: Run) -> None:
        self.description, self.run = description, run
        self.spec = WINGS[self.kind].task.spec_type.from_dict(description.spec)
        self.size = description.size

    def prepare(self, image: Image) -> Image:
        """An image, uint8 [H, W, 3], as the file takes it: [1, h, w, 3]."""
        return resize_image(image, self.size)[None]

    def outputs(self, image: Image) -> dict[str, NDArray[Any]]:
        """Of one image, uint8 [H, W, 3], without the batch's dimension."""
        return {name: value[0] for name, value in self.run(self.prepare(image)).items()}


class ClassificationPredictor(Predictor):
    """A classifier."""

    kind = "classification"

    def prepare(self, image: Image) -> Image:
        return CentreCrop(self.size, self.spec.crop_ratio)(image)[None]

    def predict(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """As `ClassificationTask.predict`."""
        return np.stack([self.outputs(image)["probabilities"] for image in images])


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
        if tuple(tta_scales) != (1.0,) or tta_flip or window is not None:
            raise DeployError("several scales, flips and windows are for a checkpoint, and this is an exported file")
        return [self._mask(image) for image in images]

    def _mask(self, image: Image) -> Image:
        found, size = self.outputs(image), image.shape[:2]
        if "logits" in found:
            return decoding.class_mask(found["logits"], (size[0], size[1]))
        mask: Any = found["mask"]
        return mask if mask.shape == size else cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


class DetectionPredictor(Predictor):
    """A detector, of any output kind."""

    kind = "detection"

    def predict(
        self, images: Sequence[Image], score_threshold: float = 0.001, iou_threshold: float = 0.55
    ) -> list[Detections]:
        """As `DetectionTask.predict`.

        Where the file suppresses boxes itself, its thresholds hold, and `score_threshold` only leaves out more.

        Raises:
            DeployError: for another `iou_threshold` than such a file's.
        """
        return [self._detect(image, score_threshold, iou_threshold) for image in images]

    def _detect(self, image: Image, score_threshold: float, iou_threshold: float) -> Detections:
        found = self.outputs(image)
        if "logits" in found:
            anchors = np.array(self.description.anchors, dtype=np.float32)
            found["boxes"] = decoding.decode_boxes(found["offsets"], anchors)
            found["scores"] = decoding.class_scores(found["logits"], self.spec.sigmoid)
        if "classes" in found:
            if iou_threshold != self.description.thresholds["iou"]:
                raise DeployError(f"iou_threshold {iou_threshold}: the file has {self.description.thresholds['iou']}")
            count = int((found["scores"][: int(found["count"])] > score_threshold).sum())
            boxes, scores, labels = (found[name][:count] for name in ("boxes", "scores", "classes"))
        else:
            boxes, scores, labels = decoding.detect(found["boxes"], found["scores"], score_threshold, iou_threshold)
        height, width = image.shape[:2]
        sides = np.array([width, height] * 2, dtype=np.float32)
        return Detections(boxes * sides, scores, labels.astype(np.int64))


PREDICTORS: dict[str, type[Predictor]] = {
    predictor.kind: predictor for predictor in (ClassificationPredictor, SegmentationPredictor, DetectionPredictor)
}
