"""Tiles cover an image, and what is merged of them is each object once, whole, where it is."""

import json
from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets import DataError
from tasks.detection.detections import Detections
from tasks.detection.tiles import Tiled, lay_tiles, merge_detections
from tasks.joint.task import Joint
from tasks.joint.tiles import TiledJoint
from tasks.wings import load_task

SIZES = [((480, 640), (320, 320)), ((97, 1001), (33, 250)), ((64, 65), (64, 64)), ((50, 3000), (100, 100))]


@pytest.mark.parametrize("size, tile", SIZES)
def test_tiles_cover_the_image_and_overlap(size, tile):
    tiles = lay_tiles(size, tile)
    for axis, (length, side) in enumerate(zip(size, tile, strict=True)):
        side = min(length, side)
        spans = sorted({(part[axis].start, part[axis].stop) for part in tiles})
        assert spans[0][0] == 0 and spans[-1][1] == length
        assert all(stop - start == side for start, stop in spans)
        shared = [before[1] - after[0] for before, after in pairwise(spans)] or [side / 5]
        assert side / 5 - 1 <= min(shared) and max(shared) <= min(min(shared) + 1, side)
    assert len(tiles) == len({(rows.start, columns.start) for rows, columns in tiles})


def test_one_tile_where_the_image_is_no_larger():
    assert len(lay_tiles((64, 64), (64, 64))) == len(lay_tiles((20, 64), (64, 65536))) == 1


class Eyes:
    """Finds bright rectangles whose sides are a tenth of what it looks at, at least; larger ones are surer."""

    kind, spec = "detection", SimpleNamespace(names=["a", "b"])

    def __init__(self):
        self.seen = []

    def predict(self, images, score_threshold=0.001, iou_threshold=0.55):
        self.seen += [image.shape[:2] for image in images]
        return [self._look(image, score_threshold) for image in images]

    def _look(self, image, score_threshold):
        stats = cv2.connectedComponentsWithStats((image[..., 0] > 0).astype(np.uint8))[2][1:]
        sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
        boxes = np.concatenate([stats[:, :2], stats[:, :2] + sides], 1).astype(np.float32)
        shares = sides.min(1) / max(image.shape[:2])
        scores = (0.5 + shares / 2).astype(np.float32)
        labels = (image[boxes[:, 1].astype(int), boxes[:, 0].astype(int), 0] > 1).astype(np.int64)
        order = np.argsort(-scores, kind="stable")
        order = order[(shares[order] >= 0.1) & (scores[order] > score_threshold)]
        return Detections(boxes[order], scores[order], labels[order])


def scene(*rectangles, size=(400, 600)):
    """An image with rectangles x1, y1, x2, y2, label."""
    image = np.zeros((*size, 3), np.uint8)
    for x1, y1, x2, y2, label in rectangles:
        image[y1:y2, x1:x2] = label + 1
    return image


