import json
from pathlib import Path

import numpy as np
import pytest

from datasets import DataError, DetectionFiles, Objects
from tasks import TaskError
from tasks.detection.detections import Detections, read_results, write_results

GOOD = {"image_id": 7, "category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.5}


def split(ids: list, category_ids: list[int]) -> DetectionFiles:
    names = [f"class {index}" for index in range(len(category_ids))]
    none = np.zeros(0, dtype=bool)
    empty = Objects(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), none, none, none, np.zeros(0, np.float32))
    paths = [Path(f"{index}.jpg") for index in ids]
    return DetectionFiles(Path(), "val", names, paths, [empty] * len(ids), ids, category_ids, [None] * len(ids), [], [])


def random_detections(count: int, classes: int, seed: int) -> Detections:
    random = np.random.default_rng(seed)
    boxes = random.uniform(0, 700, (count, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    scores = -np.sort(-random.random(count).astype(np.float32))
    return Detections(boxes, scores, random.integers(0, classes, count))


@pytest.mark.parametrize("ids", [[7, 3, 1000], ["b", "a", "2008_000001"]])
def test_results_come_back_bit_for_bit(tmp_path, ids):
    files, path = split(ids, [90, 1, 13]), tmp_path / "new" / "results.json"
    detections = [random_detections(count, 3, seed) for seed, count in enumerate((50, 0, 7))]
    write_results(path, files, detections)
    for before, after in zip(detections, read_results(path, files), strict=True):
        for name in ("boxes", "scores", "labels"):
            one, other = getattr(before, name), getattr(after, name)
            assert one.dtype == other.dtype and np.array_equal(one, other)
    assert list(path.parent.iterdir()) == [path]


def test_results_are_cocos(tmp_path):
    boxes = np.array([[10, 20, 30, 60]], dtype=np.float32)
    write_results(tmp_path / "r.json", split([7], [1, 90]), [Detections(boxes, np.float32([0.5]), np.array([1]))])
    content = json.loads((tmp_path / "r.json").read_text())
    assert content == [{"image_id": 7, "category_id": 90, "bbox": [10, 20, 20, 40], "score": 0.5}]


def test_results_are_sorted_by_score_and_equal_ones_stay_in_order(tmp_path):
    path = tmp_path / "r.json"
    entries = [(3, 0.5, 1), (7, 0.25, 2), (3, 0.75, 3), (7, 0.25, 4), (3, 0.5, 5)]
    path.write_text(json.dumps([GOOD | {"image_id": i, "score": s, "bbox": [x, 0, 1, 1]} for i, s, x in entries]))
    first, second, third = read_results(path, split([7, 5, 3], [90]))
    assert first.boxes[:, 0].tolist() == [2, 4]
    assert second.boxes.shape == (0, 4) and second.scores.shape == second.labels.shape == (0,)
    assert third.boxes[:, 0].tolist() == [3, 1, 5]


def test_no_detections_at_all(tmp_path):
    files = split([7, 3], [90])
    write_results(tmp_path / "r.json", files, [random_detections(0, 1, 0)] * 2)
    assert (tmp_path / "r.json").read_text() == "[]"
    assert [len(found.boxes) for found in read_results(tmp_path / "r.json", files)] == [0, 0]


@pytest.mark.parametrize("key", ["annotations", "results", "predictions", "detections"])
def test_results_inside_a_dict(tmp_path, key):
    path, files = tmp_path / "r.json", split([7, 3], [90])
    images = [{"id": 7, "file_name": "images/7.jpg"}, {"id": 3, "file_name": "3.jpg"}, {"id": [1], "file_name": "x"}]
    about = {"info": {}, "images": images, "categories": [{"id": 90, "name": "class 0"}, 3]}
    path.write_text(json.dumps(about | {key: [GOOD]}))
    first, second = read_results(path, files)
    assert first.boxes.tolist() == [[1, 2, 4, 6]] and len(second.boxes) == 0
    path.write_text(json.dumps({key: []}))
    assert [len(found.boxes) for found in read_results(path, files)] == [0, 0]


@pytest.mark.parametrize(
    "content, said",
    [
        ('[{"image_id": 7', "cannot be read as json"),
        ("3", "holds no list; results are a list of"),
        ('{"image_id": 7}', "holds no list"),
        ('{"images": [], "annotations": [], "categories": []}', "this is an annotation file, not results"),
        ({"images": [], "annotations": [{"id": 1, "image_id": 7}]}, "this is an annotation file, not results"),
        ({"results": [], "detections": []}, "holds results and detections, and either may be the results; leave one"),
        ({"results": {"a": 1}}, "holds no list"),
        ({"annotations": [{"image_id": 7}]}, "entry 0 has no category_id, bbox, score"),
        (
            {"annotations": [GOOD], "categories": [{"id": 90, "name": "cat"}]},
            "id 90 is cat in its categories, and class 0 in the ground truth; give both the same ids",
        ),
        (
            {"annotations": [GOOD], "images": [{"id": 7, "file_name": "a/8.jpg"}]},
            r"id 7 is 8\.jpg in its images, and 7\.jpg in the ground truth",
        ),
        ("[3]", "entry 0 has no image_id, category_id, bbox, score"),
        ([GOOD, {"image_id": 7, "bbox": [1, 2, 3, 4]}], "entry 1 has no category_id, score"),
        (
            [GOOD, GOOD | {"image_id": 8}, GOOD | {"image_id": "7"}],
            "image_id of 2 of 3 entries: no such id .* 8 in ent",
        ),
        ([GOOD | {"image_id": [7]}], r"image_id of 1 of 1 entries: no such id .* \[7\] in entry 0"),
        ([GOOD, GOOD | {"category_id": 1}], "category_id of 1 of 2 entries: no such id .* 1 in entry 1"),
        ([GOOD | {"bbox": [1, 2, 3]}], r"bbox of 1 of 1 entries: must be 4 finite numbers; .* \[1, 2, 3\] in entry 0"),
        ([GOOD | {"bbox": [1, 2, "3", 4]}], "bbox of 1 of 1 entries: must be 4 finite numbers"),
        ([GOOD | {"bbox": None}], "bbox of 1 of 1 entries: must be 4 finite numbers"),
        ([GOOD | {"bbox": [1, float("nan"), 3, 4]}, GOOD], "bbox of 1 of 2 entries: must be 4 finite numbers"),
        ([GOOD | {"bbox": [1, 1e300, 3, 4]}, GOOD], "bbox of 1 of 2 entries: must be 4 finite numbers"),
        ([GOOD | {"score": float("inf")}], "score of 1 of 1 entries: must be a finite number"),
        ([GOOD | {"score": None}, GOOD | {"score": [1]}], "score of 2 of 2 entries: must be a finite number"),
        ([GOOD | {"bbox": [1, 2, -3, 4]}, GOOD], "bbox of 1 of 2 entries: a width or height below 0; .*-3"),
    ],
)
def test_bad_results_are_one_clear_line(tmp_path, content, said):
    path = tmp_path / "r.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=rf"r\.json: {said}") as raised:
        read_results(path, split([7], [90]))
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        read_results(tmp_path / "none.json", split([7], [90]))


def test_results_that_cannot_be_written_leave_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    path.write_text("before")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(TaskError, match=r"r\.json: could not be written \(no space left\)"):
        write_results(path, split([7], [90]), [random_detections(3, 1, 0)])
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
