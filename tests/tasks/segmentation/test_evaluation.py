"""What is drawn for a split is predicted as its scores were."""

import numpy as np
import pytest

from datasets import SegmentationDataset, find_segmentation, sample_loader
from tasks.drawing import write_plot
from tasks.segmentation.drawing import plot_by_class
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
    names = {"scores.json", "iou.png", "confusion.png", "samples.png", "worst.png"}
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == names


def test_rows_counted_one_after_the_other_are_the_whole(shapes, monkeypatch):
    files = find_segmentation("voc", "val", shapes)
    task = stand_in(Places(8, len(files.names)), len(files.names))
    whole = evaluate_masks(task, sample_loader(SegmentationDataset(files), 0))
    monkeypatch.setattr("tasks.segmentation.evaluation.ROWS", 7)
    parts = evaluate_masks(task, sample_loader(SegmentationDataset(files), 0))
    assert np.array_equal(whole.scores.matrix, parts.scores.matrix) and whole.image_miou == parts.image_miou


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("iou", [[0.5, 1.0, 0.0], [0.5, np.nan, 0.2], [np.nan] * 3, [0.5] * 150])
def test_iou_by_class_is_sorted_and_has_the_mean(iou, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("tasks.segmentation.drawing.write_plot", lambda path, figure: drawn.append(figure))
    names = [f"$class {index}" for index in range(len(iou))]
    plot_by_class(np.array(iou), names, [(0, 128, 255)] * len(iou), tmp_path / "iou.png")
    (axes,) = drawn[0].axes
    known = [(value, name) for value, name in zip(iou, names, strict=True) if not np.isnan(value)]
    widths = [round(bar.get_width(), 6) for bar in axes.patches]
    assert widths == sorted(100 * value for value, _ in known)
    if len(known) < 150:
        assert [label.get_text() for label in axes.get_yticklabels()] == [name for _, name in sorted(known)]
    missing = len(iou) - len(known)
    assert ("mIoU" in axes.get_title()) == bool(known) and (f"{missing} do not occur" in axes.get_title()) == (
        missing > 0
    )
    write_plot(tmp_path / "iou.png", drawn[0])
