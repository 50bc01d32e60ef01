"""Prediction over the frames of a video or a webcam: a video with what was found drawn on."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
from rich.progress import track

from datasets import DataError
from tasks.drawing import Image
from tasks.prediction import Show
from tasks.writing import whole


def predict_video(video: Path | int, output: Path, show: Show, most: int | None) -> tuple[Path, int]:
    """Write a video with every frame drawn on, as OUTPUT/NAME_overlay.mp4 or NAME_boxes.mp4.

    A webcam runs until Ctrl-C.

    Returns:
        The file, and how many frames it has.

    Raises:
        DataError: if the video or webcam cannot be opened, or has no frames, or a name is not UTF-8.
        TaskError: if the result cannot be written.
    """
    name = f"webcam{video}" if isinstance(video, int) else video.stem
    with _capture(video) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
        frames = track(_frames(capture, most), "Predicting", total=_length(capture, most), transient=True)
        drawings = (show(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)) for frame in frames)  # type: ignore[arg-type]
        first = next(drawings, None)
        if first is None:
            raise DataError(f"{video}: no frame could be read")
        written = output / f"{name}_{first.kind}.mp4"
        with whole(written) as unfinished:
            every = (shown.drawing for shown in chain([first], drawings))
            count = _write_video(unfinished, rate if 1 <= rate <= 240 else 25.0, every, isinstance(video, int))
    return written, count


def _write_video(path: Path, rate: float, drawings: Iterator[Image], until_interrupted: bool) -> int:
    """Write frames, uint8 [H, W, 3] RGB, one at least; how many there were.

    Raises:
        OSError: if the video does not hold them all, of which OpenCV says nothing.
    """
    first = next(drawings)
    writer = cv2.VideoWriter(_name(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (first.shape[1], first.shape[0]))
    if not writer.isOpened():
        raise OSError(f"no video of {first.shape[1]}x{first.shape[0]} can be made here")
    count = 0
    try:
        for drawing in chain([first], drawings):
            writer.write(cv2.cvtColor(drawing, cv2.COLOR_RGB2BGR))
            count += 1
    except KeyboardInterrupt:
        if not until_interrupted:
            raise
    finally:
        writer.release()
    capture = cv2.VideoCapture(str(path))
    arrived = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    capture.set(cv2.CAP_PROP_POS_FRAMES, count - 1)
    last = capture.read()[0]
    capture.release()
    if arrived != count or not last:
        raise OSError(f"{arrived} of {count} frames arrived; is the disk full?")
    return count


def _name(video: Path) -> str:
    """A file's name for OpenCV, which crashes at one that is no text."""
    try:
        return str(video).encode().decode()
    except UnicodeEncodeError:
        raise DataError(f"{video}: the name of a video must be UTF-8; rename it") from None


@contextmanager
def _capture(video: Path | int) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(video if isinstance(video, int) else _name(video))
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
