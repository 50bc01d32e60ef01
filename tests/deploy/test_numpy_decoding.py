"""Decoding in NumPy beside what training and evaluation use."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from deploy.numpy_decoding import class_mask, class_scores, decode_boxes, detect, softmax
from heads import arg_max_mask, decode_detections
from heads.anchors import Anchors
from heads.anchors import decode_boxes as torch_boxes
from heads.decoding import class_scores as torch_scores
from tests.conftest import ROOT

ANCHORS = Anchors([(10, 10), (5, 5), (3, 3), (1, 1)], (160, 160)).boxes


def outputs(classes: int, sharpness: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose background wins mostly, as a trained network's, and offsets."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(len(ANCHORS), classes + 1, generator=generator)
    logits[:, 0] += 2 * sharpness
    return logits, 2 * torch.randn(len(ANCHORS), 4, generator=generator)


def ordered(boxes, scores, labels):
    """Detections by falling score, and by label and place where scores are equal."""
    order = np.lexsort((*boxes.T, labels, -scores))
    return boxes[order], scores[order], labels[order]


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("classes, sharpness", [(1, 2), (3, 1), (20, 1), (90, 0.3)])
@pytest.mark.parametrize("options", [{}, {"score_threshold": 0.3}, {"iou_threshold": 0.2, "max_detections": 20}])
def test_detections(classes, sharpness, sigmoid, options):
    for seed in range(5):
        logits, offsets = outputs(classes, sharpness, seed)
        expected = decode_detections(logits[None], offsets[None], ANCHORS, sigmoid, **options)
        boxes = decode_boxes(offsets.numpy(), ANCHORS.numpy())
        # the same scores, lest rounding change the order
        found, scores, labels = detect(boxes, torch_scores(logits, sigmoid).numpy(), **options)
        count = int(expected.counts[0])
        assert len(scores) == count
        theirs = [field[0, :count].numpy() for field in expected[:3]]
        for ours, other in zip(ordered(found, scores, labels), ordered(*theirs), strict=True):
            np.testing.assert_allclose(ours, other, atol=1e-6)


def test_a_class_has_no_more_candidates_than_asked_for():
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.random((2000, 2, 2), dtype=np.float32), axis=1).reshape(2000, 4) * np.float32(0.1)
    boxes += rng.random((2000, 1), dtype=np.float32) * np.float32(0.9)
    scores = rng.random((2000, 2), dtype=np.float32)
    _, _, labels = detect(boxes, scores, iou_threshold=1.0, topk_per_class=120)
    assert np.bincount(labels).tolist() == [120, 120]


def test_nothing_above_the_threshold():
    boxes, scores, labels = detect(np.zeros((5, 4), np.float32), np.zeros((5, 3), np.float32))
    assert boxes.shape == (0, 4) and scores.shape == labels.shape == (0,)


def test_parts_are_those_of_heads():
    logits, offsets = outputs(5, 30)  # some beyond what a float's power holds
    np.testing.assert_allclose(softmax(logits.numpy()), logits.softmax(-1), atol=1e-6)
    for sigmoid in (False, True):
        np.testing.assert_allclose(class_scores(logits.numpy(), sigmoid), torch_scores(logits, sigmoid), atol=1e-6)
    np.testing.assert_allclose(
        decode_boxes(50 * offsets.numpy(), ANCHORS.numpy()), torch_boxes(50 * offsets, ANCHORS).clamp(0, 1), atol=1e-5
    )


@pytest.mark.parametrize(
    "small, size", [((8, 8), (64, 64)), ((17, 33), (129, 257)), ((9, 9), (9, 9)), ((20, 24), (7, 11)), ((1, 1), (6, 5))]
)
@pytest.mark.parametrize("classes", [1, 2, 21, 300])
def test_masks(classes, small, size):
    logits = torch.randn(1, classes, *small, generator=torch.Generator().manual_seed(0))
    expected = arg_max_mask(logits, size)[0].numpy()
    found = class_mask(logits[0].permute(1, 2, 0).numpy(), size)
    assert found.dtype == expected.dtype and found.shape == size
    assert (found == expected).mean() > 0.999  # a pixel where two classes tie may go either way


def test_it_needs_no_torch():
    code = "import sys; sys.path.insert(0, 'deploy'); import numpy_decoding; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
