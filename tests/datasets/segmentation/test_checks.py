"""Checks before training: every fault of a split at once, and correct counts of a sound one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.faults import DataError
from datasets.segmentation.checks import SegmentationSummary, check_segmentation
from datasets.segmentation.files import SegmentationFiles

NAMES = ["sky", "road", "car"]


def write_split(root, masks, names=NAMES):
    """A split with a grey image for every mask (uint8 [H, W])."""
    pairs = []
    for index, mask in enumerate(masks):
        image, drawn = root / f"{index:02d}.png", root / f"{index:02d}_mask.png"
        Image.new("RGB", mask.shape[::-1], (90, 90, 90)).save(image)
        Image.fromarray(mask).save(drawn)
        pairs.append((image, drawn))
    return SegmentationFiles(root, "train", names, [(0, 0, 0)] * len(names), pairs)


def filled(*values, rows=4):
    """A mask with as many columns as there are values, each column of one value."""
    return np.tile(np.array(values, np.uint8), (rows, 1))


def faults_of(files) -> list[str]:
    with pytest.raises(DataError) as caught:
        check_segmentation(files)
    return str(caught.value).splitlines()


def test_counts_of_a_sound_split(tmp_path):
    summary = check_segmentation(write_split(tmp_path, [filled(0, 1, 1, 255), filled(1, 255), filled(0, 0)]))
    assert summary.pixels.tolist() == [12, 12, 0]
    assert summary.present.sum(0).tolist() == [2, 2, 0]


@pytest.mark.parametrize("threads", [1, 3])
def test_all_faults_are_told_at_once(tmp_path, threads):
    files = write_split(tmp_path, [filled(0, 1, 2)] * 6)
    paths = [Path(drawn) for _, drawn in files.pairs]
    Image.fromarray(filled(0, 3, 9)).save(paths[0])
    Image.fromarray(filled(0, 1, rows=5)).save(paths[1])
    Image.new("RGB", (3, 4)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-150])
    files.pairs[2] = (tmp_path / "cut.jpg", paths[2])
    paths[3].unlink()
    Image.new("RGB", (3, 4), (1, 2, 3)).save(paths[4])
    with pytest.raises(DataError) as caught:
        check_segmentation(files, threads)
    head, *lines = str(caught.value).splitlines()
    assert head == f"{tmp_path}, split train: 5 faults"
    assert len(lines) == 5
    assert "00_mask.png: mask value 3 on 4 pixels, 9 on 4 pixels; classes are 0 sky to 2 car" in lines[0]
    assert "01_mask.png: 2x5, but its image 01.png is 3x4" in lines[1]
    assert "cut.jpg: cannot be read" in lines[2]
    assert "03_mask.png: no such file" in lines[3]
    assert "04_mask.png: an RGB mask" in lines[4]
    assert "05" not in "".join(line.replace(str(tmp_path), "") for line in lines)


def test_a_single_fault_is_one_line(tmp_path):
    files = write_split(tmp_path, [filled(0, 1), filled(0, 7)])
    (line,) = faults_of(files)
    assert line.startswith(f"{files.pairs[1][1]}: mask value 7 on 4 pixels")


def test_large_pixel_counts_are_legible(tmp_path):
    (line,) = faults_of(write_split(tmp_path, [np.full((40, 50), 77, np.uint8)]))
    assert "77 on 2,000 pixels" in line


def test_255_and_the_last_class_are_no_faults(tmp_path):
    assert check_segmentation(write_split(tmp_path, [filled(2, 255)])).pixels.tolist() == [0, 0, 4]


def test_binary_masks_of_0_and_255_say_what_to_do(tmp_path):
    (line,) = faults_of(write_split(tmp_path, [filled(0, 255), filled(0, 0)], ["ground", "crack"]))
    assert str(tmp_path) in line and '"crack"' in line and "1 in place of 255" in line


def test_binary_advice_comes_with_other_faults(tmp_path):
    files = write_split(tmp_path, [filled(0, 255), filled(0, 0)], ["ground", "crack"])
    files.pairs[1][1].unlink()
    head, *lines = faults_of(files)
    assert "2 faults" in head and "no such file" in lines[0] and "1 in place of 255" in lines[1]


def test_masks_of_0_1_and_255_are_no_binary_masks(tmp_path):
    summary = check_segmentation(write_split(tmp_path, [filled(0, 255), filled(0, 1)], ["ground", "crack"]))
    assert summary.pixels.tolist() == [8, 4]


@pytest.mark.parametrize(("count", "rest"), [(20, None), (21, "and 1 more"), (33, "and 13 more")])
def test_more_than_20_faults_are_cut_with_a_count(tmp_path, count, rest):
    head, *lines = faults_of(write_split(tmp_path, [filled(9)] * count))
    assert f"{count} faults" in head
    assert sum("mask value 9" in line for line in lines) == 20
    assert (lines[20:] == []) if rest is None else (lines[20].strip() == rest and len(lines) == 21)


def test_balanced_weights_have_mean_1_and_favour_the_rare():
    summary = SegmentationSummary(np.array([9000, 900, 100]), np.ones((3, 3), bool))
    weights = summary.balanced_weights()
    assert np.mean(weights) == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2]
    # the ratio of ENet's formula
    assert weights[2] / weights[0] == pytest.approx(np.log(1.02 + 0.9) / np.log(1.02 + 0.01))


def test_even_classes_weigh_the_same():
    assert SegmentationSummary(np.array([50, 50]), np.ones((1, 2), bool)).balanced_weights() == pytest.approx([1, 1])
