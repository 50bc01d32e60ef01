"""Predictions over the frames of a video: what is written and told, of broken ones too."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets import DataError
from tasks import TaskError
from tasks.video_prediction import Unchanged, _Frames, predict_video, tell_film
from tests.tasks.segmentation.test_sliding_window import noise
from tests.tasks.test_prediction import files, show
from tests.tasks.test_writing import files_no_larger_than


def film(path: Path, frames: int, size: tuple[int, int] = (96, 64), codec: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, size)
    for number in range(frames):
        writer.write(np.roll(noise(size[1], size[0]), number, 1))
    writer.release()
    return path


def test_a_video_has_as_many_frames_as_are_told(tmp_path):
    for size in ((96, 64), (97, 65), (2, 2)):
        made = predict_video(film(tmp_path / "film.avi", 5, size), tmp_path / "out", show, None)
        assert made.frames == made.announced == 5 and not made.damaged
        capture = cv2.VideoCapture(str(made.path))
        assert [capture.read()[0] for _ in range(6)] == [True] * 5 + [False]
    assert files(tmp_path / "out") == {"film_overlay.mp4"}


@pytest.mark.parametrize("room", [1000, 40_000])
def test_a_video_on_a_full_disk_is_told(tmp_path, room):
    source = film(tmp_path / "film.avi", 20, (320, 240))
    with (
        files_no_larger_than(room),
        pytest.raises(TaskError, match=r"film_overlay\.mp4: could not be written \(.* fram"),
    ):
        predict_video(source, tmp_path / "out", show, None)
    assert files(tmp_path / "out") == set()


def test_a_video_that_cannot_be_begun_is_told(tmp_path):
    (tmp_path / "out").write_text("a file in place of the folder")
    with pytest.raises(TaskError, match=r"out/film_overlay\.mp4: could not be written"):
        predict_video(film(tmp_path / "film.avi", 2), tmp_path / "out", show, None)


@pytest.mark.parametrize("content", [b"", b"hello\n", None])
def test_what_is_no_video_is_told(tmp_path, content):
    source = tmp_path / "a.mp4"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4: cannot be opened"):
        predict_video(source, tmp_path / "out", show, None)
    assert not (tmp_path / "out").exists()


def test_a_videos_name_that_is_no_text_is_told(tmp_path):
    source = film(tmp_path / "film.avi", 2).rename(tmp_path / b"\xe9.avi".decode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="the name of a video must be UTF-8"):
        predict_video(source, tmp_path / "out", show, None)


def test_an_interrupted_video_leaves_nothing_and_a_webcams_is_kept(tmp_path, monkeypatch):
    shown = 0

    def interrupted(image):
        nonlocal shown
        shown += 1
        if shown == 4:
            raise KeyboardInterrupt
        return show(image)

    source = film(tmp_path / "film.avi", 6)
    with pytest.raises(KeyboardInterrupt):
        predict_video(source, tmp_path / "out", interrupted, None)
    assert files(tmp_path / "out") == set()
    opened, shown = cv2.VideoCapture, 0
    monkeypatch.setattr(cv2, "VideoCapture", lambda name: opened(str(source) if name == 0 else name))
    assert predict_video(0, tmp_path / "out", interrupted, None)[:2] == (tmp_path / "out" / "webcam0_overlay.mp4", 3)
    assert files(tmp_path / "out") == {"webcam0_overlay.mp4"}


class Capture:
    """A video that announces some frames, of which some reads fail."""

    def __init__(self, announced: float, reads: list[bool]) -> None:
        self.announced, self.reads = announced, reads

    def get(self, _):
        return self.announced

    def read(self):
        there = self.reads.pop(0) if self.reads else False
        return there, np.zeros((2, 2, 3), dtype=np.uint8) if there else None


@pytest.mark.parametrize(
    "announced, reads, most, expected",
    [
        (3, [True] * 3, None, (3, False, 3)),
        (9, [True, False, False, True, False, True], None, (3, True, 9)),  # damage amid
        (6, [False, False, False, True] * 2, None, (2, True, 6)),
        (9, [False, True, True], None, (2, True, 9)),  # and at the beginning
        (9, [True] * 4, None, (4, False, 9)),  # cut off, or wrongly announced
        (9, [True, False, True, True], 2, (2, True, 2)),
        (-1, [True, False, True], None, (1, False, None)),  # a webcam that was pulled
        (1e12, [True], None, (1, False, 10**12)),  # ends nevertheless
        (2, [True] * 4, None, (4, False, 2)),
    ],
)
def test_frames_behind_damage_are_read(announced, reads, most, expected):
    frames = _Frames(Capture(announced, reads), most)
    assert (len(list(frames)), frames.damaged, frames.announced) == expected


def test_a_damaged_video_is_kept_as_far_as_it_can_be_read_and_that_is_told(tmp_path, capsys):
    content = film(tmp_path / "a.mp4", 60, (160, 120), "mp4v").read_bytes()
    third, half = len(content) // 3, len(content) // 2
    (tmp_path / "a.mp4").write_bytes(content[:third] + bytes(half - third) + content[half:])
    made = predict_video(tmp_path / "a.mp4", tmp_path / "out", show, None)
    assert 30 < made.frames < made.announced == 60 and made.damaged
    with pytest.raises(DataError, match=r"a\.mp4: is damaged; frames that .* left out of .*out/a_overlay\.mp4$"):
        tell_film(tmp_path / "a.mp4", made, 0)
    assert capsys.readouterr().out.endswith(f"wrote {made.path}, {made.frames} frames of 60 that the video announces\n")
    capture = cv2.VideoCapture(str(made.path))
    assert [capture.read()[0] for _ in range(made.frames + 1)] == [True] * made.frames + [False]


@pytest.mark.parametrize("share", [0.001, 0.6])
def test_a_video_that_was_cut_off_is_told(tmp_path, capsys, share):
    content = film(tmp_path / "film.avi", 20).read_bytes()
    (tmp_path / "film.avi").write_bytes(content[: int(share * len(content))])
    if share < 0.01:
        with pytest.raises(DataError, match=r"film\.avi: cannot be opened"):
            predict_video(tmp_path / "film.avi", tmp_path / "out", show, None)
        return
    made = predict_video(tmp_path / "film.avi", tmp_path / "out", show, None)
    tell_film(tmp_path / "film.avi", made, 4)
    said = f"{made.frames} frames of 20 that the video announces, 4 of them unchanged and not predicted again\n"
    assert capsys.readouterr().out.endswith(f"wrote {made.path}, {said}") and 5 < made.frames < 20


def test_a_video_without_frames_is_told(tmp_path):
    film(tmp_path / "film.avi", 0)
    with pytest.raises(DataError, match=r"film\.avi: no frame could be read"):
        predict_video(tmp_path / "film.avi", tmp_path / "out", show, None)
    assert not (tmp_path / "out").exists()


class Counted:
    """Predicts every image's mean, and counts."""

    spec, calls = "spec", 0

    def predict(self, images, **_):
        self.calls += 1
        return [image.mean() for image in images]


def test_images_like_the_one_before_are_not_predicted_again():
    predictor = Unchanged(Counted())
    image, wide = noise(8, 9), noise(8, 10)
    other = image.copy()
    other[7, 8, 2] ^= 1  # the least change that there is
    for frame in (image, image, other, image, wide, wide, image):
        given = frame.copy()
        assert predictor.predict([given]) == [frame.mean()]
        given[:] = 0  # as what draws into it does
    assert predictor.predictor.calls == 5 and predictor.skipped == 2
