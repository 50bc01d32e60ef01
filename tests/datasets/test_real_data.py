"""CamVid, where it lies beside the checkout."""

from pathlib import Path

import pytest

from datasets.checks import check_segmentation
from datasets.segmentation import SegmentationDataset, voc_files

ROOT = Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="shared/data/camvid is not here")


@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101), ("test", 233)])
def test_camvid_splits(split, count):
    files = voc_files(ROOT, split)
    assert len(files.pairs) == count
    assert len(files.names) == 11 and files.names[0] == "sky"


def test_camvid_splits_share_no_picture():
    pictures = [picture for split in ("train", "val", "test") for picture, _ in voc_files(ROOT, split).pairs]
    assert len(set(pictures)) == 701


def test_camvid_val_is_sound_and_has_every_class():
    files = voc_files(ROOT, "val")
    summary = check_segmentation(files)
    assert summary.pixels.shape == (11,) and (summary.pictures > 0).all()
    assert 0.8 * 101 * 360 * 480 < summary.pixels.sum() < 101 * 360 * 480  # the rest is void
    assert SegmentationDataset(files)[0]["image"].shape == (360, 480, 3)
