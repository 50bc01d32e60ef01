"""Prediction over files: which pictures a source means, and overlays, masks, JSON or a video written for them."""

import glob
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from datasets import PICTURES, DataError, read_image, write_mask
from datasets.checks import list_faults
from tasks.detection import DetectionTask
from tasks.detection_pictures import draw_boxes
from tasks.pictures import Image, overlay, write_picture
from tasks.segmentation import SegmentationTask

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class Sources:
    """Pictures below a common folder, or one video (a path, or a webcam's number)."""

    folder: Path
    pictures: list[Path]
    video: Path | int | None = None


def find_sources(source: str) -> Sources:
    """What a --source means.

    Args:
        source: a picture, a folder, a glob, a video, "webcam" or "webcam:N".

    Raises:
        DataError: if nothing is there.
    """
    if source == "webcam" or (source.startswith("webcam:") and source[7:].isdigit()):
        return Sources(Path(), [], int(source[7:] or 0))
    path = Path(source)
    if path.is_dir():
        pictures = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES)
        if not pictures:
            raise DataError(f"{path}: no pictures ({', '.join(PICTURES)}) in it")
        return Sources(path, pictures)
    if path.is_file():
        return Sources(path.parent, [path]) if path.suffix.lower() not in VIDEOS else Sources(path.parent, [], path)
    pictures = sorted(Path(name) for name in glob.glob(source, recursive=True) if Path(name).suffix.lower() in PICTURES)
    if not pictures:
        raise DataError(f"{source}: no such picture, folder or video, and no picture matches it as a pattern")
    fixed = Path(re.split(r"[*?\[]", source)[0] + "x").parent  # the folders before the first wildcard
    return Sources(fixed, pictures)


@dataclass(frozen=True)
class Shown:
    """What is written for one picture.

    Attributes:
        kind: what the drawing is called: NAME_kind.png.
        drawing: uint8 [H, W, 3] RGB.
        description: of the result, for NAME.json.
        mask: uint8 [H, W] of class indices for NAME_mask.png, or None.
    """

    kind: str
    drawing: Image
    description: dict[str, Any]
    mask: Image | None = None


Show = Callable[[Image], Shown]


def show_masks(task: SegmentationTask, opacity: float, options: dict[str, Any]) -> Show:
    """Pictures with masks laid over them; `options` are those of `SegmentationTask.predict`."""

    def show(image: Image) -> Shown:
        mask = task.predict([image], **options)[0]
        pixels = np.bincount(mask.ravel(), minlength=len(task.spec.names))
        counts = {name: int(count) for name, count in zip(task.spec.names, pixels, strict=True) if count}
        classes = {name: {"pixels": count, "share": count / mask.size} for name, count in counts.items()}
        return Shown("overlay", overlay(image, mask, task.spec.colours, opacity), {"classes": classes}, mask)

    return show


def show_boxes(task: DetectionTask, threshold: float) -> Show:
    """Pictures with the boxes drawn whose score is above a threshold."""

    def show(image: Image) -> Shown:
        found, names = task.predict([image], threshold)[0], task.spec.names
        drawing = draw_boxes(image, found.boxes, found.labels, names, task.spec.colours, found.scores)
        rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
        objects = [{"class": names[label], "score": score, "box": box} for label, score, box in rows]
        return Shown("boxes", drawing, {"objects": objects})

    return show


def predict_pictures(
    sources: Sources, output: Path, show: Show, colours: list[tuple[int, int, int]], with_json: bool
) -> int:
    """Write NAME_overlay.png and NAME_mask.png, or NAME_boxes.png, and NAME.json if asked; how many were written.

    Pictures that cannot be read are told of together at the end, once the others are done.

    Raises:
        DataError: if some pictures could not be read.
    """
    faults = []
    stems = [path.relative_to(sources.folder).with_suffix("") for path in sources.pictures]
    for path, stem in track(list(zip(sources.pictures, stems, strict=True)), "Predicting", transient=True):
        try:
            image = read_image(path)
        except DataError as error:
            faults.append(str(error))
            continue
        # a.jpg and a.png in one folder would write over each other
        name = (
            path.relative_to(sources.folder).as_posix().replace(".", "_") if stems.count(stem) > 1 else stem.as_posix()
        )
        shown = show(image)
        write_picture(output / f"{name}_{shown.kind}.png", shown.drawing)
        if shown.mask is not None:
            write_mask(output / f"{name}_mask.png", shown.mask, colours)
        if with_json:
            content = {"file": str(path), "height": image.shape[0], "width": image.shape[1], **shown.description}
            (output / f"{name}.json").write_text(json.dumps(content, indent=1))
    if faults:
        raise DataError(list_faults(faults, f"{len(sources.pictures) - len(faults)} pictures written to {output}"))
    return len(sources.pictures)


def predict_video(video: Path | int, output: Path, show: Show, most: int | None) -> Path:
    """Write a video with every frame drawn on, as OUTPUT/NAME_overlay.mp4 or NAME_boxes.mp4.

    A webcam runs until Ctrl-C.

    Raises:
        DataError: if the video or webcam cannot be opened, or has no frames.
    """
    output.mkdir(parents=True, exist_ok=True)
    name = f"webcam{video}" if isinstance(video, int) else video.stem
    written = None
    with _capture(video) as capture:
        writer = None
        rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        try:
            for frame in track(_frames(capture, most), "Predicting", total=_length(capture, most), transient=True):
                image: Any = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                shown = show(image)
                if writer is None:
                    written = output / f"{name}_{shown.kind}.mp4"
                    size = (frame.shape[1], frame.shape[0])
                    writer = cv2.VideoWriter(str(written), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
                writer.write(cv2.cvtColor(shown.drawing, cv2.COLOR_RGB2BGR))
        except KeyboardInterrupt:
            if not isinstance(video, int):
                raise
        finally:
            if writer is not None:
                writer.release()
    if written is None:
        raise DataError(f"{video}: no frame could be read")
    return written


@contextmanager
def _capture(video: Path | int) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(video if isinstance(video, int) else str(video))
    try:
        if not capture.isOpened():
            what = f"webcam {video}" if isinstance(video, int) else str(video)
            raise DataError(f"{what}: cannot be opened")
        yield capture
    finally:
        capture.release()


def _frames(capture: cv2.VideoCapture, most: int | None) -> Iterator[Any]:
    count = 0
    while most is None or count < most:
        there, frame = capture.read()
        if not there:
            return
        count += 1
        yield frame


def _length(capture: cv2.VideoCapture, most: int | None) -> int | None:
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    known = [number for number in (frames, most) if number is not None and number > 0]
    return min(known) if known else None
