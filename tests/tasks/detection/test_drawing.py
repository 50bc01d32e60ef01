from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tasks.detection.detections import Detections
from tasks.detection.drawing import draw_boxes, draw_detections, plot_precision_recall, show_boxes
from tasks.options import Prediction

NAMES = ["cell", "a rather long name of a class"]
COLOURS = [(200, 30, 30), (250, 240, 60)]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 90, dtype=np.uint8)


def test_boxes_are_drawn_on_a_copy_in_their_colours():
    image = grey(300, 400)
    drawn = draw_boxes(image, boxes([50, 100, 150, 200]), np.array([0]), NAMES, COLOURS)
    assert (image == 90).all() and drawn.shape == image.shape and drawn.dtype == np.uint8
    for row, column in [(150, 50), (150, 149), (199, 100)]:
        assert tuple(drawn[row, column]) == COLOURS[0]
    assert (drawn[120:180, 60:140] == 90).all()


def test_no_boxes_change_nothing():
    assert (draw_boxes(grey(20, 30), boxes(), np.zeros(0, np.int64), NAMES, COLOURS) == 90).all()


@pytest.mark.parametrize("size", [(24, 32), (64, 64), (320, 320), (1080, 1920)])
@pytest.mark.parametrize(
    "box", [(0.9, 0.9, 1.0, 1.0), (-0.5, -0.2, 1.5, 0.1), (0.3, 0.3, 0.3, 0.3), (0, 0.5, 0.1, 0.6)]
)
def test_labels_lie_inside_the_image_wherever_the_box_is(size, box, monkeypatch):
    plates = []
    rectangle = cv2.rectangle

    def watched(image, start, end, colour, thickness):
        plates.append((start, end)) if thickness == -1 else None
        return rectangle(image, start, end, colour, thickness)

    monkeypatch.setattr(cv2, "rectangle", watched)
    corners = boxes([box[0] * size[1], box[1] * size[0], box[2] * size[1], box[3] * size[0]])
    draw_boxes(grey(*size), corners, np.array([1]), NAMES, COLOURS, np.float32([0.97]))
    ((left, top), (right, bottom)) = plates[0]
    assert 0 <= left < right < size[1] and 0 <= top < bottom < size[0]


def test_the_best_box_lies_on_top():
    drawn = draw_boxes(grey(100, 100), boxes([20, 20, 80, 80], [20, 20, 80, 80]), np.array([0, 1]), NAMES, COLOURS)
    assert tuple(drawn[79, 50]) == COLOURS[0]


@pytest.mark.parametrize("classes", [0, 3, 30])
def test_precision_recall_is_drawn(tmp_path, classes):
    recall = np.linspace(0, 1, 101)
    curves = [(recall, np.clip(1 - recall * (index + 1) / 20, 0, 1)) for index in range(classes)]
    curves.append((np.array([]), np.array([])))
    average = np.array([curve[1].mean() for curve in curves[:-1]] + [np.nan])
    names = [f"class {index}" for index in range(classes + 1)]
    plot_precision_recall(curves, average, names, tmp_path / "pr.png", "At IoU 0.5")
    assert cv2.imread(str(tmp_path / "pr.png")).std() > 1


def crowded(count: int) -> Detections:
    """Boxes side by side, the best ones first."""
    left = np.arange(count, dtype=np.float32)[:, None] * 30
    corners = np.concatenate([left + 2, left * 0 + 30, left + 25, left * 0 + 55], axis=1)
    return Detections(corners, np.linspace(0.9, 0.5, count).astype(np.float32), np.zeros(count, dtype=np.int64))


class Stand:
    """Finds the same in every image."""

    def __init__(self, found: Detections) -> None:
        self.found, self.spec = found, SimpleNamespace(names=NAMES, colours=COLOURS, score_threshold=None)

    def predict(self, images, score_threshold=None):
        self.threshold = score_threshold
        return [self.found for _ in images]


def drawn_at(drawing: np.ndarray, found: Detections) -> list[bool]:
    return [tuple(drawing[45, round(float(box[0]))]) == COLOURS[0] for box in found.boxes]


def test_only_the_best_boxes_are_drawn_and_the_description_has_all():
    found, image = crowded(20), grey(120, 600)
    shown = show_boxes(Stand(found), Prediction(max_drawn=7))(image)
    assert drawn_at(shown.drawing, found) == [True] * 7 + [False] * 13
    assert [entry["score"] for entry in shown.description["objects"]] == found.scores.tolist()
    note = shown.drawing[-15:, :80]
    assert (note == 60).all(2).any()  # says how many there are
    stand = Stand(found)
    every = show_boxes(stand, Prediction())(image).drawing
    assert stand.threshold == 0.3
    assert drawn_at(every, found) == [True] * 20 and (every[-15:] == 90).all()


def test_grids_draw_no_more_than_the_default_and_name_what_is_drawn():
    most = Prediction.max_drawn
    found = crowded(most + 10)
    found.labels[most:] = 1
    none = {"boxes": boxes(), "labels": np.zeros(0, dtype=np.int64)}
    sheet = draw_detections(Stand(found), [{"image": grey(60, 400), **none}])
    legend = sheet[26 + 66 :]
    assert [bool((legend == colour).all(2).any()) for colour in COLOURS] == [True, False]
    assert most == 50
