"""Images without labels that are trained on beside a split's own."""

import pytest

from datasets import DataError
from datasets.segmentation.find import find_segmentation
from datasets.unlabelled import find_unlabelled


def test_a_splits_own_images_are_left_out(shapes):
    own = [image for image, _ in find_segmentation("voc", "train", shapes).pairs]
    found = find_unlabelled(shapes / "JPEGImages", own)
    assert len(found) == 8 and not {*found} & {*own} and found == sorted(found)


def test_what_cannot_be_had_is_one_line(shapes, tmp_path):
    for folder, told in ((tmp_path / "none", "no such folder"), (tmp_path, "no images in it$")):
        with pytest.raises(DataError, match=told):
            find_unlabelled(folder, [])
    images = sorted((shapes / "JPEGImages").iterdir())
    with pytest.raises(
        DataError, match=f"no images in it besides the {len(images)} of the splits to train and validate on"
    ):
        find_unlabelled(shapes / "JPEGImages", images)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.jpg: cannot be read as an image"):
        find_unlabelled(tmp_path, [])
