"""A .tflite run by MediaPipe Tasks, as an app on a phone runs it: the whole image goes in, results come out.

What MediaPipe does otherwise than training did is its own: it resizes with bilinear interpolation, never by averaging,
gives boxes in whole pixels, and enlarges logits with their corners aligned. Its default for the classifier is the
image stretched; the middle of it, which training's evaluation takes, is asked for here as a region of interest.
"""

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from datasets.faults import one_line
from deploy.description import Description
from deploy.extras import DeployError, require
from deploy.predictors import require_one_view
from tasks.detection.detections import Detections
from tasks.wings import WINGS

Image = NDArray[np.uint8]
EXTRA = "test-phone"
RAW_IOU = 0.3  # of MediaPipe's own non-maximum suppression, over all classes


class MediapipePredictor:
    """A file for MediaPipe Tasks.

    Attributes:
        kind: of the task.
        spec: of the network.
        description: what the file says of itself.

    Args:
        path: of the file.
        description: as read from it.

    Raises:
        DeployError: if MediaPipe is not installed, or cannot load the file.
    """

    kind: ClassVar[str]
    task_name: ClassVar[str]  # as MediaPipe has it
    options: ClassVar[dict[str, Any]]  # of the task

    def __init__(self, path: Path, description: Description) -> None:
        self.description = description
        self.spec = WINGS[self.kind].task.spec_type.from_dict(description.spec)
        self.mediapipe = require("mediapipe", EXTRA, "--runtime mediapipe")
        self.tasks = require("mediapipe.tasks.python", EXTRA, "--runtime mediapipe")
        base = self.tasks.BaseOptions(model_asset_path=str(path))
        options = getattr(self.tasks.vision, f"{self.task_name}Options")(base_options=base, **self.options)
        try:
            self.runner = getattr(self.tasks.vision, self.task_name).create_from_options(options)
        except Exception as error:
            raise DeployError(f"{path}: MediaPipe cannot load it ({one_line(error)})") from None
        weakref.finalize(self, self.runner.close)  # which fails once Python has begun to end

    def __call__(self, images: Any, **options: Any) -> list[Any]:
        """As every predictor's: a `tasks.results.Result` for each image."""
        return WINGS[self.kind].results(self, images, **options)  # type: ignore[arg-type]

    def image(self, image: Image) -> Any:
        """MediaPipe's own image of uint8 [H, W, 3].

        Raises:
            DeployError: for one that is a single pixel wide, at which MediaPipe ends the process.
        """
        if image.shape[1] == 1:
            raise DeployError("--runtime mediapipe: takes no images that are one pixel wide, of which this is one")
        content = np.ascontiguousarray(image)
        return self.mediapipe.Image(image_format=self.mediapipe.ImageFormat.SRGB, data=content)


class MediapipeClassifier(MediapipePredictor):
    """ImageClassifier."""

    kind, task_name, options = "classification", "ImageClassifier", {"max_results": -1}

    def predict(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """As `ClassificationTask.predict`."""
        return np.stack([self._probabilities(image) for image in images])

    def _probabilities(self, image: Image) -> NDArray[np.float32]:
        found = self.runner.classify(self.image(image), self._middle(image)).classifications[0].categories
        probabilities = np.zeros(len(self.spec.names), dtype=np.float32)
        probabilities[[category.index for category in found]] = [category.score for category in found]
        return probabilities

    def _middle(self, image: Image) -> Any:
        """The window of `datasets.CentreCrop`, in shares of the image's sides."""
        (height, width), (rows, columns) = image.shape[:2], self.description.size
        scale = self.spec.crop_ratio * min(height / rows, width / columns)
        down, across = rows * scale / height / 2, columns * scale / width / 2
        containers = require("mediapipe.tasks.python.components.containers.rect", EXTRA, "--runtime mediapipe")
        rectangle = containers.RectF(left=0.5 - across, right=0.5 + across, top=0.5 - down, bottom=0.5 + down)
        return self.tasks.vision.ImageProcessingOptions(region_of_interest=rectangle)


class MediapipeSegmenter(MediapipePredictor):
    """ImageSegmenter."""

    kind, task_name = "segmentation", "ImageSegmenter"
    options: ClassVar[dict[str, Any]] = {"output_category_mask": True, "output_confidence_masks": False}

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
        return [self._mask(image) for image in images]

    def _mask(self, image: Image) -> Image:
        mask: Image = self.runner.segment(self.image(image)).category_mask.numpy_view()
        return mask.reshape(image.shape[:2]).copy()


class MediapipeDetector(MediapipePredictor):
    """ObjectDetector."""

    kind, task_name, options = "detection", "ObjectDetector", {"max_results": -1}

    def predict(
        self, images: Sequence[Image], score_threshold: float = 0.001, iou_threshold: float = 0.55
    ) -> list[Detections]:
        """As `DetectionTask.predict`, with boxes of whole pixels, by the thresholds of the file.

        `score_threshold` only leaves out more. Of a raw detector MediaPipe suppresses boxes itself, at 0.3.

        Raises:
            DeployError: for another `iou_threshold` than the default, where it is not the file's.
        """
        own = self.description.thresholds.get("iou", RAW_IOU)
        if iou_threshold not in (own, 0.55):
            raise DeployError(f"iou_threshold {iou_threshold}: the file has {own}")
        return [self._detect(image, score_threshold) for image in images]

    def _detect(self, image: Image, score_threshold: float) -> Detections:
        found = [one for one in self.runner.detect(self.image(image)).detections if one.categories]
        found = sorted(found, key=lambda one: -one.categories[0].score)
        found = [one for one in found if one.categories[0].score > score_threshold]
        corners = [
            (box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height)
            for box in (one.bounding_box for one in found)
        ]
        height, width = image.shape[:2]
        sides = np.array([width, height] * 2, dtype=np.float32)
        return Detections(
            np.array(corners, dtype=np.float32).reshape(-1, 4).clip(0, sides),
            np.array([one.categories[0].score for one in found], dtype=np.float32),
            np.array([self.spec.names.index(one.categories[0].category_name) for one in found], dtype=np.int64),
        )


PREDICTORS: dict[str, type[MediapipePredictor]] = {
    predictor.kind: predictor for predictor in (MediapipeClassifier, MediapipeSegmenter, MediapipeDetector)
}


def open_mediapipe(path: Path, description: Description) -> MediapipePredictor:
    """Run a file with MediaPipe Tasks.

    Raises:
        DeployError: if it was not exported for them, or they are not installed, or cannot load it.
    """
    if description.target != "mediapipe":
        raise DeployError(
            f"--runtime mediapipe: {path} lacks its metadata; export the checkpoint with --target mediapipe"
        )
    return PREDICTORS[description.task](path, description)
