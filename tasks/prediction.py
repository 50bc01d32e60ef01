"""Prediction over files: which pictures a source means, and overlays, masks, JSON or a video written for them."""

import glob
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from datasets import PICTURES, DataError, read_image, write_mask
from datasets.checks import list_faults
from tasks.pictures import overlay, write_picture
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


def predict_pictures(
    task: SegmentationTask, sources: Sources, output: Path, opacity: float, with_json: bool, options: dict[str, Any]
) -> int:
    """Write NAME_overlay.png, NAME_mask.png and, if asked, NAME.json of every picture; how many were written.

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
        mask = task.predict([image], **options)[0]
        write_picture(output / f"{name}_overlay.png", overlay(image, mask, task.spec.colours, opacity))
        write_mask(output / f"{name}_mask.png", mask, task.spec.colours)
        if with_json:
            (output / f"{name}.json").write_text(json.dumps(_describe(path, mask, task.spec.names), indent=1))
    if faults:
        raise DataError(list_faults(faults, f"{len(sources.pictures) - len(faults)} pictures written to {output}"))
    return len(sources.pictures)


def _describe(path: Path, mask: NDArray[np.uint8], names: list[str]) -> dict[str, Any]:
    pixels = np.bincount(mask.ravel(), minlength=len(names))
    classes = {
        name: {"pixels": int(n), "share": float(n / mask.size)} for name, n in zip(names, pixels, strict=True) if n
    }
    return {"file": str(path), "height": mask.shape[0], "width": mask.shape[1], "classes": classes}


def predict_video(
    task: SegmentationTask, video: Path | int, output: Path, opacity: float, most: int | None, options: dict[str, Any]
) -> Path:
    """Write a video with every frame overlaid, as OUTPUT/NAME_overlay.mp4; a webcam runs until Ctrl-C.

    Raises:
        DataError: if the video or webcam cannot be opened, or has no frames.
    """
    output.mkdir(parents=True, exist_ok=True)
    written = output / (f"webcam{video}_overlay.mp4" if isinstance(video, int) else f"{video.stem}_overlay.mp4")
    with _capture(video) as capture:
        writer, count = None, 0
        rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        try:
            for frame in track(_frames(capture, most), "Predicting", total=_length(capture, most), transient=True):
                image: Any = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                mask = task.predict([image], **options)[0]
                if writer is None:
                    size = (frame.shape[1], frame.shape[0])
                    writer = cv2.VideoWriter(str(written), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
                writer.write(cv2.cvtColor(overlay(image, mask, task.spec.colours, opacity), cv2.COLOR_RGB2BGR))
                count += 1
        except KeyboardInterrupt:
            if not isinstance(video, int):
                raise
        finally:
            if writer is not None:
                writer.release()
    if not count:
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
