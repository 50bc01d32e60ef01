"""Images of classifications for people: sheets of images with captions, and samples with truth and prediction."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from datasets import resize_image
from tasks.drawing import Image, batch_images

FONT = cv2.FONT_HERSHEY_SIMPLEX
SIDE, LINE, GAP = 112, 15, 6  # of a cell, a line of its caption, and what separates cells, in pixels
RIGHT, WRONG = (0, 110, 0), (190, 0, 0)


def contact_sheet(
    images: Sequence[Image],
    captions: Sequence[Sequence[str]],
    colours: Sequence[tuple[int, int, int]],
    columns: int = 8,
) -> Image:
    """Images in rows, each with the lines of its caption below it; uint8 [H, W, 3] RGB.

    Args:
        images: uint8 [H, W, 3] RGB of any size, one at least; each is fitted into a square cell.
        captions: as many lines for every image.
        colours: of each image's caption.
        columns: images in a row.
    """
    columns = min(columns, len(images))
    height, width = SIDE + LINE * len(captions[0]) + GAP, SIDE + GAP
    sheet = np.full((-(-len(images) // columns) * height, columns * width, 3), 255, dtype=np.uint8)
    for index, (image, lines, colour) in enumerate(zip(images, captions, colours, strict=True)):
        top, left = index // columns * height, index % columns * width
        cell = sheet[top : top + height, left : left + width]
        fitted = thumbnail(image)
        down, right = (SIDE - fitted.shape[0]) // 2, (SIDE - fitted.shape[1]) // 2
        cell[down : down + fitted.shape[0], right : right + fitted.shape[1]] = fitted
        for number, text in enumerate(lines, start=1):
            cv2.putText(cell, _cut(text), (1, SIDE + number * LINE - 3), FONT, 0.38, colour, 1, cv2.LINE_AA)
    return sheet


def thumbnail(image: Image) -> Image:
    """An image, uint8 [H, W, 3], at the size that it has in a cell."""
    scale = SIDE / max(image.shape[:2])
    return resize_image(image, (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))))


def _cut(text: str) -> str:
    """What of a line fits below a cell."""
    while cv2.getTextSize(text, FONT, 0.38, 1)[0][0] > SIDE:
        text = text[:-1]
    return text


def draw_labels(predictor: Any, samples: Sequence[dict[str, Any]]) -> Image:
    """Samples with their class, and below it what is predicted: green where that is right, red where not."""
    probabilities, names = predictor.predict([sample["image"] for sample in samples]), predictor.spec.names
    predicted = probabilities.argmax(1)
    captions = [
        (names[sample["label"]], f"{names[label]} {100 * found[label]:.0f} %")
        for sample, label, found in zip(samples, predicted, probabilities, strict=True)
    ]
    colours = [RIGHT if s["label"] == label else WRONG for s, label in zip(samples, predicted, strict=True)]
    return contact_sheet([sample["image"] for sample in samples], captions, colours)


def draw_label_batch(spec: Any, batch: dict[str, Any]) -> Image:
    """See `Wing.draw_batch`: below each image its class, or the two that were mixed in it with their shares."""
    images = batch_images(batch)
    captions: list[list[str]] = [[spec.names[label], ""] for label in batch["label"][: len(images)].tolist()]
    for target, lines in zip(batch.get("target", ()), captions, strict=False):
        shares, classes = (found.tolist() for found in target.topk(min(2, len(target))))
        mixed = [f"{spec.names[at]} {100 * share:.0f} %" for share, at in zip(shares, classes, strict=True) if share]
        lines[: len(mixed)] = mixed
    return contact_sheet(images, captions, [(0, 0, 0)] * len(images), columns=4)
