"""Masks over images: what is painted, what is not, and the legend."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from datasets import read_image
from tasks.legend import draw_corner, entry_width, legend
from tasks.options import Prediction
from tasks.prediction import predict_images
from tasks.segmentation.drawing import draw_masks, show_masks
from tasks.sources import find_sources
from tasks.video_prediction import predict_video
from tests.tasks.segmentation.test_sliding_window import noise

NAMES, COLOURS = ["background", "cat", "dog", "cow"], [(0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200)]


class Stand:
    """Predicts one mask after the other."""

    def __init__(self, *masks, names=NAMES) -> None:
        self.spec, self.masks = SimpleNamespace(names=names, colours=COLOURS), [*masks]

    def predict(self, images, **_):
        return [self.masks.pop(0) for _ in images]


def mask_of(value: int, height: int = 90, width: int = 120) -> np.ndarray:
    """Background, with a square of a class at the lower right."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height - 40 :, width - 40 :] = value
    return mask


def has(drawing: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((drawing == colour).all(2).any())


@pytest.mark.parametrize("background", ["background", "Background", "_background_"])
def test_background_and_void_are_the_image_itself_and_the_rest_is_painted(background):
    image, mask = noise(90, 120), mask_of(1)
    mask[:10] = 255
    shown = show_masks(Stand(mask, names=[background, *NAMES[1:]]), Prediction(opacity=0.5))(image.copy())
    untouched = mask != 1
    assert np.array_equal(shown.drawing[:90][untouched], image[untouched])
    expected = 0.5 * np.array(COLOURS[1]) + 0.5 * image[~untouched]
    assert np.abs(shown.drawing[:90][~untouched] - expected).max() <= 1


def test_a_first_class_of_another_name_is_painted():
    image = np.full((90, 120, 3), 200, dtype=np.uint8)
    drawing = show_masks(Stand(mask_of(1), names=["sky", *NAMES[1:]]), Prediction(opacity=0.5))(image.copy()).drawing
    assert (drawing[:50] == 100).all() and has(drawing[90:], COLOURS[0])


def test_the_legend_has_the_classes_that_are_painted():
    shown = show_masks(Stand(mask_of(2)), Prediction())(noise(90, 120))
    strip = shown.drawing[90:]
    assert [has(strip, colour) for colour in COLOURS[1:]] == [False, True, False]
    assert len(strip) == 26 and has(strip, (255, 255, 255))


def test_nothing_painted_needs_no_legend():
    image = noise(90, 120)
    assert np.array_equal(show_masks(Stand(mask_of(0)), Prediction())(image.copy()).drawing, image)


def test_files_have_the_legend_and_json_has_the_images_size(tmp_path):
    image, mask = noise(90, 120), mask_of(3)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    sources = find_sources(str(tmp_path / "a.png"), tmp_path / "out")
    predict_images(sources, tmp_path / "out", show_masks(Stand(mask), Prediction()), COLOURS, True)
    written, source = read_image(tmp_path / "out" / "a_overlay.png"), read_image(tmp_path / "a.png")
    assert np.array_equal(written[:90][mask == 0], source[mask == 0])
    assert has(written[90:], COLOURS[3])
    assert '"height": 90,\n "width": 120' in (tmp_path / "out" / "a.json").read_text()


def test_frames_keep_their_size_and_the_classes_that_were_seen(tmp_path):
    masks = [mask_of(0), mask_of(1), mask_of(2)]
    show = show_masks(Stand(*masks), Prediction(), frames=True)
    frames = [show(np.full((90, 120, 3), 90, dtype=np.uint8)).drawing for _ in masks]
    assert all(frame.shape == (90, 120, 3) for frame in frames)
    corners = [frame[:50, :60] for frame in frames]
    assert (corners[0] == 90).all() and has(corners[1], COLOURS[1]) and not has(corners[1], COLOURS[2])
    assert has(corners[2], COLOURS[1]) and has(corners[2], COLOURS[2])


def test_a_video_keeps_its_size(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (120, 90))
    for _ in range(2):
        writer.write(noise(90, 120))
    writer.release()
    show = show_masks(Stand(mask_of(0), mask_of(2)), Prediction(), frames=True)
    made = predict_video(tmp_path / "a.avi", tmp_path, show, None)
    capture = cv2.VideoCapture(str(made.path))
    assert made.frames == 2 and [capture.get(side) for side in (3, 4)] == [120, 90]


def test_grids_name_what_occurs_in_truth_or_prediction():
    truth = mask_of(1)
    truth[0] = 255
    sheet = draw_masks(Stand(mask_of(2)), [{"image": np.full((90, 120, 3), 90, np.uint8), "mask": truth}])
    below = sheet[26 + 96 :]
    assert [has(below, colour) for colour in COLOURS] == [True, True, True, False]
    width = sum(entry_width(name) for name in ("background", "cat", "dog", "void"))
    lines = -(-width // sheet.shape[1])
    assert len(below) >= 26 * lines


@pytest.mark.parametrize("width", [1, 20, 90, 400, 3000])
def test_legends_of_any_width_have_every_colour(width):
    size = max(1.0, width / 1000)
    drawn = legend(NAMES, COLOURS, width, size)
    assert drawn.shape[1] == width and len(drawn) % round(26 * size) == 0
    assert width < 20 or all(has(drawn, colour) for colour in COLOURS)


def test_a_corner_is_cut_to_the_image():
    image = np.full((40, 30, 3), 90, dtype=np.uint8)
    draw_corner(image, NAMES, COLOURS)
    assert has(image, COLOURS[1]) and (image[:6] == 90).all() and (image[:, :6] == 90).all()
    draw_corner(np.zeros((2, 2, 3), dtype=np.uint8), NAMES, COLOURS)
