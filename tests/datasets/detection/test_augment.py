"""Augmentation of images with boxes: a function of (seed, epoch, index), aligned, and as strong as it says."""

import numpy as np
import pytest
from PIL import Image

from datasets.detection.augment import AugmentDetection, Resize, SampleWindow, _place, _shows
from datasets.detection.augment_options import DetectionAugmentation
from datasets.detection.boxes import box_iou
from datasets.detection.dataset import DetectionDataset
from datasets.detection.files import DetectionFiles, Objects
from datasets.images import MEAN, resize_image
from datasets.loading import eval_loader, train_loader

PLAIN = {"iou_crop": 0.0, "expand": 0.0, "flip": 0.0, "colour": 0.0}
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 255, (40, 60, 3), dtype=np.uint8)
BOXES = np.array([[5, 5, 25, 20], [30, 10, 58, 38], [0, 0, 60, 40], [10, 25, 20, 35]], np.float32)
LABELS = np.array([0, 1, 2, 1])
NONE = np.zeros((0, 4), np.float32)


def augmented(augment, image=NOISE, boxes=BOXES, epoch=0, index=0, others=()):
    return augment(image, boxes, np.zeros(len(boxes), np.int64), epoch, index, others)


def same(first, second) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# a function of (seed, epoch, index)


@pytest.mark.parametrize("mosaic", [False, True])
def test_the_same_call_gives_the_same_sample(mosaic):
    others = [(NOISE[::-1].copy(), BOXES)] * 3 if mosaic else []
    augment = AugmentDetection(DetectionAugmentation(seed=3), (32, 48))
    first = augmented(augment, epoch=2, index=5, others=others)
    for index in range(4):
        augmented(augment, epoch=9, index=index)  # what was asked for before leaves no trace
    assert same(first, augmented(augment, epoch=2, index=5, others=others))
    assert same(
        first, augmented(AugmentDetection(DetectionAugmentation(seed=3), (32, 48)), epoch=2, index=5, others=others)
    )


