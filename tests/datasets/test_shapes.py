"""The synthetic set: reproducible, left alone once written, hard enough, and valid as VOC and COCO."""

import errno
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from datasets import shapes
from datasets.faults import DataError
from datasets.images import read_image
from datasets.segmentation.find import voc_files
from datasets.segmentation.masks import read_mask
from datasets.shapes import NAMES, write_shapes

SMALL = {"train": 3, "val": 2}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, seed=3, splits={"train": 40, "val": 10})
    return root


def content(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def masks(root, split="train"):
    return [read_mask(drawn) for _, drawn in voc_files(root, split).pairs]


def test_the_same_seed_writes_the_same_files(tmp_path):
    for name in "ab":
        write_shapes(tmp_path / name, seed=5, splits=SMALL)
    first = content(tmp_path / "a")
    assert len(first) == 2 * 5 + 2 + 2 + 2  # images and masks, lists, annotations, labels and recipe
    assert first == content(tmp_path / "b")


def test_another_seed_writes_other_images_and_masks(tmp_path):
    for seed in (0, 1):
        write_shapes(tmp_path / str(seed), seed=seed, splits=SMALL)
    first, second = content(tmp_path / "0"), content(tmp_path / "1")
    assert first.keys() == second.keys()
    drawn = [path for path in first if path.suffix in (".jpg", ".png")]
    assert all(first[path] != second[path] for path in drawn)


def test_no_image_comes_twice(tree):
    images = [path.read_bytes() for path in (tree / "JPEGImages").iterdir()]
    assert len(set(images)) == len(images) == 50


def test_a_image_does_not_depend_on_how_many_there_are(tmp_path):
    write_shapes(tmp_path / "a", splits={"train": 2, "val": 1})
    write_shapes(tmp_path / "b", splits={"train": 1, "val": 1})
    for name in ("train_0000", "val_0000"):
        first, second = (tmp_path / root / "SegmentationClass" / f"{name}.png" for root in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_a_second_call_leaves_the_tree_alone(tmp_path):
    write_shapes(tmp_path / "s", splits=SMALL)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")}
    write_shapes(tmp_path / "s", splits=SMALL)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")} == times


@pytest.mark.parametrize("name", ["notes.txt", "shapes.json"])
def test_foreign_content_is_an_error_and_stays(tmp_path, name):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / name).write_text("mine")
    with pytest.raises(DataError, match=r"/s: holds something else.*--data-root"):
        write_shapes(tmp_path / "s", splits=SMALL)
    assert content(tmp_path).popitem() == ((tmp_path / "s" / name).relative_to(tmp_path), b"mine")
    assert len(content(tmp_path)) == 1


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "s").write_text("mine")
    with pytest.raises(DataError, match="holds something else"):
        write_shapes(tmp_path / "s", splits=SMALL)
    assert (tmp_path / "s").read_text() == "mine"


def test_another_seed_does_not_overwrite(tmp_path):
    write_shapes(tmp_path / "s", seed=0, splits={"train": 1})
    before = content(tmp_path / "s")
    with pytest.raises(DataError, match="holds something else"):
        write_shapes(tmp_path / "s", seed=1, splits={"train": 1})
    assert content(tmp_path / "s") == before


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "s").mkdir()
    write_shapes(tmp_path / "s", splits={"train": 1})
    assert len(masks(tmp_path / "s")) == 1


