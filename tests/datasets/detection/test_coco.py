"""COCO json: boxes, crowds, ids, and what is wrong with them."""

import pytest

from datasets.detection.find import find_detection
from tests.datasets.detection.trees import CATEGORIES, RLE, error_line, image, mark, read_coco, write_coco

nan, inf = float("nan"), float("inf")


def test_coco_boxes_crowds_areas_and_ids(tmp_path):
    marks = [
        mark(5, "b", 7, [1, 2, 10, 5], area=31.5, iscrowd=0, segmentation=[[1, 2, 11, 2, 11, 7], [1, 1, 2, 2, 3, 1]]),
        mark(0, 3, 0, [0.5, 1.25, 4, 3], iscrowd=1, segmentation=RLE),
        mark(6, "b", 90, [0, 0, 30, 20], area=None, segmentation={"size": [20, 30], "counts": "0e0"}),
        {"image_id": "b", "category_id": 0, "bbox": [2, 2, 3, 3]},
    ]
    files = read_coco(tmp_path, [image("b"), image(3), image(12)], marks)
    assert files.names == ["cat", "dog", "brush"] and files.category_ids == [0, 7, 90]
    assert files.ids == ["b", 3, 12] and files.sizes == [(20, 30)] * 3
    assert files.image_paths == [tmp_path / "train" / name for name in ("b.jpg", "3.jpg", "12.jpg")]
    first, second, third = files.objects
    assert first.boxes.tolist() == [[1, 2, 11, 7], [0, 0, 30, 20], [2, 2, 5, 5]]
    assert first.labels.tolist() == [1, 2, 0] and first.area.tolist() == [31.5, 600, 9]
    assert first.crowd.tolist() == [False, False, False]
    assert second.boxes.tolist() == [[0.5, 1.25, 4.5, 4.25]] and second.crowd.tolist() == [True]
    assert len(third) == 0 and third.boxes.shape == (0, 4)
    assert not any(objects.difficult.any() or objects.truncated.any() for objects in files.objects)
    assert files.faults == files.notes == []


def test_coco_unsound_boxes(tmp_path):
    boxes = [[5, 5, 0, 4], [5, 5, -1, 4], [nan, 1, 2, 2], [1, 1, inf, 2], [30, 0, 4, 4], [-1, -1, 4, 4], [25, 10, 9, 5]]
    files = read_coco(tmp_path, [image(1)], [mark(n, 1, 0, box) for n, box in enumerate(boxes)])
    assert files.objects[0].boxes.tolist() == [[0, 0, 3, 3], [25, 10, 30, 15]]
    assert files.notes == [
        "2 boxes with NaN or infinite numbers dropped: 1.jpg (cat nan,1,2,2), 1.jpg (cat 1,1,inf,2)",
        "1 box with inverted corners dropped: 1.jpg (cat 5,5,-1,4)",
        "1 box without area dropped: 1.jpg (cat 5,5,0,4)",
        "1 box wholly outside the image dropped: 1.jpg (cat 30,0,4,4)",
        "1 box reaching out of the image clipped: 1.jpg (cat 25,10,9,5)",
    ]


def test_a_box_too_thin_for_float32_has_no_area(tmp_path):
    files = read_coco(tmp_path, [image(1)], [mark(1, 1, 0, [10, 1, 1e-9, 5])])
    assert len(files.objects[0]) == 0
    assert files.notes == ["1 box without area dropped: 1.jpg (cat 10,1,1e-09,5)"]


def test_coco_without_sizes_is_limited_by_the_image(tmp_path):
    files = read_coco(tmp_path, [image(1, size=None), image(2, size=(0, 9))], [mark(1, 1, 0, [20, 10, 40, 5])])
    assert files.sizes == [None, None] and files.objects[0].boxes.tolist() == [[20, 10, 30, 15]]


def test_coco_faults_are_collected_and_counted(tmp_path):
    images = [image(1), image(2), image(1), {"id": 5}, {"file_name": "x.jpg"}, {"id": [6], "file_name": "y.jpg"}]
    marks = [
        mark(1, 1, 0, [1, 1, 5, 5]),
        mark(1, 2, 0, [1, 1, 5, 5]),
        mark(2, 99, 0, [1, 1, 5, 5]),
        mark(3, 1, 8, [1, 1, 5, 5]),
        mark(4, 1, 0, [1, 1, 5]),
        mark(5, 1, 0, [1, 1, 5, "6"]),
        mark(6, 1, 0, None),
        {"id": 7, "image_id": 1, "bbox": [1, 1, 5, 5]},
        "what",
    ]
    categories = [*CATEGORIES, {"id": 7, "name": "bird"}, {"id": 8}, {"id": 91, "name": "cat"}]
    files = read_coco(tmp_path, images, marks, categories)
    start = f"{tmp_path / 'annotations' / 'instances_train.json'}: "
    assert all(fault.startswith(start) for fault in files.faults)
    assert [fault.removeprefix(start) for fault in files.faults] == [
        "1 category without an id and a name: categories[4]",
        "1 category id given more than once: 7",
        "1 category name given more than once: cat",
        "3 images without an id and a file_name: images[3], images[4], images[5]",
        "1 image id given more than once: 1",
        "5 annotations without image_id, category_id and a bbox of four: annotations[6], annotations[7], "
        "annotations[8], annotation 4, annotation 5",
        "1 annotation id given more than once: 1",
        "1 annotation of unknown images: annotation 2 (image 99)",
        "1 annotation of unknown categories: annotation 3 (category 8)",
    ]
    assert [len(objects) for objects in files.objects] == [1, 1]