@pytest.mark.parametrize(("seed", "epoch", "index"), [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_seed_epoch_and_index_each_change_the_sample(seed, epoch, index):
    first = augmented(AugmentDetection(DetectionAugmentation(), (32, 32)))
    second = augmented(AugmentDetection(DetectionAugmentation(seed=seed), (32, 32)), epoch=epoch, index=index)
    assert not np.array_equal(first.image, second.image)


def test_foreign_random_state_is_neither_used_nor_touched():
    import random

    np.random.seed(1)
    random.seed(1)
    first = augmented(AugmentDetection(DetectionAugmentation(), (32, 32)))
    drawn = np.random.random(), random.random()
    np.random.seed(1)
    random.seed(1)
    assert drawn == (np.random.random(), random.random())
    assert same(first, augmented(AugmentDetection(DetectionAugmentation(), (32, 32))))


def test_the_input_is_left_alone():
    image, boxes = NOISE.copy(), BOXES.copy()
    for others in ([], [(image, boxes)] * 3):
        augmented(AugmentDetection(DetectionAugmentation(flip=1.0), (40, 60)), image, boxes, others=others)
    assert same((image, boxes), (NOISE, BOXES))


def make_dataset(root, transform):
    images, found = [], []
    for index in range(7):
        images.append(root / f"{index}.png")
        Image.fromarray(np.roll(NOISE, index, 0)).save(images[-1])
        boxes = BOXES[: index % 5]
        flags = np.arange(len(boxes)) % 2 > 0
        found.append(Objects(boxes, LABELS[: len(boxes)], flags, flags, flags & False, boxes[:, 0]))
    files = DetectionFiles(root, "train", ["a", "b", "c"], images, found, list("0123456"), [1, 2, 3], [(40, 60)] * 7)
    return DetectionDataset(files, transform)


def two_epochs(dataset, workers):
    loader = train_loader(dataset, 2, workers, seed=1)
    batches = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            arrays = [batch[key].numpy() for key in ("image", "boxes", "labels")]
            batches.append((*arrays, np.concatenate(batch["difficult"]), batch["tiny"], batch["file"]))
    return batches


def test_any_number_of_workers_gives_the_same_samples(tmp_path):
    dataset = make_dataset(tmp_path, AugmentDetection(DetectionAugmentation(mosaic=0.5, seed=4), (24, 32)))
    alone = two_epochs(dataset, 0)
    assert len(alone) == 6 and not np.array_equal(alone[0][0], alone[3][0])
    for workers in (1, 2):
        assert all(same(a, b) for a, b in zip(alone, two_epochs(dataset, workers), strict=True))


# what is drawn


def test_strengths_of_0_only_resize():
    for index in range(5):
        result = augmented(AugmentDetection(DetectionAugmentation(**PLAIN), (20, 30)), index=index)
        np.testing.assert_array_equal(result.image, resize_image(NOISE, (20, 30)))
        np.testing.assert_allclose(result.boxes, BOXES / 2, atol=1e-5)
        assert result.kept.tolist() == [0, 1, 2, 3] and result.tiny == 0
        assert result.boxes.dtype == np.float32 and result.kept.dtype == np.int64


def test_a_image_of_the_very_size_is_not_resampled():
    result = augmented(AugmentDetection(DetectionAugmentation(**PLAIN), (40, 60)))
    np.testing.assert_array_equal(result.image, NOISE)
    np.testing.assert_allclose(result.boxes, BOXES, atol=1e-5)


def test_flip_mirrors_image_and_boxes():
    result = augmented(AugmentDetection(DetectionAugmentation(**{**PLAIN, "flip": 1.0}), (40, 60)))
    np.testing.assert_array_equal(result.image, NOISE[:, ::-1])
    np.testing.assert_allclose(result.boxes[0], [35, 5, 55, 20], atol=1e-5)


def test_vertical_flip_turns_image_boxes_and_mask():
    augment = AugmentDetection(DetectionAugmentation(**PLAIN, vertical_flip=1.0), (40, 60))
    result = augment(NOISE, BOXES, np.zeros(len(BOXES), np.int64), 0, 0, mask=NOISE[:, :, 0])
    np.testing.assert_array_equal(result.image, NOISE[::-1])
    np.testing.assert_array_equal(result.mask, NOISE[::-1, :, 0])
    np.testing.assert_allclose(result.boxes[0], [5, 20, 25, 35], atol=1e-5)


def flipped_and_brightness(augment, count):
    """For every draw: whether the image was flipped, and how bright its uniform part became."""
    image = np.full((16, 16, 3), 100, np.uint8)
    boxes = np.array([[0, 0, 8, 16]], np.float32)
    results = [augmented(augment, image, boxes, index=index) for index in range(count)]
    return np.array([r.boxes[0, 0] == 8 for r in results]), np.array([r.image.mean() for r in results])


def test_flips_do_not_hang_together_with_colour():
    augment = AugmentDetection(DetectionAugmentation(iou_crop=0.0, expand=0.0, flip=0.5, colour=0.4), (16, 16))
    flipped, brightness = flipped_and_brightness(augment, 400)
    assert abs(flipped.mean() - 0.5) < 0.1
    changed = np.abs(brightness - 100) > 0.5
    assert 0.7 < changed.mean() < 0.9  # jitter is applied to 0.8 of the images
    assert abs(np.corrcoef(flipped, changed)[0, 1]) < 0.18
    assert brightness.min() < 75 and 125 < brightness.max() < 145


PAINTED = np.array([[10, 30, 50, 60], [60, 10, 110, 50], [20, 65, 100, 78]], np.float32)
COLOURS = np.array([(250, 20, 20), (20, 250, 20), (20, 20, 250)], np.uint8)


def painted(shape=(80, 120)):
    """Rectangles of pure colours, where PAINTED says."""
    image = np.full((*shape, 3), 60, np.uint8)
    for (left, top, right, bottom), colour in zip(PAINTED.astype(int), COLOURS, strict=True):
        image[top:bottom, left:right] = colour
    return image


@pytest.mark.parametrize("mosaic", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (160, 100)])
def test_boxes_stay_on_what_they_bound(size, mosaic):
    """What is left of each rectangle spans its box, to a pixel or two of blur."""
    image = painted()
    others = [(image, PAINTED)] * 3 if mosaic else []
    augment = AugmentDetection(DetectionAugmentation(colour=0.0), size)
    seen = 0
    for index in range(60):
        result = augmented(augment, image, PAINTED, index=index, others=others)
        assert result.image.shape == (*size, 3) and result.image.dtype == np.uint8
        assert (result.boxes[:, :2] >= 0).all() and (result.boxes[:, 2:] <= size[::-1]).all()
        for (left, top, right, bottom), which in zip(result.boxes, result.kept % 3, strict=True):
            inside = result.image[round(top) : round(bottom), round(left) : round(right)].astype(int)
            close = (np.abs(inside - COLOURS[which]) < 100).all(2)
            if min(inside.shape[:2]) < 8:
                continue
            seen += 1
            assert close[2:-2, 2:-2].all()
            rows, columns = np.nonzero(close)
            assert np.ptp(rows) >= inside.shape[0] - 4 and np.ptp(columns) >= inside.shape[1] - 4
        if not mosaic:
            for which, colour in enumerate(COLOURS):
                rows, columns = np.nonzero((np.abs(result.image.astype(int) - colour) < 60).all(2))
                if which in result.kept and len(rows):
                    left, top, right, bottom = result.boxes[result.kept == which][0]
                    assert left - 1 <= columns.min() and columns.max() < right + 1
                    assert top - 1 <= rows.min() and rows.max() < bottom + 1
    assert seen > 60


# SampleWindow


def test_centres_in_a_window():
    windows = np.array([[0, 0, 10, 10], [5, 0, 10, 10.0]])
    boxes = np.array([[0, 0, 10, 10], [-8, 2, 12, 4], [8, 8, 12, 12], [6, 0, 20, 4.0]])
    assert _shows(windows, boxes).tolist() == [[True, True, False, False], [False, False, False, False]]
    assert _shows(np.array([[4.0, 0, 20, 10]]), boxes).tolist() == [[True, False, False, True]]


def test_places_by_hand():
    assert _place(0, 100, 100, 50) == (0, 100, 0, 50)
    assert _place(20, 60, 100, 80) == (20, 60, 0, 80)
    assert _place(-100, 300, 100, 80) == (0, 100, 20, 40)
    assert _place(-50, 50, 200, 10) == (0, 50, 5, 10)
    assert _place(-1000, 1000, 1, 20) == (0, 1, 10, 11)  # a pixel stays, however small
    assert _place(-1999, 1, 1, 20) == (0, 1, 19, 20)


def test_a_box_moves_with_its_window():
    step = SampleWindow((50, 80), 0, 0, 1)
    window = np.array([20.0, 10, 60, 60])
    columns, rows = _place(20, 60, 100, 80), _place(10, 60, 100, 50)
    boxes = np.array([[0.3, 0.2, 0.5, 0.3, 7], [0.1, 0.4, 0.7, 0.9, 8], [0.6, 0.1, 0.9, 0.2, 9]])
    moved = step.apply_to_bboxes(boxes, window, columns, rows, (100, 100, 3))
    # pixels 30..50 x 20..30 are 20..60 x 10..20 in the window of 80 x 50; the second centre is outside, and the third
    assert moved[:, 4].tolist() == [7]
    np.testing.assert_allclose(moved[0, :4], [20 / 80, 10 / 50, 60 / 80, 20 / 50])
    clipped = step.apply_to_bboxes(np.array([[0.1, 0.1, 0.5, 0.9, 0]]), window, columns, rows, (100, 100, 3))
    np.testing.assert_allclose(clipped[0, :4], [0, 0, 60 / 80, 1])


def windows_of(step, boxes, count=400, sides=(120, 80)):
    windows = []
    for seed in range(count):
        step.set_random_seed(seed)
        windows.append(step._choose(np.array(sides), np.asarray(boxes, dtype=np.float64).reshape(-1, 4)))
    return np.array(windows)


def test_crops_have_the_papers_sizes_and_aspects_and_show_an_object():
    boxes = [[10, 20, 60, 70], [80, 5, 110, 30]]
    windows = windows_of(SampleWindow((64, 64), 1.0, 0.0, 1.0), boxes)
    spans = windows[:, 2:] - windows[:, :2]
    whole = (windows == [0, 0, 120, 80]).all(1)
    assert 0 < whole.mean() < 0.4
    assert (windows == windows.round()).all()
    assert windows.min() >= 0 and windows[:, 2].max() <= 120 and windows[:, 3].max() <= 80
    assert (spans >= [35, 23]).all() and (spans < [60, 40]).all(1).any()
    aspect = (spans[:, 0] / spans[:, 1])[~whole]
    assert 0.5 <= aspect.min() < 0.7 and 1.6 < aspect.max() <= 2
    shown = _shows(windows, np.array(boxes, dtype=np.float64))
    assert shown.any(1).all() and not shown.all(1).all()


def test_crops_overlap_an_object_as_much_as_was_drawn(monkeypatch):
    boxes = np.array([[10.0, 20, 60, 70]])
    shared = {}
    for least in (0.0, 0.3, 0.7):
        monkeypatch.setattr("datasets.detection.augment.OVERLAPS", (least,))
        windows = windows_of(SampleWindow((64, 64), 1.0, 0.0, 1.0), boxes, 150)
        windows = windows[(windows != [0, 0, 120, 80]).any(1)]
        shared[least] = box_iou(windows, boxes)
        assert shared[least].min() >= least
    assert shared[0.0].min() < 0.2 and shared[0.3].min() < 0.35
    assert len(shared[0.0]) == 150 > len(shared[0.7]) > 20


def test_where_no_crop_fits_the_whole_image_stays(monkeypatch):
    monkeypatch.setattr("datasets.detection.augment.OVERLAPS", (0.9,))
    windows = windows_of(SampleWindow((64, 64), 1.0, 0.0, 1.0), [[50, 30, 54, 34]], 50)
    assert (windows == [0, 0, 120, 80]).all()


def test_crop_and_expand_are_probabilities():
    boxes = [[10, 20, 60, 70]]
    assert (windows_of(SampleWindow((64, 64), 0.0, 0.0, 3.0), boxes, 50) == [0, 0, 120, 80]).all()
    larger = windows_of(SampleWindow((64, 64), 0.0, 0.4, 3.0), boxes)
    expanded = (larger != [0, 0, 120, 80]).any(1)
    assert abs(expanded.mean() - 0.4) < 0.08
    cropped = windows_of(SampleWindow((64, 64), 0.3, 0.0, 3.0), boxes)
    assert 0.15 < (cropped != [0, 0, 120, 80]).any(1).mean() < 0.38


def test_expand_keeps_the_image_whole_and_goes_up_to_its_ratio():
    windows = windows_of(SampleWindow((64, 64), 0.0, 1.0, 3.0), [[10, 20, 60, 70]])
    assert (windows[:, :2] <= 0).all() and (windows[:, 2:] >= [120, 80]).all()
    ratios = (windows[:, 2:] - windows[:, :2]) / [120, 80]
    assert 1 <= ratios.min() < 1.1 and 2.9 < ratios.max() <= 3.01
    assert np.abs(ratios[:, 0] - ratios[:, 1]).max() < 0.02
    places = -windows[:, :2] / (ratios * [120, 80] - [120, 80] + 1e-9)
    assert places.min() < 0.05 and places.max() > 0.95 and abs(np.corrcoef(places.T)[0, 1]) < 0.2


def test_the_canvas_has_the_mean_colour():
    image = np.full((40, 60, 3), 200, np.uint8)
    augment = AugmentDetection(DetectionAugmentation(**{**PLAIN, "expand": 1.0}), (80, 120))
    box = np.array([[0, 0, 60, 40]], np.float32)
    for index in range(20):
        result = augmented(augment, image, box, index=index)
        left, top, right, bottom = np.round(result.boxes[0]).astype(int)
        assert (result.image[top:bottom, left:right] == 200).all()
        result.image[top:bottom, left:right] = MEAN
        assert (result.image == MEAN).all()


def test_images_without_boxes_show_themselves():
    image = np.full((40, 60, 3), 200, np.uint8)
    augment = AugmentDetection(DetectionAugmentation(colour=0.0, iou_crop=1.0, expand=1.0), (32, 32))
    for index in range(40):
        result = augmented(augment, image, NONE, index=index)
        assert (result.image == 200).any()
        assert result.boxes.shape == (0, 4) and result.boxes.dtype == np.float32
        assert result.kept.shape == (0,) and result.kept.dtype == np.int64 and result.tiny == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (200, 3)])
