"""Prediction over images: overlays, masks and JSON written for each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets import write_mask
from tasks.drawing import Image
from tasks.errors import TaskError
from tasks.sources import Sources, keep_apart, places, read_images, result_names, unread
from tasks.writing import whole, write_image, write_json

LARGE = 16_000_000  # pixels of an image above which it is not predicted at once


@dataclass(frozen=True)
class Shown:
    """What is written for one image.

    Attributes:
        kind: what the drawing is called: NAME_kind.png.
        drawing: uint8 [H, W, 3] RGB, with a mask's legend below the image.
        description: of the result, for NAME.json.
        mask: uint8 [H, W] of class indices for NAME_mask.png, or None.
        instances: uint16 [H, W] of boxes' numbers for NAME_instances.png, or None.
        tracks: what was tracked up to here in a film, for NAME_tracks.json: counts of classes and boxes; or None.
        found: what the predictor returned for the image.
    """

    kind: str
    drawing: Image
    description: dict[str, Any]
    mask: Image | None = None
    instances: NDArray[np.uint16] | None = None
    tracks: Callable[[], dict[str, Any]] | None = None
    found: Any = None


Show = Callable[[Image], Shown]  # may draw into the image that it is given


def predict_images(
    sources: Sources, output: Path, show: Show, colours: list[tuple[int, int, int]], with_json: bool
) -> int:
    """Write NAME_overlay.png and NAME_mask.png, or NAME_boxes.png, and NAME.json if asked; how many were written.

    Images that cannot be read are told of together at the end, once the others are done.

    Raises:
        DataError: if some images could not be read.
        TaskError: if results cannot be written, or would be written over an image.
    """
    faults: list[str] = []
    count, sources_at = 0, places(sources.image_paths)
    names = dict(zip(sources.image_paths, result_names(sources), strict=True))
    try:
        for path, image in read_images(sources.image_paths, faults):
            shown = show(image)
            del image  # neither it nor what was made of it stays while the next one is read
            _write_shown(shown, path, output / names[path], sources_at, colours, with_json)
            del shown
            count += 1
    except TaskError as error:
        raise TaskError(f"{error}; {_told(count, output)} before that") from None
    if faults:
        raise unread(faults, _told(count, output))
    return count


def _told(count: int, output: Path) -> str:
    return f"wrote predictions for {count} images to {output}"


def _write_shown(
    shown: Shown, path: Path, stem: Path, sources_at: set[Path], colours: list[tuple[int, int, int]], with_json: bool
) -> None:
    drawing, mask, instances = (Path(f"{stem}_{what}.png") for what in (shown.kind, "mask", "instances"))
    wanted = [mask] * (shown.mask is not None) + [instances] * (shown.instances is not None)
    keep_apart([drawing, *wanted], sources_at)
    write_image(drawing, shown.drawing, spend=True)
    if shown.instances is not None:
        with whole(instances) as unfinished:
            unfinished.write_bytes(cv2.imencode(".png", shown.instances)[1].tobytes())
    if shown.mask is not None:
        with whole(mask) as unfinished:
            write_mask(unfinished, shown.mask, colours)
    if with_json:
        height, width = (shown.drawing if shown.mask is None else shown.mask).shape[:2]
        write_json(Path(f"{stem}.json"), {"file": str(path), "height": height, "width": width, **shown.description})
