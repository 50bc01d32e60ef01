"""Validation splits of whole groups."""

import pytest

from datasets.detection.find import find_detection
from datasets.grouping import check_group_by, hold_out
from datasets.segmentation.find import find_segmentation
from tests.datasets.detection.drawn_trees import (
    BOX,
    SHAPES,
    cvat_image,
    labelme_tree,
    refusal,
    write_cvat,
    write_labelme,
    write_yolo,
)
from tests.datasets.detection.trees import write_image


@pytest.fixture
def labelme(tmp_path):
    return labelme_tree(tmp_path)


NAMES = [f"video{video}/{video}_{frame:03d}.jpg" for video in range(12) for frame in range(5)]


@pytest.mark.parametrize("group_by", ["folder", "(.+)_[0-9]+", r"^(\d+)_"])
def test_groups_are_whole(group_by, tmp_path):
    parts = {split: hold_out(NAMES, split, group_by, tmp_path) for split in ("train", "val")}
    assert sorted(parts["train"] + parts["val"]) == sorted(NAMES)
    train, val = ({name.split("/")[0] for name in names} for names in parts.values())
    assert not train & val and 1 <= len(val) <= 5
    more = [f"added{number}/a{number}_0.jpg" for number in range(9)]
    before = hold_out(NAMES, "val", group_by, tmp_path)
    pattern = group_by.replace(r"(\d+)", r"(\w+)")
    assert [name for name in hold_out(more + NAMES, "val", pattern, tmp_path) if name in NAMES] == before


def test_two_groups_are_one_of_each(tmp_path):
    for names in (["a/1.jpg", "b/1.jpg"], [f"{first}/1.jpg" for first in "xyz"]):
        assert all(hold_out(names, split, "folder", tmp_path) for split in ("train", "val"))


def test_groups_that_cannot_be(tmp_path):
    assert "into one group" in refusal(hold_out, ["a/1.jpg", "a/2.jpg"], "val", "folder", tmp_path)
    assert "a.jpg does not match" in refusal(hold_out, ["a.jpg"], "val", "x(.)", tmp_path)
    assert "is no regular expression" in refusal(check_group_by, "(")
    assert "with a group in it" in refusal(check_group_by, "[a-z]+")
    assert "no split test" in refusal(hold_out, NAMES, "test", None, tmp_path)
    for dataset in ("voc", "coco-stuff", "cityscapes", "ade20k"):
        line = refusal(find_segmentation, dataset, "train", tmp_path, group_by="folder")
        assert "splits of their own (folder" in line


@pytest.mark.parametrize("dataset", ["folder", "yolo", "labelme", "cvat"])
def test_trees_without_splits_are_split_by_group(dataset, tmp_path):
    names = [f"v{video}/{frame}" for video in range(6) for frame in range(3)]
    (tmp_path / "labels.txt").write_text("background\ncat\n")
    for name in names:
        if dataset == "folder":
            write_image(tmp_path / "images" / f"{name}.jpg")
            write_image(tmp_path / "masks" / f"{name}.png")
        elif dataset == "labelme":
            write_labelme(tmp_path / name.split("/")[0], name.split("/")[1], SHAPES[0])
        elif dataset == "yolo":
            write_image(tmp_path / "images" / ".hidden" / "a.jpg")
            write_yolo(tmp_path, {name: "0 0.5 0.5 1 1"}, ".")
    if dataset == "cvat":
        write_cvat(
            tmp_path, *(cvat_image(f"{name}.jpg", BOX) for name in names), names=[f"{name}.jpg" for name in names]
        )
    find, parts = find_segmentation if dataset == "folder" else find_detection, []
    for split in ("train", "val"):
        files = find(dataset, split, tmp_path, group_by="folder")
        paths = [pair[0] for pair in files.pairs] if dataset == "folder" else files.image_paths
        parts.append({path.parent.name for path in paths})
    assert len(parts[0]) + len(parts[1]) == 6 and parts[0] and parts[1]
    assert parts[0] | parts[1] == {f"v{video}" for video in range(6)}


def test_own_splits_are_not_grouped_anew(tmp_path, labelme):
    root = write_yolo(tmp_path / "yolo", {"a": ""})
    write_image(tmp_path / "folder" / "images" / "train" / "a.jpg")
    write_image(tmp_path / "folder" / "masks" / "train" / "a.png")
    (tmp_path / "folder" / "labels.txt").write_text("cat")
    for dataset, place, find in (
        ("yolo", root, find_detection),
        ("labelme", labelme, find_detection),
        ("folder", tmp_path / "folder", find_segmentation),
    ):
        assert "leave out --group-by" in refusal(find, dataset, "train", place, group_by="folder")