@pytest.mark.parametrize("mosaic", [False, True])
def test_tiny_images(shape, mosaic):
    image = np.zeros((*shape, 3), np.uint8)
    boxes = np.array([[0, 0, shape[1], shape[0]], [0, 0, 1, 1]], np.float32)
    augment = AugmentDetection(DetectionAugmentation(), (16, 24))
    for index in range(20):
        others = [(image, boxes), (NOISE, NONE), (NOISE, BOXES)] if mosaic else []
        assert augmented(augment, image, boxes, index=index, others=others).image.shape == (16, 24, 3)


def test_tiny_boxes_are_dropped_and_counted():
    boxes = np.array([[10, 10, 13, 30], [10, 10, 14, 14], [20, 10, 40, 13.9], [30, 30, 50, 38]], np.float32)
    result = augmented(AugmentDetection(DetectionAugmentation(**PLAIN), (20, 30)), boxes=boxes)  # halves everything
    assert result.kept.tolist() == [1, 3] and result.tiny == 2
    np.testing.assert_allclose(result.boxes, boxes[[1, 3]] / 2, atol=1e-5)
    assert augmented(AugmentDetection(DetectionAugmentation(**PLAIN, min_size=0), (20, 30)), boxes=boxes).tiny == 0


def test_boxes_out_of_the_window_do_not_count_as_tiny():
    augment = AugmentDetection(DetectionAugmentation(iou_crop=1.0, expand=0.0, colour=0.0, min_size=0.0), (64, 64))
    results = [augmented(augment, index=index) for index in range(60)]
    assert any(len(result.kept) < 4 for result in results) and all(result.tiny == 0 for result in results)