def test_a_string_and_a_number_are_different_images(tmp_path):
    files = read_coco(tmp_path, [image(1)], [mark(1, "1", 0, [1, 1, 5, 5])])
    assert "unknown images: annotation 1 (image 1)" in files.faults[0]


def test_many_unknown_images_are_counted(tmp_path):
    files = read_coco(tmp_path, [image(1)], [mark(n, 50 + n, 0, [1, 1, 5, 5]) for n in range(9)])
    assert "9 annotations of unknown images: annotation 0 (image 50), " in files.faults[0]
    assert files.faults[0].endswith("annotation 4 (image 54) and 4 more")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not json"),
        ("", "is not json"),
        ("[" * 100_000, "is not json"),
        ("[]", "holds no instances"),
        ('{"annotations": [], "categories": []}', 'no list "images"'),
        ('{"images": [], "categories": []}', 'no list "annotations"'),
        ('{"images": [], "annotations": []}', 'no list "categories"'),
        ('{"images": {}, "annotations": [], "categories": []}', 'no list "images"'),
    ],
)
def test_a_json_that_is_none_of_cocos_is_an_error_at_once(tmp_path, content, said):
    root = write_coco(tmp_path, [], [])
    path = root / "annotations" / "instances_train.json"
    path.write_text(content)
    message = error_line(find_detection, "coco", "train", root)
    assert message.startswith(f"{path}: ") and said in message


def test_bytes_that_are_no_text(tmp_path):
    root = write_coco(tmp_path, [], [])
    (root / "annotations" / "instances_train.json").write_bytes(b"\xff\x00\x80")
    assert "is not json" in error_line(find_detection, "coco", "train", root)


@pytest.mark.parametrize("split", ["train", "val"])
def test_train_and_val_find_cocos_years(tmp_path, split):
    root = write_coco(tmp_path, [image(1)], [], name=f"instances_{split}2017.json", folder=f"{split}2017")
    files = find_detection("coco", split, root)
    assert files.split == split and files.image_paths == [root / f"{split}2017" / "1.jpg"]
    assert find_detection("coco", f"{split}2017", root).image_paths == files.image_paths


def test_a_json_of_the_very_name_comes_first(tmp_path):
    write_coco(tmp_path, [image(1), image(2)], [], name="instances_train2017.json")
    assert len(read_coco(tmp_path, [image(1)], []).image_paths) == 1


@pytest.mark.parametrize(
    "folder",
    ["train", "train2017", "JPEGImages", "images/train", "images/train2017", "images", "annotations", "."],
)
def test_where_images_may_lie(tmp_path, folder):
    files = read_coco(tmp_path, [image(1, "deep/1.jpg")], [], folder=folder)
    assert files.image_paths == [tmp_path / folder / "deep/1.jpg"]


def test_a_missing_coco_image_is_left_to_the_check(tmp_path):
    root = write_coco(tmp_path, [image(1)], [])
    (root / "train" / "1.jpg").unlink()
    assert find_detection("coco", "train", root).image_paths == [root / "train" / "1.jpg"]


def test_an_explicit_json(tmp_path):
    root = write_coco(tmp_path / "set", [image(1)], [])
    path = tmp_path / "mine.json"
    (root / "annotations" / "instances_train.json").rename(path)
    files = find_detection("coco", "train", root, annotations=path)
    assert files.image_paths == [root / "train" / "1.jpg"] and files.root == root


def test_a_missing_explicit_json(tmp_path):
    message = error_line(find_detection, "coco", "train", tmp_path, annotations=tmp_path / "no.json")
    assert message == f"{tmp_path / 'no.json'}: no such file"


@pytest.mark.parametrize("dataset", ["voc", "shapes"])
def test_only_coco_takes_a_json(tmp_path, dataset):
    assert "--dataset coco" in error_line(find_detection, dataset, "train", tmp_path, annotations=tmp_path / "no.json")


def test_coco_unknown_split_lists_those_there(tmp_path):
    root = write_coco(tmp_path, [], [])
    assert error_line(find_detection, "coco", "test", root).endswith("no such split; there are train")
    assert "annotations/instances_<split>.json" in error_line(find_detection, "coco", "val", tmp_path / "none")


def test_coco_needs_a_root():
    assert "--data-root" in error_line(find_detection, "coco", "train")


def test_coco_labels_are_compared(tmp_path):
    (tmp_path / "labels.txt").write_text("background\ndog\nhorse\n")
    marks = [mark(n, 1, category, [1, 1, 5, 5]) for n, category in enumerate([0, 7, 0])]
    files = read_coco(tmp_path, [image(1)], marks)
    (fault,) = files.faults
    assert fault.startswith(f"{tmp_path / 'labels.txt'}: ") and "not listed: cat (2 boxes);" in fault
    assert files.names == ["cat", "dog", "brush"]
