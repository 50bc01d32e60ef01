"""Augmentation of batches with labels, and the crops of images that are read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from datasets.classification.augment import (
    AugmentClassification,
    CentreCrop,
    RandomCrop,
    draw,
    erase,
    shift_and_flip,
)
from datasets.classification.augment_options import ClassificationAugmentation
from datasets.images import MEAN

ALL = ClassificationAugmentation(randaugment=2, erasing=0.5, mixup=0.2, cutmix=1.0)
PLAIN = ClassificationAugmentation(shift=0, flip=0.0)


def photos(count=16, height=12, width=10) -> torch.Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)).permute(0, 3, 1, 2)


def call(augmentation, images, epoch=0, start=0):
    index = np.arange(start, start + len(images))
    return AugmentClassification(augmentation)(images, torch.arange(len(images)) % 5, 5, epoch, index)


# random numbers


def test_draws_depend_on_seed_epoch_and_image_alone():
    every = draw(1, 2, np.arange(100), 8)
    assert every.shape == (100, 8) and every.dtype == np.float32
    assert np.array_equal(draw(1, 2, np.array([70, 3]), 8), every[[70, 3]])
    assert all((draw(*other, np.arange(100), 8) != every).mean() > 0.99 for other in ((0, 2), (1, 3)))


def test_draws_are_even_and_unrelated():
    found = draw(0, 0, np.arange(50_000), 4)
    assert found.min() >= 0 and found.max() < 1
    counts = np.histogram(found, 20, (0, 1))[0]
    assert np.abs(counts / 10_000 - 1).max() < 0.05
    both = np.concatenate([found[:-1], found[1:]], axis=1)  # an image's numbers beside the next one's
    assert np.abs(np.corrcoef(both.T) - np.eye(8)).max() < 0.02


# shift and flip


def test_shift_and_flip_by_hand():
    row = torch.arange(5).view(1, 1, 1, 5).expand(1, 1, 3, 5)
    still, left, right = (0.5, 0.0, 0.99)  # of a shift by up to 2: 0, -2 and 2

    def columns(down, across, mirrored, image=row):
        return shift_and_flip(image, torch.tensor([[down, across, mirrored]]), 2, 0.5)[0, 0].tolist()

    assert columns(still, still, 0.7) == [[0, 1, 2, 3, 4]] * 3
    assert columns(still, still, 0.2) == [[4, 3, 2, 1, 0]] * 3
    assert columns(still, right, 0.7) == [[2, 3, 4, 3, 2]] * 3
    assert columns(still, left, 0.7) == [[2, 1, 0, 1, 2]] * 3
    assert columns(still, left, 0.2) == [[2, 1, 0, 1, 2]] * 3
    upright = torch.arange(5).view(1, 1, 5, 1)
    assert columns(right, still, 0.7, upright) == [[2], [3], [4], [3], [2]]


def test_every_image_has_its_own_shift_of_all_sizes():
    images = torch.arange(20).view(1, 1, 1, 20).expand(400, 1, 20, 20)
    draws = torch.from_numpy(draw(0, 0, np.arange(400), 3))
    moved = shift_and_flip(images, draws, 3, 0.0)
    first = moved[:, 0, 10, 10] - 10
    assert set(first.tolist()) == set(range(-3, 4)) and first.float().mean().abs() < 0.5


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_flip_is_as_probable_as_asked(probability, share):
    images = torch.arange(4).view(1, 1, 1, 4).expand(1000, 1, 4, 4)
    draws = torch.from_numpy(draw(0, 0, np.arange(1000), 3))
    flipped = shift_and_flip(images, draws, 0, probability)[:, 0, 0, 0] == 3
    assert flipped.float().mean() == pytest.approx(share, abs=0.05)


def test_vertical_flip_is_drawn_apart_from_all_else():
    images, both = photos(400), replace(PLAIN, flip=0.5, vertical_flip=0.3)
    mirrored, found = call(replace(PLAIN, flip=0.5), images)[0], call(both, images)[0]
    turned = (found == mirrored.flip(2)).flatten(1).all(1)
    assert turned.float().mean() == pytest.approx(0.3, abs=0.07)
    assert torch.equal(found[~turned], mirrored[~turned])
    sideways = (mirrored != images).flatten(1).any(1)
    assert turned[sideways].float().mean() == pytest.approx(0.3, abs=0.1)


def test_a_shift_beyond_a_tiny_image_stays_inside():
    images = photos(4, 3, 2)
    assert call(replace(PLAIN, shift=9), images)[0].shape == images.shape


def test_shift_and_flip_are_a_images_own():
    images = photos(16)
    augmentation = ClassificationAugmentation()
    whole = call(augmentation, images, epoch=2)[0]
    for start in (0, 8):
        half = call(augmentation, images[start : start + 8], epoch=2, start=start)[0]
        assert torch.equal(half, whole[start : start + 8])


# erasing


def test_erased_windows():
    images = torch.full((500, 3, 32, 32), 7, dtype=torch.uint8)
    draws = torch.from_numpy(draw(0, 0, np.arange(500), 5))
    erased = erase(images, draws, 0.6)
    gone = (erased != 7).any(1)
    drawn = gone.flatten(1).any(1)
    assert drawn.float().mean() == pytest.approx(0.6, abs=0.06)
    area = gone[drawn].flatten(1).float().mean(1)
    assert area.min() > 0.01 and area.max() < 0.36 and area.mean() == pytest.approx(0.17, abs=0.03)
    rows, columns = gone[drawn].any(2).sum(1), gone[drawn].any(1).sum(1)
    assert torch.equal(rows * columns, gone[drawn].flatten(1).sum(1))  # windows, in one piece
    assert (rows / columns).max() > 2 and (columns / rows).max() > 2
    assert erased.permute(0, 2, 3, 1)[gone].unique(dim=0).tolist() == [list(MEAN)]
    assert gone.any(0)[4:-4, 4:-4].all() and gone.any(0)[[0, -1]].any(1).all()  # nowhere is safe


# mixing


@pytest.mark.parametrize("how", ["mixup", "cutmix"])
def test_images_and_targets_are_mixed_alike(how):
    count = 5
    images = torch.eye(count, dtype=torch.uint8).mul(200).view(count, count, 1, 1)[:, :3].expand(-1, -1, 20, 20)
    mixed, targets = call(replace(PLAIN, **{how: 1.0}), images)
    assert targets.shape == (count, 5) and torch.allclose(targets.sum(1), torch.ones(count))
    assert mixed.dtype == torch.float32 and mixed.max() <= 200
    share = mixed.mean((2, 3)) / 200
    assert torch.allclose(share, targets[:, :3], atol=1e-5)
    assert ((targets > 0).sum(1) == 2).all()
    values = (mixed[0, 0] / 200).unique()
    assert len(values) == 1 if how == "mixup" else values.tolist() == [0.0, 1.0]


def test_with_both_a_batch_has_one_of_them():
    images = torch.arange(0, 240, 40, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 20, 20)
    augmentation = replace(PLAIN, mixup=1.0, cutmix=1.0)
    kinds = {len(call(augmentation, images, epoch)[0][1].unique()) for epoch in range(20)}
    assert kinds == {1, 2}


# the whole


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"magnitude": 31}, "--magnitude 31 is not in 0 to 30"),
        ({"flip": 1.5}, "--flip 1.5 is not in 0 to 1"),
        ({"shift": -1}, "--shift -1 is not"),
        ({"mixup": -0.2}, "--mixup -0.2 is not"),
        ({"cutmix": 1e-300}, "--cutmix 1e-300: give 0 for none"),
        ({"crop_area": (0.0, 1.0)}, r"--crop-area \[0.0, 1.0\]: two shares"),
        ({"crop_area": (0.5, 0.2)}, "the smaller one first"),
    ],
)
def test_values_outside_their_range(options, said):
    with pytest.raises(ValueError, match=said):
        ClassificationAugmentation(**options)


@pytest.mark.parametrize("parts", [{}, {"erasing": 0.5}, {"mixup": 0.2}, {"cutmix": 1.0}])
def test_a_batch_stays_on_its_device(parts):
    augmentation, device = (
        AugmentClassification(ClassificationAugmentation(**parts)),
        torch.device("meta"),
    )  # which has shapes alone
    labels = torch.zeros(6, dtype=torch.int64, device=device)
    images, targets = augmentation(photos(6).to(device), labels, 5, 0, np.arange(6))
    assert images.device == targets.device == device
    assert images.shape == (6, 3, 12, 10) and targets.shape == (6, 5)


def test_nothing_is_changed_unless_asked():
    images, targets = call(PLAIN, photos())
    assert torch.equal(images, photos()) and images.dtype == torch.uint8
    assert targets.dtype == torch.float32 and torch.equal(targets.argmax(1), torch.arange(16) % 5)
    assert torch.equal(targets.sum(1), torch.ones(16))


def test_batches_repeat_from_the_seed_and_leave_other_random_numbers_alone():
    torch.manual_seed(4)
    first = call(ALL, photos(), epoch=3)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    second = call(ALL, photos(), epoch=3)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    torch.manual_seed(4)
    assert torch.equal(torch.get_rng_state(), state)
    for other in (call(ALL, photos(), epoch=4), call(replace(ALL, seed=1), photos(), epoch=3)):
        assert not torch.equal(first[0], other[0])


def test_randaugment_changes_as_many_operations_ask():
    images = photos(32)
    once, stronger = (call(replace(PLAIN, randaugment=number, magnitude=15), images)[0] for number in (1, 3))
    assert once.dtype == torch.uint8 and once.shape == images.shape
    changes = [(found != images).flatten(1).float().mean(1) for found in (once, stronger)]
    assert 0 < changes[0].mean() < changes[1].mean()
    assert len({round(float(change), 3) for change in changes[1][::8]}) > 1  # groups have draws of their own


# crops


def test_random_crops_repeat_and_differ():
    crop = RandomCrop((20, 16), (0.2, 1.0), seed=0)
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    first = crop.sample(image, 1, 7)
    assert first.shape == (20, 16, 3) and first.dtype == np.uint8
    assert np.array_equal(first, crop.sample(image, 1, 7))
    others = [
        crop.sample(image, 1, 8),
        crop.sample(image, 2, 7),
        RandomCrop((20, 16), (0.2, 1.0), 1).sample(image, 1, 7),
    ]
    assert all(not np.array_equal(first, other) for other in others)


def test_random_crops_keep_the_asked_share():
    ramp = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (200, 1, 3))
    spans = []
    for index in range(60):
        found = RandomCrop((32, 32), (0.25, 0.25), 0).sample(ramp, 0, index)[..., 0].astype(int)
        spans.append(found[0, -1] - found[0, 0])
    assert min(spans) > 0.2 * 200 and max(spans) < 0.62 * 200  # sides of 0.5 sqrt(3/4) to 0.5 sqrt(4/3)


@pytest.mark.parametrize(
    ("shape", "size", "share", "columns"),
    [
        ((10, 20), (10, 10), 1.0, range(5, 15)),
        ((10, 10), (10, 10), 1.0, range(10)),
        ((20, 20), (10, 10), 0.5, range(5, 15)),
    ],
)
def test_centre_crop(shape, size, share, columns):
    image = np.tile(np.arange(shape[1], dtype=np.uint8)[None, :, None], (shape[0], 1, 3))
    assert CentreCrop(size, share)(image)[0, :, 0].tolist() == list(columns)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (37, 61)])
def test_centre_crop_of_odd_images(shape):
    image = np.zeros((*shape, 3), np.uint8)
    assert CentreCrop((24, 32), 0.875)(image).shape == (24, 32, 3)
