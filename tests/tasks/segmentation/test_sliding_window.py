"""Windows lie where they should, their strips are the whole thing bit for bit, and averages keep the logits' detail."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from heads import arg_max_mask
from tasks import SegmentationSpec, SegmentationTask, segmentation_table
from tasks.segmentation.sliding_window import slide

RAW = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}  # the network sees values as they are


class Places(torch.nn.Module):
    """Says of every cell which red value, out of 0 to classes - 1, its pixels have on average."""

    def __init__(self, stride: int, classes: int) -> None:
        super().__init__()
        self.stride, self.classes = stride, classes

    def forward(self, images):
        mean = F.avg_pool2d(images[:, :1], self.stride, ceil_mode=True)
        return -((mean - torch.arange(self.classes)[:, None, None]) ** 2)


def stand_in(network: torch.nn.Module, classes: int) -> SegmentationTask:
    table = segmentation_table("v3-small", "lraspp", width=0.25)
    spec = SegmentationSpec(table, "lraspp", [str(n) for n in range(classes)], [(0, 0, 0)] * classes, (64, 64), **RAW)
    task = SegmentationTask(spec).eval()
    task.network = network
    return task


def network_task(head: str) -> SegmentationTask:
    table = segmentation_table("v3-small", head, width=0.5)
    task = SegmentationTask(SegmentationSpec(table, head, ["a", "b", "c"], [(0, 0, 0)] * 3, (64, 64))).eval()
    for module in task.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.01, 0.1)
    return task


def noise(height: int, width: int) -> np.ndarray:
    coarse = torch.rand(1, 3, -(-height // 6), -(-width // 6), generator=torch.Generator().manual_seed(1))
    image = F.interpolate(coarse, (height, width), mode="bilinear")[0] * 255
    return image.permute(1, 2, 0).to(torch.uint8).numpy()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("stride", [1, 4, 8, 16])
def test_the_mask_lies_over_the_image(stride, axis):
    task = stand_in(Places(stride, 72), 72)
    for side in range(33, 71, 1 if stride == 16 else 5):
        for window in (16, 48) if stride == 16 else (48,):
            places = np.arange(side)[:, None] if axis == 0 else np.arange(side)[None]
            image = np.zeros((side, 66, 3) if axis == 0 else (66, side, 3), dtype=np.uint8)
            image[..., 0] = places
            wrong = np.abs(task.predict([image], window=(window, window))[0].astype(int) - places)
            # cells at an edge are a class of their own up to their ends, and the last may hold repeated pixels
            assert wrong.max() < stride, (side, window)
            ends = side // stride * stride - stride
            middle = wrong[stride:ends] if axis == 0 else wrong[:, stride:ends]
            assert middle.max(initial=0) <= (0 if stride == 1 else 1), (side, window)


@pytest.mark.parametrize("length, side", [(1024, 513), (513, 512), (100, 64), (70, 64)])
def test_any_window_fits_any_image(length, side):
    mask = stand_in(Places(8, 2), 2).predict([np.ones((length, 40, 3), dtype=np.uint8)], window=(side, side))[0]
    assert mask.shape == (length, 40) and (mask == 1).all()


def in_memory(task: SegmentationTask, image: np.ndarray, side: int) -> np.ndarray:
    """What `slide` gives, from everything accumulated at once."""
    height, width = (-(-length // 32) * 32 for length in image.shape[:2])
    padded = np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), mode="edge")
    rows, columns = min(side, height), min(side, width)
    total = count = None
    for top in [*range(0, height - rows, max(32, rows // 64 * 32)), height - rows]:
        for left in [*range(0, width - columns, max(32, columns // 64 * 32)), width - columns]:
            patch = torch.from_numpy(padded[top : top + rows, left : left + columns]).permute(2, 0, 1)[None]
            logits = task.network(task.normalise(patch))
            s = rows // logits.shape[2]
            if total is None:
                total, count = torch.zeros(1, 3, height // s, width // s), torch.zeros(1, 1, height // s, width // s)
            total[:, :, top // s : (top + rows) // s, left // s : (left + columns) // s] += logits
            count[:, :, top // s : (top + rows) // s, left // s : (left + columns) // s] += 1
    return arg_max_mask(total / count, (height, width))[0, : image.shape[0], : image.shape[1]].numpy()


@pytest.mark.parametrize(
    "head, size, side",  # strides 8, 16 and 1
    [
        ("lraspp", (150, 103), 64),
        ("lraspp", (301, 90), 128),
        ("lraspp", (90, 301), 96),
        ("lraspp", (520, 150), 256),
        ("lraspp", (150, 2200), 512),
        ("raspp", (150, 103), 64),
        ("unet", (110, 70), 64),
    ],
)
def test_strips_are_everything_in_memory_bit_for_bit(head, size, side):
    task, image = network_task(head), noise(*size)
    with torch.inference_mode():
        expected = in_memory(task, image, side)
    mask = task.predict([image], window=(side, side))[0]
    assert mask.dtype == np.uint8 and len(np.unique(mask)) > 1
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize("head", ["lraspp", "unet"])
def test_windows_lie_where_the_whole_image_has_the_same(head):
    task, image = network_task(head), noise(128, 416)
    if head == "lraspp":
        task.network.head.classify_high.weight.data.zero_()  # which of random weights drowns the skip at stride 8
    whole, windows = task.predict([image])[0], task.predict([image], window=(128, 224))[0]
    alike = {shift: (whole == np.roll(windows, shift, 1)).mean() for shift in (-16, -8, -4, 0, 4, 8, 16)}
    assert max(alike, key=alike.__getitem__) == 0, alike


def test_more_classes_than_eight_bits_hold():
    image = np.full((40, 80, 3), 255, dtype=np.uint8)
    image[..., 0] = np.arange(80)
    mask = slide(lambda patch: torch.rand(1, 300, *patch.shape[:2]), image, (32, 32))
    assert mask.shape == (40, 80) and mask.max() > 255


@pytest.mark.parametrize("window", [None, (32, 32)])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_several_views_keep_the_logits_own_detail(stride, window):
    squares = np.indices((64, 48)).sum(0) % 2 if stride == 1 else np.indices((64, 48))[1] // stride % 2
    image = np.repeat(squares[..., None], 3, axis=2).astype(np.uint8)
    task = stand_in(Places(stride, 2), 2)
    mask = task.predict([image], tta_scales=(1.0, 1.0), window=window)[0]
    assert np.array_equal(mask, squares)


def test_mirrored_windows_are_mirrored_back():
    image = np.zeros((40, 96, 3), dtype=np.uint8)
    image[:, 30:] = 1
    mask = stand_in(Places(8, 2), 2).predict([image], tta_flip=True, window=(64, 64))[0]
    assert (mask[:, :26] == 0).all() and (mask[:, 34:] == 1).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 33)])
@pytest.mark.parametrize("head", ["lraspp", "unet"])
@pytest.mark.parametrize("options", [{}, {"tta_scales": (0.5, 1.5), "tta_flip": True}, {"window": (64, 64)}])
def test_images_of_a_pixel(size, head, options):
    assert network_task(head).predict([noise(*size)], **options)[0].shape == size
