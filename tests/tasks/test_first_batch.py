"""The first training batch as the network sees it, drawn for each task."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tasks.drawing import OF_BATCH, FirstBatch, batch_images, sheet
from tasks.wings import WINGS

COLOURS = [(200, 30, 30), (10, 20, 250)]
SPEC = SimpleNamespace(
    names=["background", "thing"], colours=COLOURS, box_names=["box", "thing"], box_colours=[(250, 240, 60), COLOURS[1]]
)


def grey(count, size=(40, 60)):
    """Images that are all the same grey, in channels_last memory."""
    return torch.full((count, *size, 3), 100, dtype=torch.uint8).permute(0, 3, 1, 2)


def batch(count=3, size=(40, 60)):
    """Images with a thing of 20 by 30 pixels at (10, 10) each, but for the last."""
    mask = torch.zeros(count, *size, dtype=torch.uint8)
    mask[:-1, 10:30, 10:40] = 1
    mask[-1] = 255
    boxes = torch.tensor([10 / size[1], 10 / size[0], 40 / size[1], 30 / size[0]]).repeat(count, 2, 1)
    labels = torch.tensor([1, -1]).repeat(count, 1)
    labels[-1] = -1
    return {"image": grey(count, size), "mask": mask, "boxes": boxes, "labels": labels, "label": labels[:, 0].clamp(0)}


def cells(drawn, size=(40, 60), gap=6):
    return [drawn[:40, at : at + size[1]] for at in range(0, 2 * 96, 90 + gap)]


@pytest.mark.parametrize("kind", ["segmentation", "detection", "joint"])
def test_what_is_true_is_drawn_where_it_is(kind):
    drawn = WINGS[kind].draw_batch(SPEC, batch())
    first, second = cells(drawn)
    assert np.array_equal(first, second)
    third = drawn[46:86, :60]
    assert (third == 100).all()  # of which nothing is known
    corner = first[29, 12]
    assert (corner != 100).any() and (first[5, 50] == 100).all()
    if kind == "segmentation":
        assert np.abs(corner - (0.55 * np.array(COLOURS[1]) + 0.45 * 100)).max() <= 1
    else:
        assert (first[29, 12] == COLOURS[1]).all() and (first[10, 39] == COLOURS[1]).all()


def test_classes_stand_below_and_what_was_mixed_in():
    given = batch()
    plain = WINGS["classification"].draw_batch(SPEC, given)
    given["target"] = torch.tensor([[0.3, 0.7], [0.0, 1.0], [1.0, 0.0]])
    mixed = WINGS["classification"].draw_batch(SPEC, given)
    assert plain.shape == mixed.shape and (plain != mixed).any()


@pytest.mark.parametrize("kind", WINGS)
@pytest.mark.parametrize("count", [1, 5, 40])
def test_many_images_are_cut_and_odd_counts_filled(kind, count):
    drawn = WINGS[kind].draw_batch(SPEC, batch(count))
    assert drawn.dtype == np.uint8 and drawn.ndim == 3
    assert drawn.shape == WINGS[kind].draw_batch(SPEC, batch(min(count, OF_BATCH))).shape


def test_mixed_images_are_shares_of_colours():
    (image,) = batch_images({"image": torch.tensor([[-0.4, 0.6, 254.7, 256.0]]).view(1, 1, 2, 2).expand(1, 3, 2, 2)})
    assert image[..., 0].ravel().tolist() == [0, 1, 255, 255]


def test_sheets_are_about_square():
    assert [sheet([np.zeros((90, 90, 3), np.uint8)] * n, [], []).shape[:2] for n in (1, 2, 7, 16)] == [
        (96, 96),
        (96, 192),
        (288, 288),
        (384, 384),
    ]


def test_it_is_drawn_once_by_the_first_process_and_draws_no_random_number(tmp_path):
    given, state = batch(), torch.get_rng_state()
    for first in (False, True):
        callback = FirstBatch(tmp_path / "images" / "first_batch.png", WINGS["detection"].draw_batch)
        for number in range(2):
            trainer = SimpleNamespace(is_global_zero=first)
            callback.on_train_batch_end(trainer, SimpleNamespace(spec=SPEC), None, given, number)
            assert callback.path.is_file() == (first and number == 0)
            callback.path.unlink(missing_ok=True)
    assert torch.equal(torch.get_rng_state(), state)
