import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from heads import arg_max_mask, resize
from heads.segmentation_masks import _contenders, _spans

SIZES = [((17, 33), (129, 257)), ((8, 8), (64, 64)), ((5, 7), (33, 50)), ((9, 9), (9, 9)), ((20, 24), (7, 11))]
EDGES = [((1, 1), (6, 5)), ((1, 9), (4, 40)), ((3, 1), (1, 1))]


def reference(logits, size):
    return resize(logits.contiguous(), size).argmax(1)


def check(logits, size):
    mask = arg_max_mask(logits, size)
    expected = reference(logits, size)
    assert mask.shape == expected.shape == (len(logits), *size)
    assert torch.equal(mask.long(), expected)
    return mask


def random(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def smooth(shape):
    """As a trained network's: classes in large regions, most of them nowhere."""
    batch, classes, height, width = shape
    coarse = 5 * random((batch, classes, 3, 3), seed=1) - 4 * torch.arange(classes).view(1, -1, 1, 1) / classes
    return resize(coarse, (height, width)) + 0.1 * random(shape)


@pytest.mark.parametrize(("small", "large"), SIZES + EDGES)
@pytest.mark.parametrize("classes", [1, 2, 21])
def test_random_logits(classes, small, large):
    check(random((2, classes, *small)), large)


@pytest.mark.parametrize(("small", "large"), SIZES)
@pytest.mark.parametrize("classes", [2, 21])
def test_smooth_logits(classes, small, large):
    check(smooth((3, classes, *small)), large)


@pytest.mark.parametrize("make", [random, smooth])
def test_more_classes_than_a_byte_holds(make):
    mask = check(make((2, 300, 9, 11)), (40, 61))
    assert mask.dtype == torch.int64
    assert mask.max() > 255 or make is smooth


def test_a_class_beyond_a_byte_is_found():
    logits = random((1, 300, 4, 4))
    logits[:, 299] += 100
    assert (check(logits, (9, 9)) == 299).all()


@pytest.mark.parametrize("classes", [1, 2, 21, 256])
def test_masks_are_bytes_up_to_256_classes(classes):
    assert arg_max_mask(random((1, classes, 3, 3)), (5, 5)).dtype == torch.uint8


def test_256_classes_fill_the_byte():
    logits = random((1, 256, 4, 4))
    logits[:, 255, :2] += 100
    assert (check(logits, (8, 8))[:, :3] == 255).all()


@pytest.mark.parametrize("classes", [2, 21, 300])
def test_ties_go_to_the_first_class(classes):
    # few distinct values, so that most corners and many interpolated values are equal
    logits = random((2, classes, 9, 17)).round()
    best = resize(logits, (66, 129)).topk(2, dim=1).values
    assert (best[:, 0] == best[:, 1]).any()
    check(logits, (66, 129))


@pytest.mark.parametrize("size", [(18, 18), (64, 64), (64, 65), (70, 50), (70, 80), (129, 257)])
def test_copies_of_a_class(size):
    # up to a height and width of 128 together, torch's CPU kernel rounds by a channel's place among the channels
    logits = random((2, 5, 9, 9))
    check(torch.cat([logits, logits, logits], dim=1), size)


@pytest.mark.parametrize("value", [0.0, 3.7, -1e-3, 1e6])
def test_constant_logits_are_class_zero(value):
    assert not check(torch.full((2, 21, 17, 33), value), (129, 257)).any()


@pytest.mark.parametrize("margin", [0.0, 1e-7, 1e-6, 1e-5, 1e-3])
@pytest.mark.parametrize("level", [1.0, 1000.0, -1000.0])
def test_near_ties_within_rounding(level, margin):
    logits = level + abs(level) * margin * random((1, 21, 17, 33))
    check(logits, (129, 257))


def test_large_and_tiny_values_together():
    logits = random((2, 21, 9, 9)) * torch.logspace(-8, 8, 21).view(1, -1, 1, 1)
    check(logits, (65, 70))


@pytest.mark.parametrize("classes", [1, 2, 21])
@pytest.mark.parametrize("batch", [1, 3])
def test_channels_last_logits(batch, classes):
    logits = smooth((batch, classes, 17, 33)).to(memory_format=torch.channels_last)
    assert torch.equal(check(logits, (129, 257)), arg_max_mask(logits.contiguous(), (129, 257)))


def test_a_view_of_a_larger_tensor():
    logits = random((4, 9, 12, 14))[::2, 1:8, :, 2:-1]
    assert not logits.is_contiguous()
    check(logits, (50, 47))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_resized_in_single(dtype):
    logits = smooth((2, 7, 9, 9)).to(dtype)
    assert torch.equal(arg_max_mask(logits, (33, 40)).long(), reference(logits.float(), (33, 40)))


def test_images_of_a_batch_do_not_meet():
    logits = smooth((3, 21, 9, 11))
    together = arg_max_mask(logits, (50, 60))
    for index in range(3):
        assert torch.equal(together[index], arg_max_mask(logits[index : index + 1], (50, 60))[0])


def test_the_logits_are_left_as_they_were():
    logits = random((1, 5, 6, 6))
    before = logits.clone()
    arg_max_mask(logits, (20, 20))
    assert torch.equal(logits, before)


def test_classes_that_cannot_win_are_not_resized():
    logits = random((1, 50, 8, 8))
    logits[:, [7, 30]] += 100
    assert _contenders(logits).any(3).any(2)[0].nonzero()[:, 0].tolist() == [7, 30]
    assert set(check(logits, (80, 80)).unique().tolist()) <= {7, 30}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("small", [(32, 64), (45, 60), (47, 33), (200, 2), (129, 17)])
@pytest.mark.parametrize("ratio", [1, 2, 4, 8, 16])
def test_tiles_join_without_a_seam(small, ratio, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for make in (random, smooth):
            check(make((2, 5, *small)), (small[0] * ratio, small[1] * ratio))
    finally:
        torch.set_num_threads(before)


def test_tiles_cover_every_pixel_once():
    for cells, ratio in [(64, 8), (90, 8), (300, 2), (17, 64)]:
        spans = _spans(cells, cells * ratio, tiled=True)
        assert len(spans) > 1
        assert [span.pixels.start for span in spans] == [0, *(span.pixels.stop for span in spans[:-1])]
        assert spans[-1].pixels.stop == cells * ratio
        assert all(span.crop.stop - span.crop.start == span.pixels.stop - span.pixels.start for span in spans)


def test_sides_that_would_round_otherwise_stay_whole():
    assert [len(_spans(*sides, tiled=True)) for sides in [(129, 1025), (64, 320), (500, 500)]] == [1, 1, 1]


def test_a_class_that_wins_one_pixel_is_resized():
    logits = torch.zeros(1, 4, 16, 16)
    logits[:, 0], logits[:, 3, 11, 2] = 1, 9
    assert 3 in check(logits, (16, 16)).unique()
    assert 3 in check(logits, (129, 129)).unique()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_still_give_a_mask(value):
    logits = random((1, 3, 6, 6))
    logits[0, 1, 2, 2] = value
    mask = arg_max_mask(logits, (12, 12))
    assert mask.shape == (1, 12, 12)
    assert mask.max() <= 2


def test_nothing_but_nan_still_gives_a_mask():
    assert arg_max_mask(torch.full((1, 3, 4, 4), torch.nan), (8, 8)).shape == (1, 8, 8)


class Largest(TorchDispatchMode):
    """Remembers the size, in bytes, of the largest tensor that any operator returned."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for output in result if isinstance(result, tuple | list) else [result]:
            if isinstance(output, torch.Tensor):
                self.bytes = max(self.bytes, output.numel() * output.element_size())
        return result


@pytest.mark.parametrize("make", [random, smooth])
def test_no_tensor_of_all_classes_at_full_size(make):
    logits = make((1, 19, 64, 128))
    with Largest() as ours:
        mask = arg_max_mask(logits, (1024, 2048))
    with Largest() as whole:
        expected = F.interpolate(logits, size=(1024, 2048), mode="bilinear", align_corners=False).argmax(1)
    assert torch.equal(mask.long(), expected)
    assert whole.bytes == 19 * 1024 * 2048 * 4  # the measure sees what is to be avoided
    assert ours.bytes <= 1024 * 2048 * 4
