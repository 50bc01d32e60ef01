"""Images with masks, boxes or both: which there are, what is read of them, and where labels disagree."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from datasets import AugmentDetection, DataError, DetectionAugmentation, JointDataset, Resize, find_detection
from datasets.joint.checks import boxes_without_pixels, check_files, notes
from datasets.joint.files import limit_joint
from datasets.joint.find import boxes_from, find_joint

IGNORE = 255


@pytest.fixture
def files(shapes):
    return find_joint("coco", "train", shapes)


@pytest.fixture
def partly(shapes):
    """Of 16 images, masks of the first ten and boxes of the last ten."""
    whole = find_joint("coco", "train", shapes)
    masks = replace(whole.masks, pairs=whole.masks.pairs[:10])
    return replace(whole, masks=masks, boxes=whole.boxes.at(range(6, 16)))


def augment(size=(64, 64), **options):
    return AugmentDetection(DetectionAugmentation(**options), size)


def test_every_image_is_there_once(files, partly):
    assert len(files.images) == 16 and all(None not in image for image in files.images)
    assert [(image.mask is None, image.boxes is None) for image in partly.images] == (
        [(False, True)] * 6 + [(False, False)] * 4 + [(True, False)] * 6
    )
    for image in partly.images:
        if image.mask is not None:
            assert partly.masks.pairs[image.mask][0] == image.path
        if image.boxes is not None:
            assert partly.boxes.image_paths[image.boxes] == image.path
    few = limit_joint(partly, 12)
    assert len(few.images) == 12 and len(few.masks.pairs) == 10 and len(few.boxes.image_paths) == 6


def test_what_is_not_labelled_is_void(partly):
    dataset = JointDataset(partly, Resize((64, 64)))
    samples = [dataset[index] for index in range(16)]
    assert [sample["boxed"] for sample in samples] == [False] * 6 + [True] * 10
    assert all((sample["mask"] == IGNORE).all() == (number >= 10) for number, sample in enumerate(samples))
    assert all(len(sample["labels"]) == 0 for sample in samples[:6])
    batch = dataset.collate(samples)
    assert batch["boxed"].tolist() == [False] * 6 + [True] * 10
    assert (batch["labels"][:6] == -1).all() and batch["image"].shape == (16, 3, 64, 64)


def test_unlabelled_images_come_last_without_mask_and_boxes(partly, shapes):
    more = [shapes / "JPEGImages" / "val_0000.jpg"] * 3
    files = replace(partly, boxes=replace(partly.boxes, unlabelled=more))
    dataset = JointDataset(files, augment())
    assert len(dataset) == 19 and [image.path for image in files.images[16:]] == more
    samples = [dataset[0, index] for index in range(16, 19)]
    assert all((sample["mask"] == IGNORE).all() and not sample["boxed"] for sample in samples)
    assert dataset.collate(samples)["boxes"].shape[0] == 3


@pytest.mark.parametrize("options", [{"iou_crop": 1.0, "expand": 0.5, "flip": 0.5}, {"mosaic": 1.0}])
def test_mask_and_boxes_move_together(files, options):
    dataset = JointDataset(files, augment(**options))
    boxes = inside = 0
    for epoch in range(3):
        for index in range(len(dataset)):
            sample = dataset[epoch, index]
            assert sample["mask"].shape == (64, 64) == sample["image"].shape[:2]
            assert set(np.unique(sample["mask"])) <= {*range(6), IGNORE}
            for (x1, y1, x2, y2), label in zip(sample["boxes"], sample["labels"], strict=True):
                if min(x2 - x1, y2 - y1) < 5:
                    continue  # of what is left of it another shape may hide the rest
                part = sample["mask"][int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
                boxes, inside = boxes + 1, inside + (part == label + 1).any()
    assert boxes > 60 and inside > 0.95 * boxes


def test_samples_repeat(partly):
    dataset = JointDataset(partly, augment(iou_crop=1.0, mosaic=0.5, colour=0.4))
    for index in (2, 8, 14):
        one, other = dataset[1, index], dataset[1, index]
        assert all(np.array_equal(one[name], other[name]) for name in ("image", "mask", "boxes", "labels"))
    assert not np.array_equal(dataset[1, 2]["image"], dataset[2, 2]["image"])


def test_a_mosaic_knows_its_boxes_only_if_all_parts_do(partly):
    dataset = JointDataset(partly, augment(mosaic=1.0))
    known = [dataset[epoch, index] for epoch in range(4) for index in range(10, 16)]
    assert 0 < sum(sample["boxed"] for sample in known) < len(known)
    assert all(sample["boxed"] or not len(sample["boxes"]) for sample in known)


def test_a_second_data_set_has_its_share(files, shapes):
    masks = replace(files, boxes=files.boxes.at([]))
    joined = replace(masks, boxes=find_detection("coco", "val", shapes), share=0.25)
    dataset = JointDataset(joined, augment())
    assert len(dataset) == 16 + 5
    others = [dataset[epoch, index]["file"] for epoch in range(4) for index in range(16, 21)]
    counts = [others.count(str(path)) for path in joined.boxes.image_paths]
    assert counts == [5, 5, 5, 5]
    assert len(JointDataset(replace(joined, share=None), augment())) == 20


def test_a_tree_in_the_layout_of_voc(shapes, tmp_path):
    root = shutil.copytree(shapes, tmp_path / "tree")
    masks = find_joint("voc", "train", root)
    assert not masks.box_names and len(masks.images) == 16
    with pytest.raises(DataError, match=r"has masks and no boxes; name a data set .* --box-dataset"):
        boxes_from(masks, None)
    assert boxes_from(masks, "coco", root).box_names == ["disc", "square", "triangle", "star", "cross"]
    write_voc(root, ["train_0000", "train_0001"])
    both = find_joint("voc", "train", root)
    assert [image.boxes for image in both.images[:3]] == [0, 1, None]
    assert both.box_names == both.names[1:] and both.box_colours == both.colours[1:]
    assert both.boxes.objects[0].labels.tolist() == [1]  # square, of which a mask has 2


def write_voc(root, stems, name="square"):
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main" / "train.txt").write_text("\n".join(stems))
    box = "<xmin>2</xmin><ymin>2</ymin><xmax>30</xmax><ymax>30</ymax>"
    for stem in stems:
        content = f"<annotation><object><name>{name}</name><bndbox>{box}</bndbox></object></annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(content)


def test_labels_that_disagree_are_counted(files):
    assert not any(boxes_without_pixels(files, image) for image in files.images[:8])
    turned = [replace(one, labels=(one.labels + 1) % 5) for one in files.boxes.objects]
    wrong = replace(files, boxes=replace(files.boxes, objects=turned))
    assert any("boxes without a pixel of their class" in line for line in notes(wrong))
    other = replace(files, boxes=replace(files.boxes, names=["disc", "cube", "triangle", "star", "cross"]))
    said = notes(other)
    assert "1 class of masks alone: square" in said and "1 class of boxes alone: cube" in said


def test_faults_of_both_are_told_together(files, tmp_path):
    image = files.masks.pairs[0][0]
    missing = replace(files.masks, pairs=[(image, tmp_path / "gone.png"), *files.masks.pairs[1:]])
    faulty = replace(files.boxes, faults=["a.json: a fault"])
    with pytest.raises(DataError) as told:
        check_files(replace(files, masks=missing, boxes=faulty))
    assert "gone.png" in str(told.value) and "a.json: a fault" in str(told.value)