# mosaic


def test_partners_come_with_the_probability_asked_for():
    assert all(AugmentDetection(DetectionAugmentation(), (320, 320)).partners(9, 0, index) == [] for index in range(50))
    augment = AugmentDetection(DetectionAugmentation(mosaic=0.3), (320, 320))
    chosen = [augment.partners(9, 1, index) for index in range(400)]
    assert abs(np.mean([len(some) == 3 for some in chosen]) - 0.3) < 0.07
    assert {number for some in chosen for number in some} == set(range(9))
    assert chosen == [
        AugmentDetection(DetectionAugmentation(mosaic=0.3), (320, 320)).partners(9, 1, index) for index in range(400)
    ]
    assert chosen != [augment.partners(9, 2, index) for index in range(400)]


def test_a_mosaic_holds_four_whole_images():
    shades = [50, 100, 150, 200]
    images = [np.full((40, 60, 3), shade, np.uint8) for shade in shades]
    whole = np.array([[0, 0, 60, 40], [15, 10, 45, 30]], np.float32)
    counts = [(whole, 2), (NONE, 0), (whole[1:], 1), (whole, 2)]
    (image, boxes), *others = [(photo, some) for photo, (some, _) in zip(images, counts, strict=True)]
    augment = AugmentDetection(DetectionAugmentation(**PLAIN), (80, 120))
    corners = set()
    for index in range(12):
        result = augmented(augment, image, boxes, index=index, others=others)
        assert sorted(result.kept) == [0, 1, 2, 3, 4]
        assert set(np.unique(result.image)) == set(shades)  # the cells have the images' aspect: no canvas is seen
        for box, which in zip(result.boxes, result.kept, strict=True):
            left, top, right, bottom = np.round(box).astype(int)
            owner = {0: 50, 1: 50, 2: 150, 3: 200, 4: 200}[int(which)]
            assert (result.image[top:bottom, left:right] == owner).all()
            assert (right - left, bottom - top) == ((60, 40) if which in (0, 3) else (30, 20))
        corners.add(int(result.image[0, -1, 0]))
    assert len(corners) > 1


