"""YOLO's labels: boxes, masks, names and faults."""

import numpy as np
import pytest

from datasets.detection.checks import check_detection
from datasets.detection.find import find_detection
from datasets.inspected_splits import choose_task, find_splits
from datasets.joint.find import find_joint
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.datasets.detection.drawn_trees import boxes, refusal, write_yolo
from tests.datasets.detection.trees import write_image


def test_yolo(tmp_path):
    text = "1 0.5 0.5 0.2 0.4\n\n0 0.1 0.1 0.3 0.1 0.3 0.5\n0 0.95 0.5 0.5 0.5\n"
    root = write_yolo(tmp_path, {"a": text, "b": "", "c": None})
    (root / "labels" / "train" / "d.txt").write_text("")
    write_yolo(tmp_path, {"e": "0 0.5 0.5 1 1"}, "val")
    files = find_detection("yolo", "train", root)
    assert files.names == ["cat", "dog"] and files.ids == ["a", "b", "c"] and not files.faults
    np.testing.assert_allclose(boxes(files), [[12, 6, 18, 14], [3, 2, 9, 10], [21, 5, 30, 15]], atol=1e-4)
    assert files.objects[0].labels.tolist() == [1, 0, 0] and not boxes(files, 1) and not boxes(files, 2)
    assert [note.split(":")[0] for note in files.notes] == [
        "1 image without a label file, taken to be without objects",
        "1 label file without an image left out",
        "1 box reaching out of the image clipped",
    ]
    assert find_detection("yolo", "val", root).ids == ["e"]
    found, early = find_splits("detection", "yolo", None, root, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 0.5 0.5 0.2", "line 1 has 4 numbers"),
        ("0 0.5 0.5 0.2 0.2 0.9", "line 1 has 6 numbers"),
        ("\n2 0.5 0.5 0.2 0.2", "line 2 has class 2, and classes are 0 to 1"),
        ("-1 0.5 0.5 0.2 0.2", "has class -1"),
        ("0.0 0.5 0.5 0.2 0.2", "has class 0.0"),
        ("9999999999999999999999 0.5 0.5 0.2 0.2", "has class 99"),
        ("0 15 10 4 4", "numbers outside of 0 to 1"),
        ("0 nan 0.5 0.2 0.2", "numbers outside of 0 to 1"),
        ("0 0.5 0.5 0.2 1_0", "something else than numbers"),
        ("0 0.5 0.5 0.2 x", "something else than numbers"),
        ("0 0.5 0.5 0.2 \u0660.\u0665", "something else than numbers"),
    ],
)
def test_faulty_lines_of_yolo(tmp_path, text, said):
    root = write_yolo(tmp_path, {"a": text, "b": "0 0.5 0.5 1 1"})
    line = refusal(check_detection, find_detection("yolo", "train", root))
    assert line.startswith(f"{root / 'labels/train/a.txt'}: line ") and said in line


def test_faulty_label_files_of_yolo(tmp_path):
    root = write_yolo(tmp_path, {"a": "", "b": "0 0.5 0.5 1 1"})
    (root / "labels/train/a.txt").write_bytes(b"\xff\xfe0")
    assert "not UTF-8" in refusal(check_detection, find_detection("yolo", "train", root))
    (root / "labels/train/a.txt").write_text("")
    write_image(root / "images/train/a.png")
    assert "1 label file for several images: a.txt" in refusal(check_detection, find_detection("yolo", "train", root))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: {1: dog, 0: cat}", ["cat", "dog"]),
        ("names:\n- background\n- dog", ["background", "dog"]),
        ("names: {0: cat, 2: dog}", "a name for each class from 0 on"),
        ("names: {0: cat, 0: dog}", "a name for each class from 0 on"),
        ("names: [cat, cat]", "cat listed twice"),
        ("names: [cat, [dog]]", "a name for each class"),
        ('names: ["a\\nb"]', "a name for each class"),
        ("names: 3", 'no list "names"'),
        ("nc: 2", 'no list "names"'),
        ("nc: 2\nnames: [cat, dog]", ["cat", "dog"]),
        ("nc: 3\nnames: [cat, dog]", "has names of 2 classes, but nc is 3"),
        ("nc: [2]\nnames: {0: cat, 1: dog}", "has names of 2 classes, but nc is ["),
        ("names: [", "is not YAML"),
        ("names: " + "[" * 1500, "is not YAML"),
    ],
)
def test_names_of_yolo(tmp_path, text, names):
    root = write_yolo(tmp_path, {"a": "0 0.5 0.5 1 1"}, names=text)
    if isinstance(names, list):
        assert find_detection("yolo", "train", root).names == names
    else:
        line = refusal(find_detection, "yolo", "train", root)
        assert line.startswith(f"{root / 'data.yaml'}: ") and names in line


def test_masks_of_yolo(tmp_path):
    polygon = "1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"
    root = write_yolo(tmp_path, {"a": f"{polygon}\n0 0.5 0.5 0.2 0.2", "b": "", "c": "0 0.5 0.5 1 1\n" + polygon})
    write_yolo(tmp_path, {"d": polygon}, "val")
    files = find_segmentation("yolo", "train", root)
    assert files.names == ["background", "cat", "dog"]
    assert files.notes == ["2 boxes among polygons, whose whole rectangles are masks: a.txt, c.txt"]
    first, second, third = (SegmentationDataset(files)[index]["mask"] for index in range(3))
    assert first[3, 5] == 2 and first[10, 15] == 1 and first[0, 0] == 0 and (first == 2).sum() == 12 * 8 - 3 * 2
    assert not second.any() and third[3, 5] == 2 and third[19, 29] == 1
    found, early = find_splits("segmentation", "yolo", None, root, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early
    assert choose_task("yolo", root) == "detection"
    assert find_joint("yolo", "train", root).box_names == ["cat", "dog"]


def test_faults_of_masks_of_yolo(tmp_path):
    root = write_yolo(tmp_path, {"a": "0 0.5 0.5 1 1", "b": ""})
    line = refusal(find_segmentation, "yolo", "train", root)
    assert line == f"{root}: split train has boxes and no polygons to draw masks of; train_det reads boxes"
    write_yolo(tmp_path, {"b": "1 0.1 0.1 0.5 0.1 0.5 x"})
    assert "b.txt: line 1 has something else than numbers" in refusal(find_segmentation, "yolo", "train", root)
    write_yolo(tmp_path, {"a": "", "b": "0 0.1 0.1 0.5 0.1 0.5 0.5"}, names="names: [background, dog]")
    files = find_segmentation("yolo", "train", root)
    assert files.names == ["background", "dog"] and not SegmentationDataset(files)[1]["mask"].any()


def test_yolo_as_roboflow_and_labelimg_write_it(tmp_path):
    root = write_yolo(tmp_path, {"a": "0 0.5 0.5 1 1"}, "valid", swapped=True)
    assert find_detection("yolo", "val", root).ids == ["a"]
    assert "no such split; there are valid" in refusal(find_detection, "yolo", "train", root)
    (root / "data.yaml").unlink()
    assert "names of the classes" in refusal(find_detection, "yolo", "val", root)
    (root / "classes.txt").write_text("background\ndog\n")
    assert find_detection("yolo", "val", root).names == ["background", "dog"]
    (root / "classes.txt").write_text("cat\n\ndog\n")
    assert "a name for each class" in refusal(find_detection, "yolo", "val", root)
