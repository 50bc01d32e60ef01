"""Sets of real images, where they lie beside the checkout."""

from pathlib import Path

import numpy as np
import pytest

from datasets.classification.checks import check_classification
from datasets.classification.find import find_files
from datasets.detection.checks import check_detection, check_files
from datasets.detection.dataset import DetectionDataset
from datasets.detection.find import find_detection
from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import voc_files

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CAMVID, BCCD, COCO = DATA / "camvid", DATA / "bccd", DATA / "coco_mini"
CIFAR10, MNIST = DATA / "cifar10_images.tar.xz", DATA / "mnist"


def needs(root):
    return pytest.mark.skipif(not root.exists(), reason=f"shared/data/{root.name} is not here")


@needs(CAMVID)
@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101), ("test", 233)])
def test_camvid_splits(split, count):
    files = voc_files(CAMVID, split)
    assert len(files.pairs) == count
    assert len(files.names) == 11 and files.names[0] == "sky"


@needs(CAMVID)
def test_camvid_splits_share_no_image():
    images = [image for split in ("train", "val", "test") for image, _ in voc_files(CAMVID, split).pairs]
    assert len(set(images)) == 701


@needs(CAMVID)
def test_camvid_val_is_sound_and_has_every_class():
    files = voc_files(CAMVID, "val")
    summary = check_segmentation(files)
    assert summary.pixels.shape == (11,) and summary.present.any(0).all()
    assert 0.8 * 101 * 360 * 480 < summary.pixels.sum() < 101 * 360 * 480  # the rest is void
    assert SegmentationDataset(files)[0]["image"].shape == (360, 480, 3)


BCCD_SPLITS = {"train": (205, 2804), "val": (87, 1137), "test": (72, 945)}


@needs(BCCD)
def test_bccd_is_read_without_its_two_boxes_without_area():
    splits = [find_detection("voc", split, BCCD) for split in BCCD_SPLITS]
    summaries = check_files(*splits)
    for files, summary, (images, boxes) in zip(splits, summaries, BCCD_SPLITS.values(), strict=True):
        assert files.names == ["RBC", "WBC", "Platelets"] and files.faults == []
        assert len(files.image_paths) == images and summary.boxes.sum() == boxes and (summary.images > 0).all()
    assert [summary.lines() for summary in summaries] == [
        ["1 box without area dropped: BloodImage_00343.xml (RBC 181,329,181,329)"],
        ["1 box without area dropped: BloodImage_00338.xml (RBC 504,337,504,337)"],
        [],
    ]


@needs(BCCD)
@pytest.mark.parametrize("split", BCCD_SPLITS)
def test_bccds_xml_and_json_hold_the_same(split):
    xml = find_detection("voc", split, BCCD)
    path = BCCD / "annotations_coco" / f"instances_{split}.json"
    coco = find_detection("coco", split, BCCD, annotations=path)
    assert coco.names == xml.names and coco.image_paths == xml.image_paths and coco.sizes == xml.sizes
    for first, second in zip(xml.objects, coco.objects, strict=True):
        # the json was made with x = xmin and w = xmax - xmin, a pixel off at the left and the top
        np.testing.assert_array_equal(first.boxes + np.array([1, 1, 0, 0]), second.boxes)
        np.testing.assert_array_equal(first.labels, second.labels)


@needs(COCO)
@pytest.mark.parametrize(("split", "images", "boxes", "crowds"), [("train", 161, 1417, 15), ("val", 54, 599, 4)])
def test_coco_mini(split, images, boxes, crowds):
    files = find_detection("coco", split, COCO)
    assert len(files.image_paths) == images and len(files.names) == 80 and files.faults == files.notes == []
    assert files.names[0] == "person" and files.names[79] == "toothbrush"
    assert files.category_ids[:12] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13] and files.category_ids[79] == 90
    assert sum(objects.crowd.sum() for objects in files.objects) == crowds
    summary = check_detection(files)
    assert summary.boxes.sum() == boxes and f"{crowds} crowd regions left out of training" in summary.lines()
    index = next(index for index, objects in enumerate(files.objects) if objects.crowd.any())
    ours, all_of_them = (DetectionDataset(files, keep_crowds=kept)[index] for kept in (False, True))
    assert len(all_of_them["boxes"]) == len(ours["boxes"]) + files.objects[index].crowd.sum()
    assert not ours["crowd"].any() and all_of_them["crowd"].any()


@needs(CIFAR10)
def test_cifar10_has_6000_images_of_each_class():
    splits = find_files("cifar10", ["train", "val", "test"], CIFAR10)
    check_classification(*splits)
    assert [np.bincount(files.labels).tolist() for files in splits] == [[4500] * 10, [500] * 10, [1000] * 10]
    assert splits[0].names[0] == "airplane" and splits[0].size == (32, 32)
    assert np.allclose(splits[0].images.mean((0, 1, 2)) / 255, [0.491, 0.482, 0.446], atol=0.005)


@needs(MNIST)
def test_mnist_has_the_published_digits():
    train, test = find_files("mnist", ["trainval", "test"], MNIST)
    check_classification(train, test)
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
