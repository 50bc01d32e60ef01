"""What is drawn for a split is predicted as its scores were."""

import numpy as np

from datasets import SegmentationDataset, find_segmentation, sample_loader
from tasks.segmentation.evaluation import evaluate_masks, write_evaluation
from tests.tasks.segmentation.test_sliding_window import Places, stand_in


def test_images_are_drawn_with_the_options_of_the_evaluation(shapes, tmp_path):
    files = find_segmentation("voc", "val", shapes)
    task = stand_in(Places(8, len(files.names)), len(files.names))
    seen = []
    task.network.register_forward_hook(lambda _, images, __: seen.append(tuple(images[0].shape[2:])))
    evaluation = evaluate_masks(task, sample_loader(SegmentationDataset(files), 0), window=(64, 64))
    write_evaluation(tmp_path / "new" / "out", task, evaluation, files, {}, drawn=2)
    assert set(seen) == {(64, 64)}
    assert evaluation.scores.matrix.sum() == sum((mask["mask"] != 255).sum() for mask in SegmentationDataset(files))
    names = {"scores.json", "confusion.png", "samples.png", "worst.png"}
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == names


def test_rows_counted_one_after_the_other_are_the_whole(shapes, monkeypatch):
    files = find_segmentation("voc", "val", shapes)
    task = stand_in(Places(8, len(files.names)), len(files.names))
    whole = evaluate_masks(task, sample_loader(SegmentationDataset(files), 0))
    monkeypatch.setattr("tasks.segmentation.evaluation.ROWS", 7)
    parts = evaluate_masks(task, sample_loader(SegmentationDataset(files), 0))
    assert np.array_equal(whole.scores.matrix, parts.scores.matrix) and whole.image_miou == parts.image_miou