SMALL = [(x, y, x + 20, y + 20, (x + y) // 30 % 2) for x in range(3, 580, 52) for y in range(5, 380, 45)]


def rows(found):
    return {(*box, label) for box, label in zip(found.boxes.tolist(), found.labels.tolist(), strict=True)}


def test_every_small_object_is_found_once_where_it_is():
    image, eyes = scene(*SMALL), Eyes()
    assert not len(eyes.predict([image])[0].boxes)
    (found,) = Tiled(eyes, (100, 100)).predict([image])
    # those that a tile cuts are whole in the next one
    assert rows(found) == set(SMALL) and len(found.boxes) == len(SMALL) and (np.diff(found.scores) <= 0).all()
    assert found.boxes.dtype == found.scores.dtype == np.float32 and found.labels.dtype == np.int64


def test_a_large_object_is_found_whole_and_its_pieces_are_not():
    large = (50, 60, 350, 300, 0)
    (found,) = Tiled(Eyes(), (100, 100)).predict([scene(large)])
    assert rows(found) == {large} and found.scores[0] > 0.6


def test_pieces_stay_behind_where_nothing_shows_them_whole():
    long, other = (50, 60, 350, 80, 0), (200, 150, 270, 220, 1)
    (found,) = Tiled(Eyes(), (100, 100)).predict([scene(other, long)])
    thing, *pieces = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    assert thing[0] == 1 and thing[1] > 0.5
    assert len(pieces) > 2 and all(label == 0 and score <= 0.5 for label, score, _ in pieces)
    assert not len(Tiled(Eyes(), (100, 100)).predict([scene(long)], score_threshold=0.5)[0].boxes)


def test_boxes_at_the_images_own_border_are_not_cut():
    corners = {(0, 0, 30, 30, 0), (560, 0, 600, 40, 1), (0, 370, 30, 400, 1), (570, 365, 600, 400, 0)}
    (found,) = Tiled(Eyes(), (100, 100)).predict([scene(*corners)], score_threshold=0.5)
    assert rows(found) == corners


def test_objects_of_two_classes_in_one_place_both_stay():
    parts = [(slice(0, 100), slice(0, 20000)), (slice(0, 100), slice(0, 100))]
    box = np.array([[10, 10, 50, 50]], np.float32)
    found = [Detections(box, np.array([score], np.float32), np.array([label])) for score, label in ((0.9, 0), (0.8, 1))]
    both = merge_detections(found, parts, 0.001, 0.55)
    assert both.labels.tolist() == [0, 1] and both.scores.tolist() == pytest.approx([0.9, 0.8])
    found[1].labels[:] = 0
    assert merge_detections(found, parts, 0.001, 0.55).scores.tolist() == pytest.approx([0.9])


def test_an_image_without_anything():
    (found,) = Tiled(Eyes(), (100, 100)).predict([scene()])
    assert found.boxes.shape == (0, 4) and found.scores.shape == found.labels.shape == (0,)


def test_an_image_no_larger_than_a_tile_is_looked_at_once():
    eyes, image = Eyes(), scene((10, 10, 40, 40, 1), size=(60, 80))
    (found,) = Tiled(eyes, (60, 100)).predict([image])
    assert eyes.seen == [(60, 80)] and rows(found) == {(10, 10, 40, 40, 1)}


def test_sides_of_tiles_are_limited():
    with pytest.raises(DataError, match="--tile 8 100 is not in 16 to 65536"):
        Tiled(Eyes(), (8, 100))


class Stencil:
    """Masks whose values are the image's, but for 9 within seven pixels of the border; and no boxes."""

    kind, spec = "joint", None

    def predict(self, images, score_threshold=0.001, iou_threshold=0.55):
        none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
        masks = [image[..., 0].copy() for image in images]
        for mask in masks:
            mask[:7] = mask[-7:] = mask[:, :7] = mask[:, -7:] = 9
        return [Joint(mask, none) for mask in masks]


def test_masks_of_tiles_hold_up_to_the_middle_of_their_overlap():
    image = np.random.default_rng(0).integers(0, 5, (211, 307, 1), dtype=np.uint8).repeat(3, 2)
    (found,) = TiledJoint(Stencil(), (80, 80)).predict([image])
    inside = np.s_[7:-7, 7:-7]
    assert np.array_equal(found.mask[inside], image[..., 0][inside]) and (found.mask[:7] == 9).all()


def photo(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_an_exported_file_sees_the_same(detector, tmp_path):
    pytest.importorskip("onnxruntime")
    from deploy import export, load

    file, task = load(export(detector, "onnx", tmp_path / "x.onnx"), threads=1), load_task(detector, "cpu")
    image = photo(150, 110)
    (ours,), (plain,) = (Tiled(one, (64, 64)).predict([image]) for one in (file, task))
    assert abs(len(ours.scores) - len(plain.scores)) < 9 and len(plain.scores) > 300
    np.testing.assert_allclose(ours.scores[:50], plain.scores[:50], atol=1e-3)
    (again,) = Tiled(task, (64, 64)).predict([image])
    assert all(np.array_equal(getattr(again, name), getattr(plain, name)) for name in ("boxes", "scores", "labels"))


def test_tools_take_tiles(detector, joint, shapes, tmp_path, tool_here):
    data, tile = ["--dataset", "coco", "--data-root", str(shapes), "--workers", "0", "--drawn", "1"], ["48", "64"]
    for tool, checkpoint, folder in (("eval_det", detector, "."), ("eval_joint", joint, "boxes")):
        output = tmp_path / tool
        tool_here(tool, "--checkpoint", str(checkpoint), *data, "--output", str(output), "--tile", *tile)
        assert json.loads((output / folder / "scores.json").read_text())["tile"] == [48, 64]
    Image.fromarray(photo(90, 150)).save(tmp_path / "a.png")
    options = ["--source", str(tmp_path / "a.png"), "--output", str(tmp_path / "out"), "--json", "--tile", *tile]
    options += ["--score-threshold", "0.001", "--runtime", "torch"]
    for checkpoint, kind in ((detector, "boxes"), (joint, "joint")):
        tool_here("predict", "--checkpoint", str(checkpoint), *options)
        assert (tmp_path / "out" / f"a_{kind}.png").is_file()
        assert len(json.loads((tmp_path / "out" / "a.json").read_text())["objects"]) > 300


def test_tiles_are_refused_where_there_are_no_boxes_to_merge(checkpoint, classifier, shapes, tmp_path, tool_here):
    source = ["--source", str(shapes / "JPEGImages"), "--output", str(tmp_path / "out"), "--tile", "64", "64"]
    for path, kind in ((checkpoint, "segmentation"), (classifier, "classification")):
        said = tool_here("predict", "--checkpoint", str(path), *source, succeeds=False)
        assert f"--tile is for boxes, and this is a network for {kind}" in said
    (tmp_path / "results.json").write_text("[]")
    options = ["--predictions", str(tmp_path / "results.json"), "--tile", "64", "64"]
    assert "--tile is for checkpoints" in tool_here("eval_det", *options, succeeds=False)
