"""Scores of a classifier by hand, and what is drawn and written."""

import csv
import json

import numpy as np
import pytest
import torch

from datasets import ClassificationDataset, ClassificationFiles, evaluation_samples, read_image, sample_loader
from tasks import ClassificationSpec, ClassificationTask, classification_table
from tasks.classification.drawing import SIDE, contact_sheet, draw_labels
from tasks.classification.evaluation import (
    ClassificationScores,
    evaluate_classes,
    print_classification_scores,
    write_classification_evaluation,
)
from tasks.drawing import plot_confusion

NAMES = [f"class{number}" for number in range(7)]


class Oracle(torch.nn.Module):
    """Logits that the images' red says: how many of the first classes come before the true one."""

    def forward(self, images):
        return images[:, 0, 0, :7]


def task() -> ClassificationTask:
    table = classification_table("v3-small", (8, 8), width=0.25)
    spec = ClassificationSpec(table, "classifier", NAMES, [(0, 0, 0)] * 7, (8, 8), mean=(0.0,) * 3, std=(1 / 255,) * 3)
    made = ClassificationTask(spec).eval()
    made.network = Oracle()
    return made


@pytest.fixture
def files(tmp_path):
    """Images whose rows of red are the logits: right, second, sixth and last of their classes."""
    images = np.zeros((4, 8, 8, 3), np.uint8)
    labels = np.array([0, 0, 1, 2])
    for image, values in zip(
        images,
        ([9, 1, 1, 1, 1, 1, 1], [3, 5, 1, 1, 1, 1, 1], [8, 2, 7, 6, 5, 4, 3], [9, 8, 0, 7, 6, 5, 4]),
        strict=True,
    ):
        image[:, :7, 0] = values
    return ClassificationFiles(tmp_path, "val", NAMES, [f"p{n}" for n in range(4)], labels, images)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_scores_by_hand(files, batch_size):
    scores = evaluate_classes(task(), sample_loader(ClassificationDataset(files), 0, batch_size))
    assert scores.top1 == pytest.approx(1 / 4) and scores.top5 == pytest.approx(2 / 4)
    assert scores.right.tolist() == [True, False, False, False]
    assert scores.accuracy[:3].tolist() == [0.5, 0.0, 0.0] and np.isnan(scores.accuracy[3:]).all()
    expected = np.zeros((7, 7), int)
    expected[0, :2], expected[1, 0], expected[2, 0] = 1, 1, 1
    assert np.array_equal(scores.matrix, expected)
    logits = torch.from_numpy(files.images[:, 0, :7, 0]).float()
    losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(files.labels), reduction="none")
    assert scores.losses == pytest.approx(losses.numpy(), rel=1e-5) and scores.loss == pytest.approx(
        losses.mean().item()
    )


def test_what_is_written(files, tmp_path):
    samples = evaluation_samples(files, (8, 8), 1.0)
    scores = evaluate_classes(task(), sample_loader(samples, 0))
    written = write_classification_evaluation(tmp_path / "out", task(), scores, samples, {"split": "val"}, 2)
    assert {path.name for path in written} == {path.name for path in (tmp_path / "out").iterdir()}
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert content["split"] == "val" and content["top1"] == 0.25 and content["accuracy"]["class6"] is None
    assert [entry["file"] for entry in content["worst"]] == ["p3", "p2"]  # wrong ones, the highest loss first
    with (tmp_path / "out" / "confusion.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][1:] == NAMES and rows[1] == ["class0", "1", "1", "0", "0", "0", "0", "0"]
    assert read_image(tmp_path / "out" / "worst.png").shape[1] < 3 * SIDE


def test_nothing_wrong_is_nothing_drawn(files, tmp_path):
    right = files.at(np.array([0]))
    samples = evaluation_samples(right, (8, 8), 1.0)
    scores = evaluate_classes(task(), sample_loader(samples, 0))
    written = write_classification_evaluation(tmp_path / "out", task(), scores, samples, {}, 5)
    assert [path.name for path in written] == ["scores.json", "confusion.csv", "confusion.png"]


def test_of_many_classes_the_lowest_are_printed(capsys):
    count = 50
    matrix = np.diag(np.arange(count)) + 10 * np.roll(np.eye(count, dtype=int), 1, axis=1)
    accuracy = matrix.diagonal() / matrix.sum(1)
    every = np.zeros(int(matrix.sum()), np.float32)
    scores = ClassificationScores(0.5, 0.6, 1.0, accuracy, matrix, every, every > 0)
    print_classification_scores(scores, [f"c{number:02d}" for number in range(count)], "title")
    said = capsys.readouterr().out
    assert "c00" in said and "c29" in said and "c30" not in said.replace("c30 ", "", 1) and "and 20 better ones" in said
    assert "c01 100.0 %" in said and "50.00" in said


@pytest.mark.parametrize("count", [3, 200])
def test_confusion_of_few_and_many_classes_is_drawn(tmp_path, count):
    plot_confusion(np.eye(count, dtype=int), [f"c{number}" for number in range(count)], tmp_path / "confusion.png")
    height, width, _ = read_image(tmp_path / "confusion.png").shape
    assert 300 < height < 2200 and 300 < width < 2200


def test_a_contact_sheet_holds_images_of_any_shape():
    images = [np.full(size, 40, np.uint8) for size in ((4, 4, 3), (300, 20, 3), (20, 300, 3))]
    captions = [["short"], ["a caption that is far too long to stand below its image"], ["x"]]
    sheet = contact_sheet(images, captions, [(0, 0, 0)] * 3, columns=2)
    assert sheet.shape == contact_sheet(images * 1 + images[:1], [*captions, ["y"]], [(0, 0, 0)] * 4, 2).shape
    assert (sheet[:SIDE, :SIDE] == 40).all()


def test_right_is_green_and_wrong_is_red(files):
    samples = evaluation_samples(files, (8, 8), 1.0)
    right, wrong = (draw_labels(task(), [samples[place]])[SIDE:].astype(int) for place in (0, 1))
    assert (right[..., 1] >= right[..., 0]).all() and (wrong[..., 0] >= wrong[..., 1]).all()
    assert (right < 200).any() and (wrong < 200).any()
