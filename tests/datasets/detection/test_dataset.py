"""Class names, datasets by name, and samples read from them."""

import numpy as np
import pytest

from datasets.detection.augment import Augmented
from datasets.detection.dataset import DetectionDataset
from datasets.detection.files import read_names
from datasets.detection.find import find_detection, limit_detection
from tests.datasets.detection.trees import error_line, image, mark, read_coco, write_coco, write_image

# labels.txt


def test_names_leave_background_and_colours_out(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("background 0 0 0\n\ntraffic light 1 2 3\ncar 66\n  dog, 7, 8, 9 \n")
    assert read_names(path) == ["traffic light", "car 66", "dog"]


@pytest.mark.parametrize(
    ("text", "said"), [("", "no class names"), ("background", "no class names"), ("a\nb\na", "a listed twice")]
)
def test_unusable_names(tmp_path, text, said):
    path = tmp_path / "labels.txt"
    path.write_text(text)
    message = error_line(read_names, path)
    assert message.startswith(str(path)) and said in message


def test_more_than_255_classes(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(f"c{n}" for n in range(1200)))
    assert len(read_names(path)) == 1200


# names of datasets


def test_unknown_dataset_names_the_nearest():
    assert 'did you mean "coco"' in error_line(find_detection, "cocoo", "train")
    message = error_line(find_detection, "qqqq", "train")
    assert "did you mean" not in message and "shapes, voc, coco" in message


def test_shapes_are_written_on_first_use(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.shapes.SPLITS", {"train": 3, "val": 2})
    files = find_detection("shapes", "val", tmp_path / "shapes")
    assert files.names == ["disc", "square", "triangle", "star", "cross"] and files.category_ids == [1, 2, 3, 4, 5]
    assert len(files.image_paths) == 2 and all(path.is_file() for path in files.image_paths)
    assert all(len(objects) for objects in files.objects) and files.faults == files.notes == []


# samples


def small_coco(root):
    marks = [mark(1, 1, 0, [1, 1, 5, 5]), mark(2, 1, 7, [2, 2, 20, 10], iscrowd=1), mark(3, 1, 90, [0, 0, 8, 9])]
    return read_coco(root, [image(1), image("two")], marks)


def test_samples(tmp_path):
    files = small_coco(tmp_path)
    dataset = DetectionDataset(files)
    sample = dataset[0]
    assert len(dataset) == 2
    assert sorted(sample) == ["boxed", "boxes", "crowd", "difficult", "file", "id", "image", "labels", "size", "tiny"]
    assert sample["image"].shape == (20, 30, 3) and sample["image"].dtype == np.uint8
    assert sample["boxes"].tolist() == [[1, 1, 6, 6], [0, 0, 8, 9]] and sample["boxes"].dtype == np.float32
    assert sample["labels"].tolist() == [0, 2] and sample["labels"].dtype == np.int64
    assert sample["difficult"].tolist() == sample["crowd"].tolist() == [False, False]
    assert sample["file"] == str(files.image_paths[0]) and sample["id"] == 1 and sample["size"] == (20, 30)
    assert dataset[3, 0]["boxes"].tolist() == sample["boxes"].tolist() and sample["tiny"] == 0
    empty = dataset[1]
    assert empty["id"] == "two" and empty["boxes"].shape == (0, 4) and empty["labels"].shape == (0,)


def test_crowds_are_kept_when_asked_for(tmp_path):
    sample = DetectionDataset(small_coco(tmp_path), keep_crowds=True)[0]
    assert sample["labels"].tolist() == [0, 1, 2] and sample["crowd"].tolist() == [False, True, False]


def test_the_transform_says_which_boxes_are_left(tmp_path):
    seen = []

    def transform(image, boxes, labels, epoch, index):
        seen.append((labels.tolist(), epoch, index))
        return Augmented(image[:10], boxes[[2, 0]] / 2, np.array([2, 0]), 1)

    sample = DetectionDataset(small_coco(tmp_path), transform, keep_crowds=True)[7, 0]
    assert seen == [([0, 1, 2], 7, 0)]
    assert sample["labels"].tolist() == [2, 0] and sample["boxes"].tolist() == [[0, 0, 4, 4.5], [0.5, 0.5, 3, 3]]
    assert sample["crowd"].tolist() == [False, False] and sample["tiny"] == 1
    assert sample["image"].shape == (10, 30, 3) and sample["size"] == (20, 30)


def test_samples_may_be_changed_without_changing_the_annotations(tmp_path):
    dataset = DetectionDataset(small_coco(tmp_path))
    dataset[0]["boxes"][:] = 0
    dataset[0]["labels"][:] = 0
    assert dataset[0]["boxes"].tolist() == [[1, 1, 6, 6], [0, 0, 8, 9]] and dataset[0]["labels"].tolist() == [0, 2]


def test_images_are_turned_upright(tmp_path):
    root = write_coco(tmp_path, [image(1, size=(20, 30))], [mark(1, 1, 0, [5, 20, 10, 10])])
    write_image(root / "train" / "1.jpg", (30, 20), orientation=6)
    sample = DetectionDataset(find_detection("coco", "train", root))[0]
    assert sample["image"].shape == (30, 20, 3) and sample["size"] == (30, 20)
    assert sample["boxes"].tolist() == [[5, 20, 15, 30]]


def test_boxes_for_another_size_are_an_error(tmp_path):
    files = read_coco(tmp_path, [image(1, size=(15, 10))], [])
    assert error_line(DetectionDataset(files).__getitem__, 0).startswith(f"{files.image_paths[0]}: is 30x20, but")


def test_limit(tmp_path):
    files = read_coco(
        tmp_path, [image(n) for n in range(4)], [mark(1, 3, 0, [1, 1, 2, 2]), mark(2, 9, 0, [1, 1, 2, 2])]
    )
    some = limit_detection(files, 2)
    assert some.ids == [0, 1] and len(some.image_paths) == len(some.objects) == len(some.sizes) == 2
    assert some.faults == files.faults and some.names == files.names
    assert limit_detection(files, None) == files
