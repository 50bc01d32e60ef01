import re
from pathlib import Path

import numpy as np
import torch

from datasets.detection.boxes import box_iou
from heads.anchors import box_iou as torch_iou

ROOT = Path(__file__).resolve().parents[3]
BOXES = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [9, 9, 11, 11], [10, 10, 20, 20], [3, 3, 3, 3.0]])


def test_tables_and_pairs_by_hand():
    windows = np.array([[0, 0, 10, 10], [20, 20, 30, 30.0]])
    np.testing.assert_allclose(box_iou(windows[:, None], BOXES), [[1, 50 / 150, 1 / 103, 0, 0], [0, 0, 0, 0, 0]])
    np.testing.assert_allclose(box_iou(BOXES, BOXES), [1, 1, 1, 1, 0])
    assert box_iou(BOXES[:0], BOXES[:0]).shape == (0,) and box_iou(BOXES[:0, None], BOXES).shape == (0, 5)


def test_it_is_that_of_torch():
    random = np.random.default_rng(0)
    one, other = (np.sort(random.uniform(0, 9, (n, 2, 2)), axis=1).reshape(n, 4) for n in (40, 30))
    expected = torch_iou(torch.from_numpy(one)[:, None], torch.from_numpy(other)).numpy()
    np.testing.assert_allclose(box_iou(one[:, None], other), expected, atol=1e-12)
    assert 0 < np.count_nonzero(expected) < expected.size


def test_there_is_one_in_numpy_and_one_in_torch():
    """Whoever divides a shared area by a union does it by one of the two."""
    own = re.compile(r"def \w*(iou|jaccard|overlap)\w*\(", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for folder in ("backbones", "heads", "datasets", "tasks", "tools")
        for path in (ROOT / folder).rglob("*.py")
        for match in own.finditer(path.read_text())
    ]
    expected = ["datasets/detection/boxes.py: def box_iou(", "heads/anchors.py: def box_iou("]
    assert sorted(found) == [*expected, "heads/matching.py: def best_iou("]
