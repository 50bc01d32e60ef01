"""Checks of a detection split: every fault of images and annotations at once, and correct counts of a sound one."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from datasets.detection.checks import DetectionSummary, check_detection, check_files
from datasets.detection.files import DetectionFiles, Objects
from datasets.faults import DataError

SIZE = (20, 30)


def objects(*labels, crowd=()):
    count = len(labels)
    boxes = np.tile(np.array([1, 2, 5, 6], np.float32), (count, 1)).reshape(-1, 4)
    crowds = np.isin(np.arange(count), crowd)
    return Objects(boxes, np.array(labels, np.int64), crowds & False, crowds & False, crowds, boxes[:, 0])


def write_split(root, *contents, sizes=None, **more):
    """A split of 30x20 images with `contents`."""
    images = []
    for index in range(len(contents)):
        images.append(root / f"{index}.jpg")
        Image.new("RGB", SIZE[::-1], (90, 90, 90)).save(images[-1])
    sizes = sizes or [SIZE] * len(contents)
    ids = list(range(len(contents)))
    return DetectionFiles(root, "train", ["cat", "dog", "elk"], images, list(contents), ids, [1, 2, 3], sizes, **more)


def turn(path, orientation, size=(30, 20)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, (90, 90, 90)).save(path, exif=exif)


def faults_of(files, **options) -> list[str]:
    with pytest.raises(DataError) as caught:
        check_detection(files, **options)
    return str(caught.value).splitlines()


def test_counts_of_a_sound_split(tmp_path):
    files = write_split(tmp_path, objects(0, 0, 1), objects(), objects(1, 2, crowd=[1]), objects(2, crowd=[0]))
    summary = check_detection(files)
    assert summary.boxes.tolist() == [2, 2, 0] and summary.boxes.dtype == np.int64
    assert summary.images.tolist() == [1, 2, 0] and summary.images.dtype == np.int64
    assert summary.without_boxes == 2
    assert summary.lines() == [
        "2 crowd regions left out of training",
        "2 images without boxes",
        "1 class without boxes: elk",
    ]


def test_nothing_to_say(tmp_path):
    assert check_detection(write_split(tmp_path, objects(0, 1, 2))).lines() == []


def test_notes_of_the_annotations_come_first_and_are_cut(tmp_path):
    notes = [f"{n + 1} boxes" for n in range(30)]
    summary = check_detection(write_split(tmp_path, objects(0, 1), notes=notes))
    assert summary.notes == [*notes, "1 class without boxes: elk"]
    assert summary.lines() == [*notes[:20], "and 11 more notes"]
    assert summary.lines(most=2) == ["1 boxes", "2 boxes", "and 29 more notes"]


@pytest.mark.parametrize("threads", [1, 3])
def test_all_faults_are_told_at_once(tmp_path, threads):
    sizes = [SIZE, SIZE, SIZE, (21, 30), None, (30, 20), SIZE]
    files = write_split(tmp_path, *[objects(0)] * 7, sizes=sizes, faults=["a.xml: is torn", "b.xml: is gone"])
    files.image_paths[0].unlink()
    files.image_paths[1].write_bytes(files.image_paths[2].read_bytes()[:-150])
    files.image_paths[2].write_text("hello")
    head, *lines = faults_of(files, threads=threads)
    assert head == f"{tmp_path}, split train: 7 faults"
    for line, said in zip(
        lines,
        [
            "a.xml: is torn",
            "b.xml: is gone",
            "0.jpg: no such file",
            "1.jpg: cannot be read",
            "2.jpg: cannot be read (not an image)",
            "3.jpg: is 30x20, but its annotation is for an image of 30x21;",
            "5.jpg: is 30x20, but its annotation is for an image of 20x30;",
        ],
        strict=True,
    ):
        assert said in line


def test_grey_images_are_fine(tmp_path):
    files = write_split(tmp_path, objects(0, 1, 2))
    Image.new("L", (30, 20)).save(files.image_paths[0])
    assert check_detection(files).notes == []


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_for_the_unrotated_image_are_a_fault(tmp_path, orientation):
    files = write_split(tmp_path, objects(0))
    turn(files.image_paths[0], orientation)
    (line,) = faults_of(files)
    assert line.startswith(f"{files.image_paths[0]}: is 20x30 once turned upright by its EXIF orientation, ")
    assert "boxes are for the unrotated 30x20;" in line


def test_boxes_for_the_upright_image_are_none(tmp_path):
    files = write_split(tmp_path, objects(0, 1, 2), sizes=[(30, 20)])
    turn(files.image_paths[0], 6)
    assert check_detection(files).notes == []


def test_another_size_altogether_says_nothing_of_exif(tmp_path):
    files = write_split(tmp_path, objects(0), sizes=[(8, 9)])
    turn(files.image_paths[0], 6)
    (line,) = faults_of(files)
    assert "is 20x30, but its annotation is for an image of 9x8" in line and "EXIF" not in line


@pytest.mark.parametrize(("orientation", "declared"), [(2, SIZE), (3, SIZE), (4, SIZE), (3, None), (6, None)])
def test_turns_that_the_size_does_not_tell_are_noted(tmp_path, orientation, declared):
    files = write_split(tmp_path, objects(0, 1, 2), sizes=[declared])
    turn(files.image_paths[0], orientation)
    assert check_detection(files).notes == ["1 image turned by EXIF, with boxes read as for the upright image: 0.jpg"]


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_orientations_that_turn_nothing(tmp_path, orientation):
    files = write_split(tmp_path, objects(0, 1, 2))
    turn(files.image_paths[0], orientation)
    assert check_detection(files).notes == []


def test_an_empty_split(tmp_path):
    (line,) = faults_of(write_split(tmp_path))
    assert line == f"{tmp_path}: split train is empty"


@pytest.mark.parametrize("contents", [[objects(), objects()], [objects(1, crowd=[0])]], ids=["none", "crowds only"])
def test_no_boxes_at_all(tmp_path, contents):
    (line,) = faults_of(write_split(tmp_path, *contents))
    assert line.startswith(f"{tmp_path}: no image of split train has a box to learn from")


def test_a_single_fault_of_an_annotation_is_one_line(tmp_path):
    assert faults_of(write_split(tmp_path, objects(0), faults=["a.xml: is torn"])) == ["a.xml: is torn"]


def test_more_than_20_faults_are_cut_with_a_count(tmp_path):
    head, *lines = faults_of(write_split(tmp_path, objects(0), faults=[f"{n}.xml: is torn" for n in range(33)]))
    assert "33 faults" in head and len(lines) == 21 and lines[20].strip() == "and 13 more"


def test_splits_are_checked_together(tmp_path):
    train, val = (write_split(tmp_path, objects(0), faults=[f"{n}.xml: is torn"]) for n in range(2))
    sound = write_split(tmp_path, objects(1, 1))
    with pytest.raises(DataError) as caught:
        check_files(train, sound, replace(val, split="val"))
    assert str(caught.value).splitlines() == ["0.xml: is torn", "1.xml: is torn"]
    first, second = check_files(sound, replace(train, faults=[]))
    assert isinstance(first, DetectionSummary)
    assert first.boxes.tolist() == [0, 2, 0] and second.boxes.tolist() == [1, 0, 0]