@pytest.mark.parametrize(
    "error, raised",
    [
        (OSError(errno.ENOSPC, "No space left on device"), DataError),
        (OSError("encoder error -2 when writing image file"), DataError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch, error, raised):
    written = shapes._write_split

    def fail_in_the_second_split(root, split, *rest):
        if split == "val":
            raise error
        written(root, split, *rest)

    monkeypatch.setattr(shapes, "_write_split", fail_in_the_second_split)
    with pytest.raises(raised, match=r"s: the Shapes set cannot be written \(.+\)" if raised is DataError else ""):
        write_shapes(tmp_path / "s", splits=SMALL)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_may_write_at_once(tmp_path, monkeypatch):
    written = shapes._write_split
    monkeypatch.setattr(shapes, "_write_split", lambda *given: (overtake(), written(*given)))

    def overtake():
        monkeypatch.setattr(shapes, "_write_split", written)
        write_shapes(tmp_path / "s", splits={"train": 1})

    write_shapes(tmp_path / "s", splits={"train": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert len(masks(tmp_path / "s")) == 1


# what is drawn


def test_every_class_and_void_occur_and_background_is_not_all(tree):
    pixels = sum(np.bincount(mask.ravel(), minlength=256) for mask in masks(tree))
    assert np.flatnonzero(pixels).tolist() == [0, 1, 2, 3, 4, 5, 255]
    assert 0.2 < pixels[0] / pixels.sum() < 0.8
    assert pixels[1:6].min() / pixels[1:6].max() > 0.2
    assert 0.01 < pixels[255] / pixels.sum() < 0.2


def test_images_fit_their_masks_and_vary_in_size(tree):
    sizes = set()
    for image, drawn in voc_files(tree, "train").pairs:
        sizes.add(read_image(image).shape[:2])
        assert read_image(image).shape[:2] == read_mask(drawn).shape
    assert len(sizes) > 3


def test_small_and_large_objects_occur(tree):
    annotations = json.loads((tree / "annotations" / "instances_train.json").read_text())["annotations"]
    areas = np.array([annotation["area"] for annotation in annotations])
    assert areas.min() >= 16 and (areas < 400).any() and (areas > 2500).any()


# COCO json


@pytest.fixture(scope="module", params=["train", "val"])
def coco(request, tree):
    return json.loads((tree / "annotations" / f"instances_{request.param}.json").read_text())


def test_coco_ids_are_unique_and_refer_to_something(coco, tree):
    images, annotations = coco["images"], coco["annotations"]
    assert len({image["id"] for image in images}) == len(images) in (40, 10)
    assert len({annotation["id"] for annotation in annotations}) == len(annotations) > len(images)
    assert {annotation["image_id"] for annotation in annotations} <= {image["id"] for image in images}
    assert all((tree / "JPEGImages" / image["file_name"]).is_file() for image in images)


def test_coco_categories_are_1_to_5(coco):
    assert [(c["id"], c["name"]) for c in coco["categories"]] == list(enumerate(NAMES))[1:]
    assert {annotation["category_id"] for annotation in coco["annotations"]} == {1, 2, 3, 4, 5}


def test_coco_boxes_lie_inside_the_images(coco):
    images = {image["id"]: image for image in coco["images"]}
    for annotation in coco["annotations"]:
        image = images[annotation["image_id"]]
        x, y, width, height = annotation["bbox"]
        assert x >= 0 and y >= 0 and width > 0 and height > 0
        assert x + width <= image["width"] and y + height <= image["height"]


def test_coco_areas_boxes_and_sizes_are_the_masks_own(coco):
    images = {image["id"]: image for image in coco["images"]}
    for annotation in coco["annotations"]:
        rle = annotation["segmentation"]
        image = images[annotation["image_id"]]
        assert rle["size"] == [image["height"], image["width"]]
        visible = coco_mask.decode(rle)
        assert visible.sum() == annotation["area"]
        rows, columns = np.nonzero(visible)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation["bbox"] == box


def test_coco_masks_agree_with_the_voc_masks(coco, tree):
    drawn = {image["id"]: tree / "SegmentationClass" / f"{image['file_name'][:-4]}.png" for image in coco["images"]}
    for annotation in coco["annotations"][:60]:
        below = read_mask(drawn[annotation["image_id"]])[coco_mask.decode(annotation["segmentation"]) > 0]
        assert set(np.unique(below)) <= {annotation["category_id"], 255}
