"""Precision, recall and F1 over the score threshold, by hand and by counting boxes above each of them."""

import numpy as np
import pytest

from tasks import DetectionSpec, TaskError, detection_table
from tasks.detection.detections import Detections
from tasks.detection.drawing import plot_thresholds
from tasks.detection.metrics import voc_average_precision
from tasks.detection.thresholds import GRID, best_threshold, score_thresholds, shown_above
from tasks.joint.network import JointSpec
from tests.tasks.detection.test_metrics import detections, objects, random_split, split

BOX, FAR = [0, 0, 10, 10], [50, 50, 60, 60]


def thresholds(truth, found, classes=1):
    return score_thresholds(voc_average_precision(split(truth, classes), found))


def test_by_hand():
    truth = [objects((BOX, 0), (FAR, 0))]
    found = [detections((BOX, 0, 0.75), ([20, 20, 30, 30], 0, 0.5), (FAR, 0, 0.25))]
    ours = thresholds(truth, found)
    at = [int(np.flatnonzero(value == GRID)[0]) for value in (0.1, 0.25, 0.3, 0.5, 0.74, 0.75)]
    assert ours.recall[0, at] == pytest.approx([1, 0.5, 0.5, 0.5, 0.5, 0])  # scores must be above
    assert ours.precision[0, at] == pytest.approx([2 / 3, 1 / 2, 1 / 2, 1, 1, np.nan], nan_ok=True)
    assert ours.f1[0, at] == pytest.approx([0.8, 0.5, 0.5, 2 / 3, 2 / 3, 0])
    assert ours.best == pytest.approx(0.13)  # the upper middle of 0.01 to 0.24
    assert ours.at(0.5) == pytest.approx({"precision": 1, "recall": 0.5, "F1": 2 / 3})


@pytest.mark.parametrize("seed", range(3))
def test_each_threshold_is_an_evaluation_of_what_is_above_it(seed):
    files, found = random_split(seed)
    ours = score_thresholds(voc_average_precision(files, found))
    assert len(ours.objects) > 1
    for place in range(0, 99, 7):
        above = [one.scores > GRID[place] for one in found]
        kept = [
            Detections(*(part[left] for part in vars(one).values())) for one, left in zip(found, above, strict=True)
        ]
        theirs = voc_average_precision(files, kept)
        for index in ours.objects:
            recalls, precisions = theirs.curves[index]
            last = (precisions[-1], recalls[-1]) if len(recalls) else (np.nan, 0)
            assert (ours.precision[index, place], ours.recall[index, place]) == pytest.approx(last, nan_ok=True)


def test_classes_count_alike_however_many_objects_they_have():
    many = [([20 * k, 0, 20 * k + 10, 10], 0) for k in range(9)]
    truth = [objects(*many, (FAR, 1))]
    wrong = [([20 * k, 80, 20 * k + 10, 90], 1, 0.7) for k in range(3)]
    found = [detections(*[(box, 0, 0.4) for box, _ in many], (FAR, 1, 0.9), *wrong)]
    ours = thresholds(truth, found, 2)
    assert ours.best < 0.4  # 1 and 0.4; above 0.7 they are 0 and 1
    assert thresholds(truth, [detections((FAR, 1, 0.9), *wrong)], 2).best >= 0.7


@pytest.mark.parametrize(
    "truth, found",
    [
        ([], [(BOX, 0, 0.9)]),
        ([(BOX, 0)], []),
        ([(BOX, 0)], [(FAR, 0, 0.9)]),
        ([(BOX, 0)], [(BOX, 0, 0.9), (FAR, 0, 7.5)]),
        ([(BOX, 0)], [(BOX, 0, 0.9), (FAR, 0, -1.0)]),
    ],
    ids=["no objects", "nothing found", "nothing right", "scores above 1", "scores below 0"],
)
@pytest.mark.filterwarnings("error")
def test_where_there_is_nothing_to_choose(truth, found, tmp_path):
    ours = thresholds([objects(*truth)], [detections(*found)])
    assert ours.best is None
    plot_thresholds(ours, ["$\\bad"], tmp_path / "threshold.png")
    assert (tmp_path / "threshold.png").is_file()


@pytest.mark.parametrize("classes", [2, 30])
def test_it_is_drawn_for_few_and_many_classes(classes, tmp_path):
    files, found = random_split(0, classes=classes)
    ours = score_thresholds(voc_average_precision(files, found))
    plot_thresholds(ours, [f"_class$ {index}" for index in range(classes)], tmp_path / "threshold.png")
    assert best_threshold(files, found) == ours.best


def spec(**options):
    return DetectionSpec(detection_table("v3-small"), "ssdlite", ["one"], [(0, 0, 0)], (64, 64), **options)


def test_boxes_are_shown_above_what_was_asked_for_or_chosen_or_is_usual():
    assert shown_above(0.0, spec(score_threshold=0.7)) == 0
    assert shown_above(None, spec(score_threshold=0.7)) == 0.7
    assert shown_above(None, spec()) == 0.3


def test_specs_hold_it_and_older_ones_have_none():
    own = spec(score_threshold=0.7)
    assert DetectionSpec.from_dict(own.to_dict()) == own
    older = {key: value for key, value in own.to_dict().items() if key != "score_threshold"}
    assert DetectionSpec.from_dict(older) == spec()
    joint = JointSpec(
        own.table,
        "lraspp+ssdlite",
        ["one"],
        [(0, 0, 0)],
        (64, 64),
        box_names=["one"],
        box_colours=[(0, 0, 0)],
        score_threshold=0.7,
    )
    assert JointSpec.from_dict(joint.to_dict()).boxes.score_threshold == 0.7


@pytest.mark.parametrize("nonsense", ["0.5", -0.1, 1.5, float("nan"), [0.5]])
@pytest.mark.parametrize("kind", [DetectionSpec, JointSpec])
def test_nonsense_in_a_checkpoint_is_refused(nonsense, kind):
    with pytest.raises(TaskError, match="score_threshold"):
        kind.from_dict(spec().to_dict() | {"score_threshold": nonsense})
