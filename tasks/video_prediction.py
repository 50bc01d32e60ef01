"""Prediction over the frames of a video or a webcam: a video with what was found drawn on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from rich.progress import track

from datasets import DataError
from tasks.drawing import Image
from tasks.prediction import Show
from tasks.writing import whole, write_json

TRIES = 1000  # reads that fail one after the other, after which a video is over


class Film(NamedTuple):
    """What was made of a video.

    Attributes:
        path: of the video with every frame drawn on.
        frames: how many it has.
        announced: how many the source says that it has, `most` at most; None if it does not say. Sources are often
            wrong: what was cut off without encoding it again still counts in an mp4, and Matroska's is an estimate.
        damaged: whether frames of the source could not be read and others after them could. Decoders draw some
            damaged frames as well as they can and say nothing.
        tracks: see `Shown`.
    """

    path: Path
    frames: int
    announced: int | None
    damaged: bool
    tracks: dict[str, Any] | None


class Unchanged:
    """A predictor of a video's frames: one that equals the one before, pixel by pixel, is what that one was.

    Results are the same, sooner. A still scene gives equal frames in lossless recordings, and mostly in H.264, H.265
    and VP9 at their encoders' usual settings; at low quality, or where encoding was hurried, encoders refine it from
    frame to frame, and few or none are equal. A camera's noise never repeats.

    Attributes:
        skipped: how many images were not predicted.
    """

    def __init__(self, predictor: Any) -> None:
        self.predictor, self.spec, self.skipped = predictor, predictor.spec, 0
        self._last: tuple[Image, list[Any]] | None = None

    def predict(self, images: Sequence[Image], **options: Any) -> list[Any]:
        """What the predictor says of one image, whose options stay the same."""
        (image,) = images
        if self._last is not None and np.array_equal(image, self._last[0]):
            self.skipped += 1
        else:
            # a copy, as what shows the image draws into it
            self._last = image.copy(), self.predictor.predict(images, **options)
        return self._last[1]


def predict_video(video: Path | int, output: Path, show: Show, most: int | None, with_json: bool = False) -> Film:
    """Write a video with every frame drawn on, as OUTPUT/NAME_overlay.mp4 or NAME_boxes.mp4, and NAME_tracks.json.

    A webcam runs until Ctrl-C. Frames that cannot be read are left out.

    Args:
        video: a file, or a webcam's number.
        output: folder for the results.
        show: what is made of a frame.
        most: how many frames are read at most.
        with_json: whether to write NAME_tracks.json, if anything is tracked.

    Raises:
        DataError: if the video or webcam cannot be opened, or has no frames, or a name is not UTF-8.
        TaskError: if a result cannot be written.
    """
    name = f"webcam{video}" if isinstance(video, int) else video.stem
    with _capture(video) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
        frames = _Frames(capture, most)
        read = track(frames, "Predicting", total=frames.announced or most, transient=True)
        drawings = (show(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)) for frame in read)  # type: ignore[arg-type]
        first = next(drawings, None)
        if first is None:
            raise DataError(f"{video}: no frame could be read")
        written = output / f"{name}_{first.kind}.mp4"
        with whole(written) as unfinished:
            every = (shown.drawing for shown in chain([first], drawings))
            count = _write_video(unfinished, rate if 1 <= rate <= 240 else 25.0, every, isinstance(video, int))
    tracks = None if first.tracks is None else first.tracks()
    if with_json and tracks is not None:
        write_json(output / f"{name}_tracks.json", {"file": str(video), "frames": count, **tracks}, indent=None)
    return Film(written, count, frames.announced, frames.damaged, tracks)


def tell_film(video: Path | int, film: Film, skipped: int) -> None:
    """Say what was written, how many frames were like the one before, and what was counted.

    Raises:
        DataError: at the end, if the video is damaged.
    """
    missing = film.announced is not None and film.frames < film.announced
    of = f" of {film.announced} that the video announces" if missing else ""
    unchanged = f", {skipped} of them unchanged and not predicted again" if skipped else ""
    print(f"wrote {film.path}, {film.frames} frames{of}{unchanged}")
    if film.tracks is not None:
        counts = [f"{count} {name}" for name, count in film.tracks["counts"].items()]
        print(f"tracked {', '.join(counts) or 'nothing'}")
    if film.damaged:
        raise DataError(f"{video}: is damaged; frames that could not be read are left out of {film.path}")


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
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else a line for every damaged block
    capture = cv2.VideoCapture(video if isinstance(video, int) else _name(video))
    try:
        if not capture.isOpened():
            if isinstance(video, int):
                raise DataError(f"webcam {video}: cannot be opened")
            raise DataError(f"{video}: cannot be opened; it is no video, has no picture, or lacks its end")
        yield capture
    finally:
        capture.release()


class _Frames:
    """The frames of a video, uint8 [H, W, 3] BGR; see `Film`."""

    def __init__(self, capture: cv2.VideoCapture, most: int | None) -> None:
        self.capture, self.most, self.damaged = capture, most, False
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))  # not above 0 if unknown
        known = [number for number in (frames, most) if number is not None and number > 0]
        self.announced = min(known) if frames > 0 else None

    def __iter__(self) -> Iterator[Any]:
        count = failed = 0
        while self.most is None or count < self.most:
            there, frame = self.capture.read()
            if there:
                self.damaged |= failed > 0
                count, failed = count + 1, 0
                yield frame
            # OpenCV gives up at damage, too, and goes on behind it if asked again
            elif failed < min(TRIES, (self.announced or 0) - count):
                failed += 1
            else:
                return
