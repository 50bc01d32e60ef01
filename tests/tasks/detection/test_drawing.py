import cv2
import numpy as np
import pytest

from tasks.detection.drawing import draw_boxes, plot_precision_recall

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
