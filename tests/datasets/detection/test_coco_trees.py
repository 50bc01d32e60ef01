"""COCO's json as annotation programs export it: beside the images of a split, or one for all images."""

import json

import pytest

from datasets.detection.checks import check_detection
from datasets.detection.find import find_detection
from datasets.inspected_splits import find_splits
from datasets.joint.find import find_joint
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.datasets.detection.drawn_trees import refusal
from tests.datasets.detection.trees import write_image

CAT, DOG = ({"id": number, "name": name, "supercategory": "pets"} for number, name in ((1, "cat"), (2, "dog")))
PETS = {"id": 0, "name": "pets", "supercategory": "none"}


def write_export(path, names, categories, folder, category_id=1):
    for name in names:
        write_image(folder / name)
    images = [{"id": at, "file_name": name, "width": 30, "height": 20} for at, name in enumerate(names)]
    square = [[2, 2, 10, 2, 10, 10, 2, 10]]
    marks = [
        {"id": at, "image_id": at, "category_id": category_id, "bbox": [2, 2, 8, 8], "segmentation": square}
        for at in range(len(names))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": marks, "categories": categories}))


def test_roboflow(tmp_path):
    for split, count in (("train", 3), ("valid", 2)):
        names = [f"{split}{at}.jpg" for at in range(count)]
        write_export(tmp_path / split / "_annotations.coco.json", names, [PETS, CAT, DOG], tmp_path / split)
    found, early = find_splits("detection", "coco", None, tmp_path, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early
    files = find_detection("coco", "val", tmp_path)
    assert files.names == ["cat", "dog"] and files.category_ids == [1, 2] and not files.faults
    assert files.image_paths == [tmp_path / "valid" / name for name in ("valid0.jpg", "valid1.jpg")]
    assert check_detection(files).boxes.tolist() == [2, 0]
    masks = find_segmentation("coco", "train", tmp_path)
    assert masks.names == ["background", "cat", "dog"] and (SegmentationDataset(masks)[0]["mask"] == 1).sum() == 64
    assert find_joint("coco", "train", tmp_path).box_names == ["cat", "dog"]
    said = refusal(find_detection, "coco", "test", tmp_path)
    assert said.endswith("instances_test.json: no such split; there are train, valid")
    said = refusal(find_segmentation, "coco", "train", tmp_path, group_by="folder")
    assert said.endswith("_annotations.coco.json: the tree has splits of its own; leave out --group-by")


@pytest.mark.parametrize(
    ("categories", "category_id", "names"),
    [
        ([PETS, CAT, DOG], 0, ["pets", "cat", "dog"]),  # it is annotated
        ([PETS, CAT | {"name": "pets"}], 1, ["pets"]),  # and one of its children has its name
        ([PETS], 0, ["pets"]),
        ([PETS, CAT | {"supercategory": "none"}], 1, ["pets", "cat"]),
        ([PETS | {"supercategory": "things"}, CAT], 1, ["pets", "cat"]),
    ],
)
def test_a_category_that_is_no_parent_alone_is_a_class(tmp_path, categories, category_id, names):
    path = tmp_path / "train" / "_annotations.coco.json"
    write_export(path, ["a.jpg"], categories, tmp_path / "train", category_id)
    assert find_detection("coco", "train", tmp_path).names == names


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        ("annotations/instances_default.json", "images/default"),
        ("annotations/instances_default.json", "images"),
        ("result.json", "."),
        ("_annotations.coco.json", "."),
    ],
)
def test_one_json_for_all_images_is_divided(tmp_path, place, folder):
    names = [f"images/s{at % 3}/{at}.jpg" if place == "result.json" else f"{at}.jpg" for at in range(20)]
    write_export(tmp_path / place, names, [CAT, DOG], tmp_path / folder)
    both = [find_detection("coco", split, tmp_path) for split in ("train", "val")]
    paths = [path for files in both for path in files.image_paths]
    assert len(paths) == 20 and {*paths} == {tmp_path / folder / name for name in names}
    assert 1 <= len(both[1].image_paths) <= 8
    for files in both:
        assert check_detection(files).boxes.tolist() == [len(files.image_paths), 0] and not files.faults
        masks = find_segmentation("coco", files.split, tmp_path)
        assert [pair[0] for pair in masks.pairs] == files.image_paths
    said = refusal(find_detection, "coco", "test", tmp_path)
    assert said == f"{tmp_path / place}: no split test; without sub-folders there are train, val"


def test_one_json_for_all_images_is_divided_by_group(tmp_path):
    names = [f"s{at % 3}/{at}.jpg" for at in range(9)]
    write_export(tmp_path / "result.json", names, [CAT, DOG], tmp_path)
    both = [find_detection("coco", split, tmp_path, group_by="folder") for split in ("train", "val")]
    folders = [{path.parent for path in files.image_paths} for files in both]
    assert not folders[0] & folders[1] and all(folders) and len(folders[0] | folders[1]) == 3


def test_both_parts_of_one_json_have_the_classes_of_the_whole(tmp_path):
    path = tmp_path / "_annotations.coco.json"
    write_export(path, [f"{at}.jpg" for at in range(20)], [PETS, CAT, DOG], tmp_path)
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 0
    path.write_text(json.dumps(content))
    for split in ("train", "val"):
        assert find_detection("coco", split, tmp_path).names == ["pets", "cat", "dog"]


def test_a_json_that_is_named_is_not_divided(tmp_path):
    path = tmp_path / "result.json"
    write_export(path, ["a.jpg", "b.jpg"], [CAT], tmp_path)
    assert len(find_detection("coco", "val", tmp_path, annotations=path).image_paths) == 2
    said = refusal(find_detection, "coco", "val", tmp_path, annotations=path, group_by="folder")
    assert said == f"{path}: is read whole; leave out --group-by"


def test_the_json_of_a_split_goes_before_one_for_all(tmp_path):
    write_export(tmp_path / "annotations/instances_default.json", ["a.jpg", "b.jpg"], [CAT], tmp_path)
    assert len(find_detection("coco", "default", tmp_path).image_paths) == 2
    write_export(tmp_path / "annotations/instances_train.json", ["a.jpg"], [CAT], tmp_path)
    assert len(find_detection("coco", "train", tmp_path).image_paths) == 1
    assert "there are default, train" in refusal(find_detection, "coco", "val", tmp_path)


def test_faults_of_one_json_for_all_images_are_told(tmp_path):
    write_export(tmp_path / "result.json", [f"{at}.jpg" for at in range(9)], [CAT], tmp_path)
    content = json.loads((tmp_path / "result.json").read_text())
    content["images"] += [3, {"id": [1], "file_name": "x.jpg"}]
    content["annotations"] += [None, {"id": 50, "image_id": 99, "category_id": 1, "bbox": [1, 1, 2, 2]}]
    (tmp_path / "result.json").write_text(json.dumps(content))
    faults = "; ".join(find_detection("coco", "val", tmp_path).faults)
    assert "2 images without an id and a file_name" in faults and "1 annotation of unknown images" in faults
    assert "1 annotation without image_id" in faults
