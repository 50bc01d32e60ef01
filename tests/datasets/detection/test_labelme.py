"""What people drew in labelme: boxes, masks and faults."""

import base64

import cv2
import numpy as np
import pytest

from datasets.detection.checks import check_detection
from datasets.detection.find import find_detection
from datasets.inspected_splits import choose_task, find_splits
from datasets.inspection import inspect_splits
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.datasets.detection.drawn_trees import SHAPES, boxes, drawn, labelme_tree, refusal, write_labelme
from tests.datasets.detection.trees import write_image


@pytest.fixture
def labelme(tmp_path):
    return labelme_tree(tmp_path)


def test_labelme_boxes(labelme):
    files = find_detection("labelme", "train", labelme)
    assert files.names == ["cat", "dog"] and files.sizes == [(20, 30)] and not files.faults
    assert boxes(files) == [[2, 4, 12, 14], [20, 2, 28, 18], [12, 7, 18, 13]]
    assert files.objects[0].labels.tolist() == [0, 1, 0]
    assert files.notes == [
        "1 image without a json left out: bare.jpg",
        "1 line or point left out: a.json",
        "1 shape labelled background or __ignore__ left out: a",
    ]
    assert find_detection("labelme", "val", labelme).ids == ["b"]
    assert check_detection(files).boxes.tolist() == [2, 1]
    assert choose_task("labelme", labelme) == "detection"


def test_labelme_masks(labelme):
    files = find_segmentation("labelme", "train", labelme)
    mask = SegmentationDataset(files)[0]["mask"]
    assert files.names == ["background", "cat", "dog"]
    assert mask[5, 5] == 1 and mask[3, 26] == 2 and mask[10, 15] == 1 and mask[1, 1] == 255 and mask[19, 0] == 0
    found, early = find_splits("segmentation", "labelme", None, labelme, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early
    assert not inspect_splits(found[:1]).total("error")


def test_later_shapes_of_labelme_cover_earlier_ones(labelme):
    write_labelme(labelme / "train", "a", drawn("dog", None, (0, 0), (29, 0), (29, 19), (0, 19)), SHAPES[0])
    mask = SegmentationDataset(find_segmentation("labelme", "train", labelme))[0]["mask"]
    assert mask[8, 8] == 1 and mask[17, 25] == 2


def test_a_circle_around_a_corner_of_labelme_is_drawn(labelme):
    write_labelme(labelme / "train", "a", drawn("cat", "circle", (0, 0), (29, 19)))
    mask = SegmentationDataset(find_segmentation("labelme", "train", labelme))[0]["mask"]
    assert mask[:18, :28].all()


def test_a_json_of_labelme_without_a_size_is_told(labelme):
    write_labelme(labelme / "train", "a", SHAPES[0], imageHeight="20")
    for files in (find_detection("labelme", "train", labelme), find_segmentation("labelme", "train", labelme)):
        assert "1 json without imageWidth and imageHeight above 0, which are not compared: a" in files.notes


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([drawn("cat", "rectangle", (1, 1))], "shape 1 is a rectangle of 1 points"),
        ([SHAPES[0], drawn("cat", "polygon", (1, 1), (2, 2))], "shape 2 is a polygon of 2 points"),
        ([drawn("cat", "blob", (1, 1), (2, 2))], "shape 1 is a blob"),
        ([drawn("", "rectangle", (1, 1), (2, 2))], "shape 1 has no label"),
        ([3], "shape 1 has no label"),
        ([drawn("cat", "rectangle", (1, 1), (2, float("inf")))], "beyond reason"),
        ([drawn("cat", "rectangle", (1, 1), (2, 10**400))], "beyond reason"),
        ([drawn("cat", "rectangle", (1, 1), (2, True))], "not lists of x and y"),
        ([drawn("cat", "rectangle", (1, 1), (2,))], "not lists of x and y"),
        ([{"label": "cat", "points": 5}], "not lists of x and y"),
        ([drawn("cat", "rectangle", (1, 1), (2, 2), group_id=[1])], "group_id"),
    ],
)
def test_faulty_shapes_of_labelme(labelme, shapes, said):
    write_labelme(labelme / "train", "a", *shapes)
    write_labelme(labelme / "train", "c", SHAPES[0])
    line = refusal(check_detection, find_detection("labelme", "train", labelme))
    assert line.startswith(f"{labelme / 'train/a.json'}: ") and said in line
    files = find_segmentation("labelme", "train", labelme)
    assert said in refusal(lambda: SegmentationDataset(files)[0])


