"""Epochs drawn by class: every class as often, every image of a class as often, all by the seed."""

from collections import Counter

import numpy as np
import pytest

from datasets import (
    AugmentDetection,
    AugmentSegmentation,
    ClassificationAugmentation,
    ClassUniform,
    DetectionAugmentation,
    DetectionDataset,
    JointDataset,
    SegmentationAugmentation,
    SegmentationDataset,
    find_detection,
    find_segmentation,
    holders,
    training_samples,
)
from datasets.classification.find import shapes_objects
from datasets.joint.find import find_joint
from datasets.loading import EpochSampler

COMMON, RARE, ABSENT, SOME = np.arange(40), np.array([7]), np.array([], np.int64), np.array([3, 30, 31, 32])
HOLDERS = [COMMON, RARE, ABSENT, SOME]


def epoch(share, number=0, seed=0, held=HOLDERS, **options):
    sampler = EpochSampler(40, True, seed, uniform=ClassUniform(share, held), **options)
    sampler.set_epoch(number)
    return list(sampler)


@pytest.mark.parametrize("share, each", [(1.0, [13, 14]), (0.5, [6, 7]), (0.3, [4])])
def test_classes_and_their_images_come_up_equally_often(share, each):
    entries = epoch(share)
    drawn = [entry for entry in entries if len(entry) == 4]
    assert len(entries) == 40 and len(drawn) == round(share * 40)
    counts = Counter(label for *_, label in drawn)
    assert counts.keys() == {0, 1, 3} and set(counts.values()) <= set(each)
    for label, images in enumerate(HOLDERS):
        own = Counter(index for _, index, _, at in drawn if at == label)
        assert own.keys() <= set(images.tolist())
        assert not own or max(own.values()) - min(own[index] for index in images.tolist()) <= 1
    assert all(place == entries.index(entry) for entry in drawn for place in [entry[2]])
    usual = [entry[1] for entry in entries if len(entry) == 2]
    assert len(set(usual)) == len(usual)


def test_classes_are_drawn_even_where_draws_are_fewer():
    few = Counter(entry[3] for number in range(300) for entry in epoch(1 / 40, number) if len(entry) == 4)
    assert few.total() == 300 and few.keys() == {0, 1, 3} and min(few.values()) > 70


def test_what_is_drawn_depends_on_seed_and_epoch_alone():
    assert epoch(0.5, 3) == epoch(0.5, 3)
    assert epoch(0.5, 3) != epoch(0.5, 4) and epoch(0.5, 3) != epoch(0.5, 3, seed=1)
    assert {entry[0] for entry in epoch(0.5, 3)} == {3}


def test_a_share_of_nothing_changes_nothing():
    sampler = EpochSampler(40, True, 5)
    assert epoch(0.0, seed=5) == list(sampler) == epoch(0.01, seed=5)
    assert len(epoch(1.0, held=[ABSENT])) == 40


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_and_broken_off_epochs_share_one_order(world):
    common = {"repeat": 3, "batch_size": 8}
    whole = epoch(0.5, 1, **common)
    ranks = [epoch(0.5, 1, rank=rank, world=world, **common) for rank in range(world)]
    assert [entry for together in zip(*ranks, strict=True) for entry in together] == whole
    assert len(whole) == 120 and [entry[0] for entry in whole] == [3] * 40 + [4] * 40 + [5] * 40
    sampler = EpochSampler(40, True, 0, epoch=1, done=2, uniform=ClassUniform(0.5, HOLDERS), **common)
    assert list(sampler) == whole[16:]


# samples


def labelled(shapes):
    """Training samples of every task, and the classes that one of them holds."""
    augment = AugmentDetection(DetectionAugmentation(mosaic=0.5), (64, 64))
    masks, boxes = find_segmentation("voc", "train", shapes), find_detection("coco", "train", shapes)
    yield SegmentationDataset(masks, AugmentSegmentation(SegmentationAugmentation(), (64, 64))), 0
    yield DetectionDataset(boxes, augment), int(boxes.objects[2].labels[0])
    yield JointDataset(find_joint("coco", "train", shapes), augment), 0
    objects = shapes_objects(shapes, "train")
    yield training_samples(objects, (32, 32), ClassificationAugmentation()), int(objects.labels[2])


def test_an_image_drawn_twice_is_augmented_twice(shapes):
    for dataset, label in labelled(shapes):
        keys = [(1, 2), (1, 2, 0, label), (1, 2, 9, label), (1, 2, 9, label)]
        if hasattr(dataset, "__getitems__"):
            batch = dataset.__getitems__(keys)
            images, files = batch["image"].numpy(), batch["file"]
        else:
            samples = [dataset[key] for key in keys]
            images, files = [sample["image"] for sample in samples], [sample["file"] for sample in samples]
        assert len(set(files)) == 1
        assert np.array_equal(images[2], images[3])
        assert not any(np.array_equal(images[one], images[two]) for one, two in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.25, 1.0), (0.5, 2.0), (5.0, 5.0)])
def test_crops_hold_the_class_that_they_are_drawn_for(scale):
    mask = np.zeros((150, 210), np.uint8)
    mask[140:150, 200:210] = 1
    mask[60:62, 100:102] = 2
    mask.flags.writeable = False
    augment = AugmentSegmentation(SegmentationAugmentation(scale=scale), (32, 48))
    image = np.zeros((150, 210, 3), np.uint8)
    for label in (1, 2):
        assert all((augment(image, mask, 0, index, label)[1] == label).any() for index in range(40))
    assert not all((augment(image, mask, 0, index)[1] == 1).any() for index in range(40))


def test_holders_of_a_table():
    found = holders(np.array([[1, 0, 0], [1, 1, 0]], bool))
    assert [images.tolist() for images in found] == [[0, 1], [1], []]


def test_crowds_hold_no_class(shapes):
    files = find_detection("coco", "train", shapes)
    expected = [[(objects.labels == label).any() for label in range(5)] for objects in files.objects]
    assert files.present.tolist() == expected
    files.objects[0].crowd[:] = True
    assert not files.present[0].any()
