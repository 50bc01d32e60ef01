"""The result files of VOC's development kit."""

import json

import numpy as np
import pytest

from datasets import DataError, find_detection
from tasks.detection.detections import write_results
from tasks.detection.devkit import read_devkit
from tests.datasets.detection.trees import NAMES, annotation, thing, write_voc

ROWS = {
    "cat": ["a 0.5 1 1 10 20", "b/2 0.25 3 4 3 4", "", "a 0.75 5.5 6 8.5 9  "],
    "dog": ["a 0.75 1 2 3 4"],
    "traffic light": [],
}


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "voc"
    marks = {"a": annotation(thing("cat", 1, 1, 10, 20), thing("dog", 3, 2, 12, 9)), "2008_2": annotation()}
    return write_voc(root, marks, split="test")


def write(folder, rows=ROWS, start="comp4_det_test", **changed):
    folder.mkdir(exist_ok=True)
    for name, lines in {**rows, **changed}.items():
        if lines is not None:
            (folder / f"{start}_{name}.txt").write_text("\n".join(lines).replace("b/2", "2008_2"))
    return folder


@pytest.mark.parametrize("start", ["comp4_det_test", "comp3_det_test", "comp4_2f0a-77_det_test"])
def test_files_are_read_in_continuous_pixels(tree, tmp_path, start):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "comp4_det_val_cat.txt").write_text("nonsense of another split")
    (tmp_path / "r" / "readme.txt").write_text("")
    first, second = read_devkit(write(tmp_path / "r", start=start), find_detection("voc", "test", tree))
    assert first.boxes.tolist() == [[4.5, 5, 8.5, 9], [0, 1, 3, 4], [0, 0, 10, 20]]
    assert (first.labels.tolist(), first.scores.tolist()) == ([0, 1, 0], [0.75, 0.75, 0.5])
    assert second.boxes.tolist() == [[2, 3, 3, 4]]  # one pixel
    assert (first.boxes.dtype, first.scores.dtype, first.labels.dtype) == (np.float32, np.float32, np.int64)


def test_nothing_found_at_all(tree, tmp_path):
    folder = write(tmp_path / "r", {name: [] for name in NAMES})
    assert [len(found.boxes) for found in read_devkit(folder, find_detection("voc", "test", tree))] == [0, 0]


def test_the_tool_gives_the_same_numbers_for_files_and_json(tree, tmp_path, tool_here):
    files = find_detection("voc", "test", tree)
    folder = write(tmp_path / "r")
    write_results(tmp_path / "r.json", files, read_devkit(folder, files))
    options = ["--dataset", "voc", "--data-root", str(tree), "--split", "test"]
    numbers = []
    for predictions in (folder, tmp_path / "r.json"):
        tool_here("eval_det", "--predictions", str(predictions), *options, "--output", str(tmp_path / "out"))
        numbers.append(json.loads((tmp_path / "out" / "scores.json").read_text()))
    assert all(numbers[0][key] == numbers[1][key] for key in ("coco", "voc", "classes"))
    # the true cat comes behind a false one; no dog is right
    assert [numbers[0]["classes"][name]["VOC AP50"] for name in NAMES] == [0.5, 0, None]


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"dog": None}, r"r: no comp4_det_test_CLASS\.txt of dog; write an empty one where nothing was found"),
        ({"cat": ["a 0.5 1 1 10"]}, r"comp4_det_test_cat\.txt: line 1 is 'a 0\.5 1 1 10'; a line is: image score xmin"),
        ({"cat": ["", "a 0.5 1 1 10 nan"]}, r"cat\.txt: line 2 is .*; a line is: .*, five finite numbers"),
        ({"cat": ["a 0.5 1 1 10 x"]}, "line 1 is 'a 0.5 1 1 10 x'"),
        ({"cat": ["a 1e39 1 1 10 10"]}, "five finite numbers"),
        ({"dog": ["c 0.5 1 1 10 20"]}, r"dog\.txt: line 1 is of image c, which split test does not have"),
        ({"dog": ["a 0.5 9 1 7 20"]}, r"dog\.txt: line 1 has xmax below xmin, or ymax below ymin: 'a 0\.5 9 1 7 20'"),
    ],
)
def test_faults_are_one_line(tree, tmp_path, changed, said):
    with pytest.raises(DataError, match=said) as raised:
        read_devkit(write(tmp_path / "r", **changed), find_detection("voc", "test", tree))
    assert "\n" not in str(raised.value)


def test_files_of_another_split_or_none_are_told(tree, tmp_path):
    files = find_detection("voc", "test", tree)
    folder = write(tmp_path / "r", start="comp4_det_val")
    with pytest.raises(
        DataError, match=r"comp4_det_test_CLASS\.txt of any class, there is comp4_det_val_cat\.txt; --sp"
    ):
        read_devkit(folder, files)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty: no file comp4_det_test_CLASS\.txt of any class, nor a file of another"
    ):
        read_devkit(tmp_path / "empty", files)


def test_two_files_of_a_class_are_ambiguous(tree, tmp_path):
    folder = write(write(tmp_path / "r"), {"dog": []}, start="comp3_det_test")
    with pytest.raises(DataError, match=r"comp3_det_test_dog\.txt and comp4_det_test_dog\.txt are of one class"):
        read_devkit(folder, find_detection("voc", "test", tree))
