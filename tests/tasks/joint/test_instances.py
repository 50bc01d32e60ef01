"""Instance masks: the class mask cut by each box."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from datasets.joint.find import find_joint
from tasks.detection.detections import Detections
from tasks.joint.instances import cut_instances, instance_scores
from tasks.joint.task import Joint

NAMES = ["background", "disc", "square"]


def found(mask, *boxes):
    corners, labels = (np.array(values) for values in zip(*boxes, strict=True))
    scores = np.linspace(0.9, 0.1, len(labels)).astype(np.float32)
    return Joint(np.array(mask, dtype=np.uint8), Detections(corners.astype(np.float32), scores, labels))


def test_overlaps_go_to_the_higher_score_and_other_classes_are_left_out():
    mask = np.ones((4, 6), dtype=np.uint8)
    mask[:, 5] = 2
    seen = found(mask, ((0, 0, 3, 2), 0), ((1.4, 0.6, 9, 4), 0), ((2, 0, 6, 4), 1), ((0, 0, 6, 4), 2))
    expected = [[1, 1, 1, 0, 0, 3], [1, 1, 1, 2, 2, 3], [0, 2, 2, 2, 2, 3], [0, 2, 2, 2, 2, 3]]
    assert cut_instances(seen, NAMES, ["disc", "square", "cross"]).tolist() == expected


def test_nothing_found_is_nothing_cut():
    empty = Joint(np.ones((2, 3), dtype=np.uint8), Detections(np.zeros((0, 4), np.float32), *np.zeros((2, 0))))
    assert not cut_instances(empty, NAMES, NAMES[1:]).any()


def test_true_masks_and_boxes_give_the_true_instances(shapes):
    files = find_joint("coco", "val", shapes)
    truth = {}
    for index, labelled in enumerate(files.images):
        boxes = files.boxes.objects[labelled.boxes]
        ones = np.ones(len(boxes), dtype=np.float32)
        mask = files.masks.pairs[labelled.mask][1].read(files.boxes.sizes[labelled.boxes])
        truth[index] = Joint(files.masks.classes(mask), Detections(boxes.boxes, ones, boxes.labels))
    spec = SimpleNamespace(names=files.names, box_names=files.box_names)
    order = iter(truth.values())
    scores = instance_scores(SimpleNamespace(spec=spec, predict=lambda images: [next(order)]), files.boxes, 0)
    overlaps = shared_pixels(shapes)
    assert scores["AP50"] == pytest.approx(1.0) if not overlaps else 0.5 < scores["AP50"] <= 1
    assert scores["AP"] > 0.8


def shared_pixels(root):
    """Whether boxes of a class overlap in the split, so that one takes another's pixels."""
    rows = json.loads((root / "annotations" / "instances_val.json").read_text())["annotations"]
    for one in rows:
        for other in rows:
            same = one["image_id"] == other["image_id"] and one["category_id"] == other["category_id"]
            if same and one["id"] < other["id"]:
                (x, y, w, h), (left, top, wide, high) = one["bbox"], other["bbox"]
                if x < left + wide and left < x + w and y < top + high and top < y + h:
                    return True
    return False


def test_a_network_that_sees_nothing_has_no_score(shapes):
    files = find_joint("coco", "val", shapes)
    nothing = Detections(np.zeros((0, 4), np.float32), *np.zeros((2, 0)))
    spec = SimpleNamespace(names=files.names, box_names=files.box_names)
    predictor = SimpleNamespace(spec=spec, predict=lambda images: [Joint(images[0][..., 0] * 0, nothing)])
    assert instance_scores(predictor, files.boxes, 0)["AP"] == 0
