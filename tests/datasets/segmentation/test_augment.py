"""Augmentation: a function of (seed, epoch, index), aligned with its mask, and as strong as it says."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.files import default_colours
from datasets.loading import train_loader
from datasets.segmentation.augment import AugmentSegmentation
from datasets.segmentation.augment_options import SegmentationAugmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.files import SegmentationFiles
from datasets.segmentation.masks import write_mask

ROOT = Path(__file__).resolve().parents[3]
PLAIN = {"flip": 0.0, "colour": 0.0, "blur": 0.0}
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 255, (40, 60, 3), dtype=np.uint8)
LABELS = RANDOM.integers(0, 5, (40, 60), dtype=np.uint8)


def same(first, second) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# a function of (seed, epoch, index)


def test_the_same_call_gives_the_same_sample():
    augment = AugmentSegmentation(SegmentationAugmentation(seed=3), (32, 32))
    first = augment(NOISE, LABELS, 2, 5)
    for index in range(4):
        augment(NOISE, LABELS, 9, index)  # what was asked for before leaves no trace
    assert same(first, augment(NOISE, LABELS, 2, 5))
    assert same(first, AugmentSegmentation(SegmentationAugmentation(seed=3), (32, 32))(NOISE, LABELS, 2, 5))


def test_foreign_random_state_is_neither_used_nor_touched():
    import random

    augment = AugmentSegmentation(SegmentationAugmentation(), (32, 32))
    np.random.seed(1)
    random.seed(1)
    first = augment(NOISE, LABELS, 0, 0)
    drawn = np.random.random(), random.random()
    np.random.seed(1)
    random.seed(1)
    assert drawn == (np.random.random(), random.random())
    assert same(first, augment(NOISE, LABELS, 0, 0))


@pytest.mark.parametrize(("seed", "epoch", "index"), [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_seed_epoch_and_index_each_change_the_sample(seed, epoch, index):
    first = AugmentSegmentation(SegmentationAugmentation(seed=0), (32, 32))(NOISE, LABELS, 0, 0)
    second = AugmentSegmentation(SegmentationAugmentation(seed=seed), (32, 32))(NOISE, LABELS, epoch, index)
    assert not np.array_equal(first[0], second[0]) and not np.array_equal(first[1], second[1])


def test_the_input_is_left_alone():
    image, mask = NOISE.copy(), LABELS.copy()
    AugmentSegmentation(SegmentationAugmentation(scale=(1.0, 1.0), flip=1.0, blur=1.0), (40, 60))(image, mask, 0, 0)
    assert same((image, mask), (NOISE, LABELS))


@pytest.fixture
def dataset(tmp_path):
    pairs = []
    for index in range(7):
        image, drawn = tmp_path / f"{index}.png", tmp_path / f"{index}_mask.png"
        Image.fromarray(np.roll(NOISE, index, 0)).save(image)
        write_mask(drawn, LABELS, default_colours(5))
        pairs.append((image, drawn))
    files = SegmentationFiles(tmp_path, "train", list("abcde"), default_colours(5), pairs)
    return SegmentationDataset(files, AugmentSegmentation(SegmentationAugmentation(seed=4), (24, 32)))


def two_epochs(dataset, workers):
    loader = train_loader(dataset, 2, workers, seed=1)
    batches = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        batches += [(batch["file"], batch["image"].numpy(), batch["mask"].numpy()) for batch in loader]
    return batches


def test_any_number_of_workers_gives_the_same_samples(dataset):
    alone = two_epochs(dataset, 0)
    assert len(alone) == 6 and not np.array_equal(alone[0][1], alone[3][1])
    for workers in (1, 2):
        assert all(same(a, b) for a, b in zip(alone, two_epochs(dataset, workers), strict=True))


# what is drawn


def left_and_brightness(augment, count):
    """For every draw: whether the image was flipped, and how bright its uniform part became."""
    image = np.full((16, 16, 3), 100, np.uint8)
    mask = np.zeros((16, 16), np.uint8)
    mask[:, :8] = 1
    results = [augment(image, mask, 0, index) for index in range(count)]
    return np.array([mask[0, 0] == 0 for _, mask in results]), np.array([image.mean() for image, _ in results])


def test_flips_do_not_hang_together_with_colour():
    flipped, brightness = left_and_brightness(
        AugmentSegmentation(SegmentationAugmentation(scale=(1.0, 1.0), flip=0.5, colour=0.4, blur=0.0), (16, 16)), 600
    )
    assert abs(flipped.mean() - 0.5) < 0.08
    changed = np.abs(brightness - 100) > 0.5
    assert 0.7 < changed.mean() < 0.9  # jitter is applied to 0.8 of the images
    assert abs(np.corrcoef(flipped, changed)[0, 1]) < 0.15
    assert abs(np.corrcoef(flipped, brightness)[0, 1]) < 0.15


def test_jitter_keeps_to_its_strength():
    _, brightness = left_and_brightness(
        AugmentSegmentation(SegmentationAugmentation(scale=(1.0, 1.0), flip=0.0, colour=0.3, blur=0.0), (16, 16)), 300
    )
    assert 65 < brightness.min() < 80 and 120 < brightness.max() < 135


@pytest.mark.parametrize(("flip", "expected"), [(0.0, 0.0), (0.2, 0.2), (1.0, 1.0)])
def test_flip_is_a_probability(flip, expected):
    flipped, _ = left_and_brightness(
        AugmentSegmentation(SegmentationAugmentation(scale=(1.0, 1.0), flip=flip, colour=0.0, blur=0.0), (16, 16)), 300
    )
    assert abs(flipped.mean() - expected) < (0.08 if 0 < flip < 1 else 1e-9)


def test_vertical_flip_turns_image_and_mask_at_its_own_probability():
    image = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    options = SegmentationAugmentation(**PLAIN, scale=(1.0, 1.0), vertical_flip=0.3)
    results = [AugmentSegmentation(options, (16, 20))(image, image[:, :, 0], 0, index) for index in range(300)]
    turned = np.array([np.array_equal(found, image[::-1]) for found, _ in results])
    assert abs(turned.mean() - 0.3) < 0.08
    for (found, mask), upside_down in zip(results, turned, strict=True):
        assert np.array_equal(mask, found[:, :, 0]) and (upside_down or np.array_equal(found, image))


def test_strengths_of_0_switch_everything_off():
    augment = AugmentSegmentation(SegmentationAugmentation(scale=(1.0, 1.0), **PLAIN), (40, 60))
    assert all(same(augment(NOISE, LABELS, 0, index), (NOISE, LABELS)) for index in range(5))


@pytest.mark.parametrize("blur", [0.0, 1.0])
def test_blur_smooths_the_image_and_not_the_mask(blur):
    image, mask = AugmentSegmentation(
        SegmentationAugmentation(scale=(1.0, 1.0), flip=0.0, colour=0.0, blur=blur), (40, 60)
    )(NOISE, LABELS, 0, 0)
    assert (image.std() < 0.8 * NOISE.std()) == (blur == 1.0)
    np.testing.assert_array_equal(mask, LABELS)


def test_scales_are_drawn_evenly_from_their_range():
    """Where the image is a ramp, the slope of the result tells the factor."""
    ramp = np.repeat(np.tile(np.arange(200, dtype=np.uint8), (200, 1))[..., None], 3, axis=2)
    augment = AugmentSegmentation(SegmentationAugmentation(scale=(0.5, 2.0), **PLAIN), (50, 50))
    results = [augment(ramp, ramp[..., 0], 0, index)[0][25, :, 0].astype(float) for index in range(400)]
    factors = np.array([45 / (row[47] - row[2]) for row in results])
    assert factors.min() > 0.48 and factors.max() < 2.1
    assert factors.min() < 0.56 and factors.max() > 1.9
    assert abs(factors.mean() - 1.25) < 0.08
    assert np.percentile(factors, 25) == pytest.approx(0.875, abs=0.1)


def test_crops_come_from_everywhere():
    rows, columns = np.mgrid[0:100, 0:120].astype(np.uint8)
    image = np.dstack([rows, columns, rows])
    augment = AugmentSegmentation(SegmentationAugmentation(scale=(1.0, 1.0), **PLAIN), (20, 20))
    corners = np.array([augment(image, rows, 0, index)[0][0, 0, :2] for index in range(300)])
    assert corners.min(0).max() <= 3
    assert 77 <= corners[:, 0].max() <= 80 and 97 <= corners[:, 1].max() <= 100
    assert abs(np.corrcoef(corners.T)[0, 1]) < 0.2


# alignment and void

TABLE = np.array([(20, 60, 100), (200, 30, 90), (40, 220, 10), (250, 250, 60)], dtype=np.uint8)


def blocks(side, cell):
    """A mask of square cells with values 0 to 3, uint8 [side, side]."""
    cells = np.random.default_rng(1).integers(0, 4, (side // cell, side // cell), dtype=np.uint8)
    return np.kron(cells, np.ones((cell, cell), np.uint8))


def inner(mask):
    """Pixels whose surroundings of 2 pixels are all of one value."""
    padded = np.pad(mask, 2, mode="edge")
    height, width = mask.shape
    shifts = [padded[y : y + height, x : x + width] for y in range(5) for x in range(5)]
    return np.all([shift == mask for shift in shifts], axis=0)


@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.5, 2.0), (1.7, 2.0)])
@pytest.mark.parametrize("side", [48, 96, 192])
def test_image_and_mask_stay_aligned(scale, side):
    mask = blocks(side, 24)
    image = TABLE[mask]
    augment = AugmentSegmentation(SegmentationAugmentation(scale=scale, flip=0.5, colour=0.0, blur=0.0), (80, 72))
    for index in range(12):
        seen, drawn = augment(image, mask, 0, index)
        assert seen.shape == (80, 72, 3) and drawn.shape == (80, 72)
        evaluated = inner(drawn) & (drawn != 255)
        assert evaluated.sum() > 100
        off = np.abs(seen[evaluated].astype(int) - TABLE[drawn[evaluated]].astype(int))
        assert off.max() <= 2


def test_a_small_image_lies_on_void():
    image, mask = np.full((20, 30, 3), 200, np.uint8), np.ones((20, 30), np.uint8)
    augment = AugmentSegmentation(SegmentationAugmentation(scale=(1.0, 1.0), **PLAIN), (64, 64))
    places = set()
    for index in range(20):
        seen, drawn = augment(image, mask, 0, index)
        assert set(np.unique(drawn)) == {1, 255} and (drawn == 1).sum() == 600
        assert (seen[drawn == 255] == 127).all() and (seen[drawn == 1] == 200).all()
        rows, columns = np.nonzero(drawn == 1)
        assert np.ptp(rows) == 19 and np.ptp(columns) == 29
        places.add((rows.min(), columns.min()))
    assert len(places) > 10


@pytest.mark.parametrize("shape", [(20, 200), (200, 20)])
def test_a_crop_larger_in_one_direction_only(shape):
    image, mask = np.full((*shape, 3), 200, np.uint8), np.ones(shape, np.uint8)
    _, drawn = AugmentSegmentation(SegmentationAugmentation(scale=(1.0, 1.0), **PLAIN), (64, 64))(image, mask, 0, 0)
    assert drawn.shape == (64, 64) and (drawn == 1).sum() == 64 * 20


def test_void_of_the_mask_stays_void():
    mask = np.full((40, 60), 255, np.uint8)
    assert (AugmentSegmentation(SegmentationAugmentation(), (30, 30))(NOISE, mask, 0, 0)[1] == 255).all()


def test_masks_gain_no_new_values():
    mask = blocks(96, 24) * 80  # 0, 80, 160, 240
    augment = AugmentSegmentation(SegmentationAugmentation(), (64, 64))
    values = {int(value) for index in range(10) for value in np.unique(augment(TABLE[mask // 80], mask, 0, index)[1])}
    assert values <= {0, 80, 160, 240, 255} and len(values) >= 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_tiny_images(shape):
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    augment = AugmentSegmentation(SegmentationAugmentation(), (16, 16))
    assert all(augment(image, mask, 0, index)[0].shape == (16, 16, 3) for index in range(10))


def test_importing_datasets_switches_the_update_check_off():
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    code = (
        "import sys, os; assert 'NO_ALBUMENTATIONS_UPDATE' not in os.environ; import datasets.segmentation.augment; "
        "print(os.environ['NO_ALBUMENTATIONS_UPDATE'], 'albumentations' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.stdout.split() == ["1", "True"], run.stderr
