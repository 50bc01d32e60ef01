"""Images of masks and boxes together, for people."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from datasets import resize_mask
from tasks.detection.drawing import SHOWN, BoxDrawing, boxed_images, draw_boxes
from tasks.detection.thresholds import shown_above
from tasks.drawing import COLUMNS, Image, batch_images, fit, grid, overlay, sheet
from tasks.errors import TaskError
from tasks.joint.instances import cut_instances
from tasks.options import Prediction
from tasks.prediction import Show, Shown
from tasks.segmentation.drawing import MaskDrawing


def show_joint(predictor: Any, options: Prediction, frames: bool = False) -> Show:
    """Images with masks laid over them, a legend, and the best boxes; see `MaskDrawing` and `BoxDrawing`.

    Raises:
        TaskError: for options that see an image more than once.
    """
    if tuple(options.tta_scales) != (1.0,) or options.tta_flip or options.window is not None:
        raise TaskError("several scales, flips and windows are for segmentation; a joint network takes --tile")
    spec = predictor.spec
    draw_mask = MaskDrawing(spec.names, spec.colours, options, frames)
    draw_found = BoxDrawing(spec.box_names, spec.box_colours, options, shown_above(options.score_threshold, spec))

    def show(image: Image) -> Shown:
        (found,) = predictor.predict([image], score_threshold=draw_found.score_threshold)
        height = len(image)
        shown = draw_mask(image, found.mask)
        shown.drawing[:height] = draw_found(shown.drawing[:height], found.boxes)
        description = {**shown.description, "objects": found.boxes.described(spec.box_names)}
        instances = cut_instances(found, spec.names, spec.box_names) if options.instances else None
        return Shown("joint", shown.drawing, description, found.mask, instances, draw_found.tracks, found)

    return show


def draw_joint(predictor: Any, samples: Iterable[dict[str, Any]]) -> Image:
    """Input, truth and prediction of joint samples, a row each; masks and boxes in the pixels of the sample's image."""
    rows, spec = [], predictor.spec
    for sample in samples:
        image = sample["image"]
        (found,) = predictor.predict([image])
        sure = found.boxes.scores >= SHOWN
        mask = resize_mask(np.asarray(sample["mask"]), image.shape[:2])
        truth = overlay(image, mask, spec.names, spec.colours)
        seen = overlay(image, found.mask, spec.names, spec.colours)
        classes = spec.box_names, spec.box_colours
        truth = draw_boxes(truth, sample["boxes"], sample["labels"], *classes)
        seen = draw_boxes(seen, found.boxes.boxes[sure], found.boxes.labels[sure], *classes, found.boxes.scores[sure])
        rows.append([fit(image), fit(truth), fit(seen)])
    return grid(rows, COLUMNS, spec.names, spec.colours)


def draw_joint_batch(spec: Any, batch: dict[str, Any]) -> Image:
    """See `Wing.draw_batch`: masks are laid over the images, boxes drawn into them; images may have one of the two."""
    images = batch_images(batch)
    masks = batch["mask"][: len(images)].cpu().numpy()
    over = [overlay(image, mask, spec.names, spec.colours) for image, mask in zip(images, masks, strict=True)]
    return sheet(boxed_images(over, batch, spec.box_names, spec.box_colours), spec.names, spec.colours)
