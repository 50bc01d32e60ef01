"""Images without labels that are trained on beside a split's own."""

from dataclasses import replace

import pytest

from datasets import DataError
from datasets.detection.checks import check_detection
from datasets.detection.find import find_detection
from datasets.segmentation.checks import check_segmentation
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


@pytest.mark.parametrize("find, check", [(find_segmentation, check_segmentation), (find_detection, check_detection)])
def test_they_are_read_with_the_others_before_the_first_step(shapes, tmp_path, find, check):
    files = find("coco", "train", shapes)
    whole = next((shapes / "JPEGImages").glob("val_*")).read_bytes()
    for name, content in (("cut.jpg", whole[: len(whole) // 2]), ("good.jpg", whole), ("none.jpg", b"no image")):
        (tmp_path / name).write_bytes(content)
    good, *broken = (tmp_path / name for name in ("good.jpg", "cut.jpg", "none.jpg"))
    assert check(replace(files, unlabelled=[good])).lines() == check(files).lines()
    with pytest.raises(DataError, match=r"2 faults\n  .*cut\.jpg: .*\n  .*none\.jpg: "):
        check(replace(files, unlabelled=[good, *broken]))
