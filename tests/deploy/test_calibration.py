"""Which images int8 is calibrated on, and that they are not those that the file is evaluated on."""

import shutil

import cv2
import numpy as np
import pytest

from datasets.classification.find import shapes_objects
from deploy import DeployError
from deploy.calibration import find_calibration, read_calibration, require_no_overlap, spread
from deploy.export_options import Gate, Quantisation
from tasks.errors import TaskError
from tasks.wings import WINGS

SEGMENTATION = WINGS["segmentation"]


def int8(calibration, **options):
    return Quantisation(int8=True, calibration=str(calibration), **options)


def photographs(folder, count):
    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((8, 8, 3), number, dtype=np.uint8))
    return folder


def read(calibration):
    return read_calibration(calibration, lambda image: image[None])


def test_every_fifth_image_is_kept_back_where_there_are_no_labels(tmp_path):
    folder = photographs(tmp_path / "x", 12)
    found = find_calibration(SEGMENTATION, int8(folder), Gate())
    assert [path.name for path in found.kept_back] == ["2.png", "7.png"]  # by name: 0, 1, 10, 11, 2
    assert len(found.sources) == 10 and not set(found.sources) & set(found.kept_back)
    labelled = find_calibration(SEGMENTATION, int8(folder), Gate(dataset="voc"))
    assert labelled.kept_back == [] and len(labelled.sources) == 12
    images, shown = read(found)
    assert len(images) == len(shown) == 10 and images[0].shape == (1, 8, 8, 3)
    few = find_calibration(SEGMENTATION, int8(folder, calibration_images=3), Gate())
    assert len(few.sources) == 3


def test_spread_is_over_all_and_always_the_same():
    items = list(range(1000))
    chosen = spread(items, 10)
    assert chosen == spread(items, 10) == sorted(set(chosen))
    assert [item // 100 for item in chosen] == list(range(10))
    assert spread(items[:7], 10) == items[:7]


def test_images_that_cannot_be_read(tmp_path, capsys):
    folder = photographs(tmp_path / "x", 6)
    (folder / "1.png").write_bytes(b"garbage")
    images, _ = read(find_calibration(SEGMENTATION, int8(folder), Gate(dataset="voc")))
    assert len(images) == 5 and "1 of 6 images left out" in capsys.readouterr().out
    for path in folder.iterdir():
        path.write_bytes(b"garbage")
    with pytest.raises(DeployError, match=r"--calibration .*x: none of its images can be read \(.*0\.png") as raised:
        read(find_calibration(SEGMENTATION, int8(folder), Gate(dataset="voc")))
    assert "\n" not in str(raised.value)


def test_too_few(tmp_path):
    folder = photographs(tmp_path / "x", 4)
    with pytest.raises(DeployError, match="4 images, and without --dataset it takes 5"):
        find_calibration(SEGMENTATION, int8(folder), Gate())
    assert len(find_calibration(SEGMENTATION, int8(folder), Gate(dataset="voc")).sources) == 4
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(ValueError, match=nothing.name):
            find_calibration(SEGMENTATION, int8(nothing), Gate())


def test_the_split_that_the_file_is_evaluated_on_is_refused(shapes):
    gate = Gate(dataset="voc", data_root=shapes, split="val")
    with pytest.raises(DeployError, match="the file is evaluated on --split val"):
        find_calibration(SEGMENTATION, int8("voc:val"), gate)
    with pytest.raises(DeployError, match="--data-root is that of --dataset voc"):
        find_calibration(SEGMENTATION, int8("folder"), gate)
    assert len(find_calibration(SEGMENTATION, int8("voc"), gate).sources) == 16
    assert len(find_calibration(SEGMENTATION, int8("voc:test"), gate).sources) == 4


@pytest.mark.parametrize(
    "kind, dataset", [("segmentation", "voc"), ("detection", "coco"), ("classification", "shapes")]
)
def test_images_of_the_split_that_the_file_is_evaluated_on_are_refused(kind, dataset, shapes, tmp_path):
    wing = WINGS[kind]
    splits = ["train", "val"]
    objects = kind == "classification"  # which Shapes has of a tree of its own size only
    train, val = (shapes_objects(shapes, s) for s in splits) if objects else wing.find_files(dataset, splits, shapes)
    folder = photographs(tmp_path / "x", 6)
    calibration = find_calibration(wing, int8(folder), Gate(dataset=dataset, data_root=shapes))
    require_no_overlap(wing, val, read(calibration)[1], "x")
    other = wing.images(val)[0]
    if objects:
        cv2.imwrite(str(folder / "other.png"), other[..., ::-1])
    else:
        shutil.copy(other, folder / f"other{other.suffix}")
    calibration = find_calibration(wing, int8(folder), Gate(dataset=dataset, data_root=shapes))
    with pytest.raises(DeployError, match=r"--calibration .*other\.\w+ shows the same as .* val, which the file is"):
        require_no_overlap(wing, val, read(calibration)[1], calibration.where)
    require_no_overlap(wing, train, read(calibration)[1], calibration.where)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"int8": True}, "--int8 needs --calibration"),
        ({"int8": True, "float16": True, "calibration": "x"}, "either --int8 or --float16"),
        ({"calibration": "x"}, "--calibration is for --int8 and --float16"),
    ],
)
def test_options_that_need_others(options, said):
    with pytest.raises(TaskError, match=said):
        Quantisation(**options)