PIXELS = np.array([[1, 0, 1], [0, 1, 1]], dtype=np.uint8)


def png(pixels) -> str:
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()


@pytest.mark.parametrize("covered", [1, 255])
def test_brushed_masks_of_labelme(labelme, covered):
    dog = drawn("dog", "rectangle", (0, 0), (8, 8))
    brushed = drawn("cat", "mask", (4, 2), (6, 3), mask=png(covered * PIXELS))
    outside = drawn("cat", "mask", (29, 19), (31, 20), mask=png(covered * PIXELS))
    write_labelme(labelme / "train", "a", dog, brushed, outside)
    assert boxes(find_detection("labelme", "train", labelme))[1] == [4, 2, 7, 4]
    mask = SegmentationDataset(find_segmentation("labelme", "train", labelme))[0]["mask"]
    assert mask[2:4, 4:7].tolist() == [[1, 2, 1], [2, 1, 1]] and mask[19, 29] == 1 and (mask == 1).sum() == 5


@pytest.mark.parametrize(
    ("text", "last", "said"),
    [
        ("iVBORw0KGgo=", (6, 3), "a brushed mask that is no image in base64"),
        (None, (6, 3), "a brushed mask that is no image in base64"),
        ("\u00e9", (6, 3), "a brushed mask that is no image in base64"),
        (png(PIXELS), (7, 3), "a brushed mask of 3x2 where its points say 4x2"),
        (png(PIXELS), (40, 3), "a brushed mask of 37x2 in an image of 30x20"),
    ],
)
def test_brushed_masks_of_labelme_that_cannot_be_read(labelme, text, last, said):
    write_labelme(labelme / "train", "a", drawn("cat", "mask", (4, 2), last, mask=text))
    line = refusal(lambda: SegmentationDataset(find_segmentation("labelme", "train", labelme))[0])
    assert line == f"{labelme / 'train/a.json'}: region 1 has {said}; draw it anew"


def test_faulty_files_of_labelme(labelme):
    path = labelme / "train" / "a.json"
    for content, said in (("{", "is not json"), ("[]", 'no list "shapes"'), ('{"shapes": 3}', 'no list "shapes"')):
        path.write_text(content)
        write_labelme(labelme / "train", "c", SHAPES[0])
        line = refusal(check_detection, find_detection("labelme", "train", labelme))
        assert line.startswith(f"{path}: ") and said in line
    write_labelme(labelme / "train", "a", SHAPES[0], size=(20, 30))
    files = find_detection("labelme", "train", labelme)
    assert "its annotation is for an image of 20x30" in refusal(check_detection, files)
    write_labelme(labelme / "train", "a", drawn("cow", "rectangle", (1, 1), (5, 5)))
    for find in (find_detection, find_segmentation):
        said = f"{labelme / 'labels.txt'}: annotations have classes that are not listed: cow (1 box)"
        assert said in refusal(lambda find=find: check_detection(find("labelme", "train", labelme)))
    (labelme / "labels.txt").unlink()
    assert refusal(find_detection, "labelme", "train", labelme).endswith("such as cat, cow")


def test_images_of_labelme_are_looked_for_in_the_tree_alone(labelme, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_image(elsewhere / "x.jpg")
    write_image(labelme / "pictures" / "y.jpg")
    write_labelme(labelme / "train", "a", SHAPES[0], imagePath="..\\pictures\\y.jpg")
    write_labelme(labelme / "train", "c", SHAPES[0], imagePath=str(elsewhere / "x.jpg"))
    (labelme / "train" / "c.jpg").unlink()
    files = find_detection("labelme", "train", labelme)
    assert files.image_paths[0] == labelme / "pictures" / "y.jpg"
    assert "c.json: its image" in refusal(check_detection, files)