def test_a_mosaic_of_other_aspects_lies_on_the_mean_colour():
    tall = np.full((80, 20, 3), 200, np.uint8)
    box = np.array([[0, 0, 20, 80]], np.float32)
    result = augmented(AugmentDetection(DetectionAugmentation(**PLAIN), (40, 40)), tall, box, others=[(tall, box)] * 3)
    sides = result.boxes[:, 2:] - result.boxes[:, :2]
    np.testing.assert_allclose(sides, [[5, 20]] * 4, atol=0.01)
    assert (result.image == MEAN).all(2).mean() == pytest.approx(0.75, abs=0.1)


def test_samples_of_a_mosaic_carry_the_labels_of_their_own_images(tmp_path):
    augment = AugmentDetection(DetectionAugmentation(**PLAIN, mosaic=1.0, min_size=0.0), (64, 96))
    dataset = make_dataset(tmp_path, augment)
    for index in range(7):
        partners = [index, *augment.partners(7, 3, index)]
        expected = sorted(LABELS[n] for which in partners for n in range(which % 5))
        sample = dataset[3, index]
        assert sorted(sample["labels"]) == expected
        assert len(sample["boxes"]) == len(sample["difficult"]) == len(sample["crowd"]) == len(expected)
        assert sample["file"].endswith(f"{index}.png") and sample["size"] == (40, 60)


