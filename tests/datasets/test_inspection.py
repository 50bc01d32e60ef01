"""A look at every file: each kind of fault planted in a small tree is found, named and counted."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import inspection
from datasets.faults import DataError
from datasets.inspected_splits import choose_task, find_splits
from datasets.inspection import inspect_splits
from tests.datasets.detection.trees import annotation, image, mark, thing, write_coco, write_voc

SIZE = (320, 320)


def noise(seed, size=(30, 20)):
    return np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)


def save(path, image, orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(image).save(path, exif=exif)


def inspected(task, dataset, root, splits=None, size=SIZE):
    """The splits, and texts of findings by what was found."""
    found, early = find_splits(task, dataset, splits, root, size)
    findings = inspect_splits(found, threads=2)
    for finding in early:
        findings.add(finding)
    return found, {kind.what: [finding.text for finding in kept] for kind, kept in findings.kept.items()}


def folder_tree(root, masks):
    """images/train and masks/train; a mask is uint8 [H, W], or None for a file that is none."""
    (root / "masks" / "train").mkdir(parents=True)
    for number, mask in enumerate(masks):
        save(root / "images" / "train" / f"{number}.png", noise(number))
        path = root / "masks" / "train" / f"{number}.png"
        Image.fromarray(mask).save(path) if mask is not None else path.write_bytes(b"none")
    (root / "labels.txt").write_text("background\nroad\ncar\n")
    return root


def filled(value, size=(30, 20)):
    mask = np.zeros(size[::-1], dtype=np.uint8)
    mask[:, 10:] = value
    return mask


def test_masks(tmp_path):
    void = np.full((20, 30), 255, dtype=np.uint8)
    masks = [filled(1), filled(7), filled(1, (30, 22)), None, void, filled(0), filled(255)]
    root = folder_tree(tmp_path, masks)
    (root / "images" / "train" / "6.png").write_bytes((root / "images" / "train" / "6.png").read_bytes()[:400])
    save(root / "images" / "train" / "0.png", noise(0), orientation=3)
    (split,), found = inspected("segmentation", "folder", root)
    wanted = {
        "image cannot be read": ["images/train/6.png: cannot be read"],
        "mask cannot be read": ["masks/train/3.png: cannot be read (not an image)"],
        "mask and image differ in size": ["masks/train/2.png: 30x22, but its image 2.png is 30x20"],
        "mask values that are no class": ["masks/train/1.png: mask value 7 on 400 pixels; classes are 0 background"],
        "mask without any label": ["masks/train/4.png: void everywhere"],
        "mask with background only": ["masks/train/5.png: background alone"],
        "image turned by EXIF": ["images/train/0.png: EXIF orientation 3"],
        "image and mask turned differently": ["images/train/0.png: EXIF orientation 3, and its mask 0.png has 1"],
        "class never seen": ["no car in train"],
    }
    assert {what: len(texts) for what, texts in found.items()} == {what: len(texts) for what, texts in wanted.items()}
    for what, texts in wanted.items():
        assert found[what][0].startswith(texts[0])
    assert split.values["pixels"][[0, 1, 7, 255]].tolist() == [200 + 200 + 220 + 600, 400 + 440, 400, 600]
    assert split.values["images"][[0, 1, 7, 255]].tolist() == [4, 2, 1, 1]
    assert split.columns["images"].tolist() == [4, 2, 0] and split.unlabelled == 1
    assert sorted(split.void) == [0, 0, 0, 0, 1]
    assert split.sizes[5].tolist() == [20, 30] and split.sizes[6].tolist() == [0, 0]


def test_masks_of_0_and_255_alone(tmp_path):
    _, found = inspected("segmentation", "folder", folder_tree(tmp_path, [filled(255)] * 2))
    assert "every mask holds only 0 and 255" in found["faulty annotations or classes"][0]


def test_boxes(tmp_path):
    things = {
        "fine": [thing("cat", 3, 3, 20, 15)],
        "flat": [thing("cat", 5, 5, 5, 9)],
        "turned": [thing("cat", 9, 5, 2, 9)],
        "nan": [thing("cat", "nan", 5, 2, 9)],
        "out": [thing("cat", 50, 5, 60, 9), thing("dog", 20, 5, 60, 9)],
        "twice": [thing("cat", 3, 3, 20, 15), thing("cat", 3, 3, 20, 15), thing("dog", 3, 3, 20, 15)],
        "tiny": [thing("dog", 3, 3, 3.1, 15), thing("dog", 5, 3, 5.1, 15)],
        "empty": [],
        "unknown": [thing("cow", 3, 3, 20, 15)],
    }
    root = write_voc(tmp_path, {stem: annotation(*boxes) for stem, boxes in things.items()})
    save(root / "JPEGImages" / "empty.jpg", noise(0, (31, 20)))
    (split,), found = inspected("detection", "voc", root, size=(20, 30))
    del found["identical images with different labels"]  # the images of the trees are all red
    assert found == {
        "box without area": ["flat.xml (cat 5,5,5,9)"],
        "box with inverted corners": ["turned.xml (cat 9,5,2,9)"],
        "box with NaN or infinite numbers": ["nan.xml (cat nan,5,2,9)"],
        "box outside its image": ["out.xml (cat 50,5,60,9)"],
        "box reaching out of its image": ["out.xml (dog 20,5,60,9)"],
        "box drawn twice": ["JPEGImages/twice.jpg: cat 2,2,20,15"],
        "box with two classes": ["JPEGImages/twice.jpg: cat and dog 2,2,20,15"] * 2,
        "tiny box at the input size": ["JPEGImages/tiny.jpg: under 2 pixels at 30x20: dog 1.1x13.0, dog 1.1x13.0"],
        "image without boxes": [
            f"JPEGImages/{stem}.jpg: no boxes" for stem in ("flat", "turned", "nan", "empty", "unknown")
        ],
        "annotation for another size": [
            "JPEGImages/empty.jpg: is 31x20, but its annotation is for an image of 30x20; put the right image "
            "or the right annotation in place"
        ],
        "faulty annotations or classes": [
            "labels.txt: annotations have classes that are not listed: cow (1 box); add them to labels.txt "
            "or rename them"
        ],
        "class never seen": ["no traffic light in train"],
    }
    assert split.columns["boxes"].tolist() == [3, 4, 0] and split.columns["images"].tolist() == [2, 3, 0]
    assert split.columns["small"].tolist() == [3, 4, 0] and split.unlabelled == 5


def test_boxes_to_be_drawn_are_those_of_the_file(tmp_path):
    root = write_coco(tmp_path, [image(1), image(2)], [mark(1, 2, 7, [40, 5, 10, -3]), mark(2, 2, 0, [-9, 2, 15, 5])])
    findings = inspect_splits(find_splits("detection", "coco", None, root, SIZE)[0])
    drawn = {kind.what: kept[0] for kind, kept in findings.kept.items() if "box " in kind.what}
    assert {what: (finding.images, finding.boxes) for what, finding in drawn.items()} == {
        "box with inverted corners": ((("train", 1),), ((40, 5, 50, 2),)),
        "box reaching out of its image": ((("train", 1),), ((-9, 2, 6, 7),)),
    }


@pytest.mark.parametrize(
    ("orientation", "size", "told"), [(1, (30, 20), 0), (3, (30, 20), 1), (6, (20, 30), 0), (6, None, 1)]
)
def test_boxes_of_turned_images(tmp_path, orientation, size, told):
    root = write_coco(tmp_path, [image(1, size=size)], [mark(1, 1, 7, [1, 1, 9, 9])])
    save(root / "train" / "1.jpg", noise(0), orientation)
    _, found = inspected("detection", "coco", root)
    assert len(found.get("image turned by EXIF", [])) == told and "annotation for another size" not in found


def class_tree(root):
    for split, category, name, seed in [
        ("train", "cat", "a", 0),
        ("train", "cat", "b", 1),
        ("train", "cat", "again", 1),
        ("train", "dog", "c", 2),
        ("train", "dog", "d", 3),
        ("val", "cat", "leak", 0),
        ("val", "dog", "e", 4),
        ("test", "cat", "wrong", 3),
        ("test", "dog", "f", 5),
    ]:
        save(root / split / category / f"{name}.png", noise(seed))
    return root


def test_identical_images_by_their_pixels(tmp_path):
    root = class_tree(tmp_path)
    Image.open(root / "val/cat/leak.png").save(root / "val/cat/leak.bmp")  # the same pixels in another file
    (root / "val/cat/leak.png").unlink()
    splits, found = inspected("classification", "folder", root)
    assert found == {
        "identical images in two splits": ["train/cat/a.png (train, cat) = val/cat/leak.bmp (val, cat)"],
        "identical images in one split": ["train/cat/again.png (train, cat) = train/cat/b.png (train, cat)"],
        "identical images with different labels": ["train/dog/d.png (train, dog) = test/cat/wrong.png (test, cat)"],
    }
    assert [split.split for split in splits] == ["train", "val", "test"]


def test_of_many_identical_images_those_that_matter_are_named(tmp_path):
    for number in range(8):
        save(tmp_path / "train" / "cat" / f"{number}.png", noise(0))
    save(tmp_path / "train" / "dog" / "d.png", noise(0))
    save(tmp_path / "val" / "dog" / "e.png", noise(0))
    save(tmp_path / "val" / "cat" / "f.png", noise(1))
    _, found = inspected("classification", "folder", tmp_path)
    assert found["identical images with different labels"] == [
        "train/cat/0.png (train, cat) = train/dog/d.png (train, dog) = val/dog/e.png (val, dog) = "
        "train/cat/1.png (train, cat) = train/cat/2.png (train, cat) and 5 more"
    ]


def test_an_unreadable_mask_contradicts_nothing(tmp_path):
    root = folder_tree(tmp_path, [filled(1), None])
    save(root / "images/train/1.png", noise(0))
    _, found = inspected("segmentation", "folder", root)
    assert "identical images with different labels" not in found and found["identical images in one split"]


def test_classes_that_differ_between_splits(tmp_path):
    root = class_tree(tmp_path)
    save(root / "test/cow/g.png", noise(9))
    _, found = inspected("classification", "folder", root)
    assert "the classes of train and test differ: only in test: cow" in found["faulty annotations or classes"][0]


def test_class_of_val_that_train_has_not(tmp_path):
    images = [image(1), image(2)]
    write_coco(tmp_path, images, [mark(1, 1, 7, [1, 1, 9, 9])])
    write_coco(tmp_path, images, [mark(1, 1, 0, [1, 1, 9, 9])], name="instances_val.json", folder="val")
    _, found = inspected("detection", "coco", tmp_path)
    assert "no cat in train; it is in val" in found["class never seen"]


def test_more_findings_than_are_kept_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "KEPT", 2)
    monkeypatch.setattr(inspection, "CHUNK", 2)
    root = folder_tree(tmp_path, [filled(7)] * 5)
    findings = inspect_splits(find_splits("segmentation", "folder", None, root, SIZE)[0])
    kind = next(kind for kind in findings.counts if kind.what == "mask values that are no class")
    assert findings.counts[kind] == {"train": 5} and len(findings.kept[kind]) == 2 and findings.total("error") == 5


@pytest.mark.parametrize(
    ("dataset", "folder", "task"),
    [
        ("coco", "", "detection"),
        ("mnist", "", "classification"),
        ("voc", "Annotations", "detection"),
        ("voc", "SegmentationClass", "segmentation"),
        ("folder", "masks", "segmentation"),
        ("folder", "train", "classification"),
        ("shapes", "", "segmentation"),
    ],
)
def test_task_of_a_tree(tmp_path, dataset, folder, task):
    (tmp_path / folder).mkdir(exist_ok=True)
    assert choose_task(dataset, tmp_path) == task


def test_unknown_dataset_and_split(tmp_path):
    with pytest.raises(DataError, match='did you mean "coco"'):
        choose_task("coca")
    root = folder_tree(tmp_path, [filled(1)])
    with pytest.raises(DataError, match="no such split"):
        find_splits("segmentation", "folder", ["train", "test"], root, SIZE)
    with pytest.raises(DataError, match=r"none.labels\.txt: no such file"):
        find_splits("segmentation", "folder", None, root / "none", SIZE)


def test_a_broken_split_does_not_hide_the_others(tmp_path):
    write_coco(tmp_path, [image(1)], [mark(1, 1, 7, [1, 1, 9, 9])])
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps({"images": []}))
    splits, found = inspected("detection", "coco", tmp_path)
    assert [split.split for split in splits] == ["train"]
    assert 'instances_val.json: has no list "annotations"' in found["faulty annotations or classes"][0]


def test_test_split_of_voc_0712_is_looked_at_once(tmp_path):
    one = {"a": annotation(thing("cat", 3, 3, 20, 15), size=(30, 20))}
    for year, split in (("VOC2007", "trainval"), ("VOC2007", "test"), ("VOC2012", "trainval")):
        stems = {f"{year}_{split}": text for text in one.values()}
        write_voc(tmp_path / year, stems, split=split, names=["cat"])
    splits, _ = inspected("detection", "voc", tmp_path)
    assert [(split.split, len(split.images)) for split in splits] == [("train", 2), ("val", 1)]
    assert Path(splits[0].files.image_paths[1]).stem == "VOC2012_trainval" and len(splits[0].files.unsound) == 2
