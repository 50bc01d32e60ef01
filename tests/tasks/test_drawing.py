"""What is drawn for people, of images as long and thin, or as large, as they come."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from datasets import CentreCrop
from tasks import drawing as module
from tasks.classification.drawing import SIDE, contact_sheet, draw_labels
from tasks.classification.prediction import show_labels
from tasks.detection.detections import Detections
from tasks.detection.drawing import draw_boxes, draw_detections, show_boxes
from tasks.drawing import CELL, fit, grid, overlay
from tasks.options import Prediction
from tasks.segmentation.drawing import draw_masks, show_masks
from tests.tasks.segmentation.test_sliding_window import Places, noise, stand_in

THIN = [(1, 1), (1, 3000), (3000, 1), (2, 700), (40, 9000)]
COLOURS = [(200, 30, 30), (250, 240, 60)]


class Stand:
    """Predicts one answer for every image."""

    def __init__(self, answer) -> None:
        self.spec, self.answer = SimpleNamespace(**vars(stand_in(Places(8, 2), 2).spec), score_threshold=None), answer

    def predict(self, images, **_):
        for image in images:
            assert CentreCrop((32, 32))(image).shape == (32, 32, 3)
        return (
            np.stack([self.answer(image) for image in images]) if self.answer is share else [*map(self.answer, images)]
        )


def share(_):
    return np.float32([0.25, 0.75])


def all_of_it(image):
    height, width = image.shape[:2]
    boxes = np.float32([[0, 0, width, height], [width / 3, height / 3, width / 3, height / 3]])
    return Detections(boxes, np.float32([0.9, 0.4]), np.array([0, 1]))


@pytest.mark.parametrize("size", THIN)
def test_long_thin_images_are_drawn(size):
    image, mask = noise(*size), np.ones(size, dtype=np.uint8)
    segmenter, detector, classifier = stand_in(Places(8, 2), 2), Stand(all_of_it), Stand(share)
    boxes, labels = all_of_it(image).boxes, np.array([0, 1])
    shown = [
        show_masks(segmenter, Prediction(), frames=True)(image.copy()),
        show_boxes(detector, Prediction())(image),
    ]
    assert all(one.drawing.shape == image.shape for one in shown)
    assert min(show_labels(classifier)(image).drawing.shape[:2]) >= min(size)  # small ones are enlarged
    below = show_masks(segmenter, Prediction())(image.copy())
    assert below.drawing.shape[1] == size[1] and below.drawing.shape[0] > size[0] and below.mask.shape == size
    sheets = [
        draw_masks(segmenter, [{"image": image, "mask": mask}]),
        draw_detections(detector, [{"image": image, "boxes": boxes, "labels": labels}]),
        draw_labels(classifier, [{"image": image, "label": 1}]),
        contact_sheet([image] * 9, [("one", "two")] * 9, [(0, 0, 0)] * 9),
    ]
    assert all(sheet.ndim == 3 and min(sheet.shape[:2]) > 26 and max(sheet.shape) < 2000 for sheet in sheets)


def test_grids_of_images_of_all_sizes_show_each_of_them():
    rows = [[np.full((*size, 3), 10 * number, dtype=np.uint8)] for number, size in enumerate(THIN, start=1)]
    sheet = grid(rows, ["input"], ["a class"], COLOURS[:1])
    for number in range(1, len(THIN) + 1):
        assert (sheet == 10 * number).all(2).any()


def test_a_title_can_be_read_over_a_narrow_image():
    sheet = grid([[noise(20, 1)] * 3], ["input", "truth", "prediction"], ["a class"], COLOURS[:1])
    needed = cv2.getTextSize("prediction", cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0]
    ink = (sheet[:26, 2 * sheet.shape[1] // 3 :] < 128).all(2).any(0)
    assert np.ptp(np.flatnonzero(ink)) > needed - 8


@pytest.mark.parametrize("size", [*THIN, (30, 40), (2000, 1000), (1000, 2000)])
def test_what_is_fitted_keeps_its_shape_as_far_as_pixels_go(size):
    fitted = fit(noise(*size))
    assert 1 <= fitted.shape[0] <= CELL[0] and 1 <= fitted.shape[1] <= CELL[1]
    shrink = min(1, CELL[0] / size[0], CELL[1] / size[1])
    assert np.allclose(fitted.shape[:2], np.maximum(1, np.multiply(size, shrink)), atol=0.5)


def test_boxes_in_a_strip_have_lines_and_letters_that_leave_it_seen():
    image = np.full((100, 3000, 3), 90, dtype=np.uint8)
    drawn = draw_boxes(image, np.float32([[1000, 5, 2000, 95]]), np.array([0]), ["cell"], COLOURS, np.float32([0.9]))
    assert (drawn != 90).any(2).mean() < 0.05


def test_overlays_by_rows_are_the_whole(monkeypatch):
    image, mask = noise(70, 31), np.random.default_rng(0).choice([0, 1, 255], (70, 31)).astype(np.uint8)
    whole = overlay(image, mask, ["a", "b"], COLOURS, 0.4)
    expected = np.where((mask == 255)[..., None], image, np.round(0.4 * np.array(COLOURS)[mask % 255] + 0.6 * image))
    assert np.abs(whole - expected).max() <= 1
    monkeypatch.setattr(module, "ROWS", 16)
    assert np.array_equal(overlay(image, mask, ["a", "b"], COLOURS, 0.4), whole)
    assert overlay(image, mask, ["a", "b"], COLOURS, 0.4, out=image) is image and np.array_equal(image, whole)


def test_cells_of_a_sheet_are_square():
    assert contact_sheet([noise(1, 3000)], [("one",)], [(0, 0, 0)]).shape[1] == SIDE + 6