# resizing


def test_resizing_averages_where_it_shrinks():
    checks = np.indices((40, 60)).sum(0) % 2 * 255
    image = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    half = resize_image(image, (20, 30))
    assert half.shape == (20, 30, 3) and half.dtype == np.uint8
    assert set(np.unique(half)) <= {127, 128}


def test_resizing_is_linear_where_it_grows():
    image = np.repeat(np.array([[0, 100]], np.uint8)[..., None], 3, axis=2)
    assert resize_image(image, (1, 4))[0, :, 0].tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize("size", [(40, 60), (17, 91), (91, 17)])
def test_resize_keeps_all_boxes(size):
    result = Resize(size)(NOISE, BOXES, LABELS, 0, 0)
    assert result.image.shape == (*size, 3) and result.kept.tolist() == [0, 1, 2, 3] and result.tiny == 0
    scale = np.array([size[1] / 60, size[0] / 40] * 2)
    np.testing.assert_allclose(result.boxes, BOXES * scale, rtol=1e-6)
    assert result.boxes.dtype == np.float32
    assert Resize(size)(NOISE, NONE, LABELS[:0], 0, 0).boxes.shape == (0, 4)


def test_evaluation_in_batches(tmp_path):
    dataset = make_dataset(tmp_path, Resize((20, 30)))
    batches = list(eval_loader(dataset, 0, batch_size=3))
    assert [len(batch["file"]) for batch in batches] == [3, 3, 1]
    assert batches[0]["boxes"].shape == (3, 2, 4) and batches[1]["boxes"].shape == (3, 4, 4)
    np.testing.assert_allclose(batches[1]["boxes"][1], BOXES / [60, 40, 60, 40], atol=1e-6)
