"""Images of masks for people: overlays, and rows of input, truth and prediction."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tasks.drawing import COLUMNS, ROWS, Image, colour_mask, fit, grid, overlay
from tasks.options import Prediction
from tasks.prediction import LARGE, Show, Shown

WINDOW = (1024, 1024)  # height and width of those that it is predicted in


def show_masks(predictor: Any, options: Prediction) -> Show:
    """Images with masks laid over them.

    Without a window among the options, images above 16 megapixels are predicted in windows of 1024x1024, which is said.
    """
    said = False

    def show(image: Image) -> Shown:
        nonlocal said
        window = options.window
        if window is None and image.shape[0] * image.shape[1] > LARGE:
            window = WINDOW
            if not said:
                print("images above 16 megapixels are predicted in windows of 1024x1024; --window sets other ones")
            said = True
        seen = {"tta_scales": options.tta_scales, "tta_flip": options.tta_flip, "window": window}
        mask = predictor.predict([image], **seen)[0]
        pixels = np.zeros(len(predictor.spec.names), dtype=np.int64)
        for top in range(0, len(mask), ROWS):
            pixels += np.bincount(mask[top : top + ROWS].ravel(), minlength=len(pixels))
        counts = {name: int(count) for name, count in zip(predictor.spec.names, pixels, strict=True) if count}
        classes = {name: {"pixels": count, "share": count / mask.size} for name, count in counts.items()}
        drawing = overlay(image, mask, predictor.spec.colours, options.opacity, out=image)
        return Shown("overlay", drawing, {"classes": classes}, mask)

    return show


def draw_masks(predictor: Any, samples: Iterable[dict[str, Any]], **options: Any) -> Image:
    """Input, truth and prediction of segmentation samples, a row each; `options` are those of `predict`."""
    rows, colours = [], predictor.spec.colours
    for sample in samples:
        image = sample["image"]
        truth, found = colour_mask(sample["mask"], colours), predictor.predict([image], **options)[0]
        rows.append([fit(image), fit(truth), fit(overlay(image, found, colours))])
    return grid(rows, COLUMNS, predictor.spec.names, colours)
