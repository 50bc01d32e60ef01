"""What is printed of an evaluation."""

import numpy as np
import pytest

from tasks.detection.evaluation import evaluate_detections, print_detection_scores
from tasks.detection.metrics import voc_average_precision
from tests.tasks.detection.test_metrics import detections, objects, split

SQUARE, OTHER, FAR = [0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 80, 80]


def printed(truth: list, found: list, capsys, monkeypatch) -> dict[str, dict[str, str]]:
    """The table's cells, by row and heading."""
    monkeypatch.setenv("COLUMNS", "140")
    files = split(truth, classes=2)
    print_detection_scores(evaluate_detections(files, found), files, "title")
    said = capsys.readouterr().out
    heading, *rows = [line for line in said.splitlines() if line[:1] in "┃│"]
    names = [cell.strip() for cell in heading.strip("┃").split("┃")]
    cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]
    return {row[0]: dict(zip(names, row, strict=True)) for row in cells}


def test_objects_are_counted_without_crowds_and_difficult_ones_apart(capsys, monkeypatch):
    truth = [objects((SQUARE, 0), (OTHER, 0), (FAR, 0), (FAR, 1), difficult=(1,), crowd=(2, 3)), objects((SQUARE, 1))]
    table = printed(truth, [detections((SQUARE, 0, 0.9)), detections()], capsys, monkeypatch)
    assert [(row["objects"], row["difficult"]) for row in table.values()] == [("2", "1"), ("1", "0"), ("3", "1")]
    plain = printed([objects((SQUARE, 0))], [detections((SQUARE, 0, 0.9))], capsys, monkeypatch)
    assert "difficult" not in plain["mean"] and plain["mean"]["objects"] == "1"


def test_every_column_has_its_iou(capsys, monkeypatch):
    close = [0, 0, 10, 6]  # 0.6 of the square
    table = printed([objects((SQUARE, 0))], [detections((close, 0, 0.9))], capsys, monkeypatch)
    wanted = {"AP": "30.00", "AP50": "100.00", "AP75": "0.00", "VOC AP50": "100.00", "VOC AP75": "0.00"}
    row = table["class 0"]
    assert {heading: row[heading] for heading in wanted} == wanted and row["VOC07 AP50"] == "100.00"
    assert [table["class 1"][heading] for heading in wanted] == ["-"] * 5
    assert {heading: table["mean"][heading] for heading in wanted} == wanted


def test_means_are_those_of_the_classes():
    files = split([objects((SQUARE, 0), (OTHER, 1))], classes=2)
    found = [detections((SQUARE, 0, 0.9), ([20, 20, 30, 28], 1, 0.8))]
    evaluation = evaluate_detections(files, found)
    for ap, mean in evaluation.columns.values():
        assert mean == pytest.approx(np.nanmean(ap))
    assert evaluation.voc75.ap.tolist() == voc_average_precision(files, found, iou=0.75).ap.tolist() == [1, 1]
    assert evaluation.coco.ap75.tolist() == pytest.approx([1, 1])
    assert voc_average_precision(files, found, iou=0.85).ap.tolist() == [1, 0]
