"""COCO's annotations as class masks: instances, COCO-Stuff, panoptic."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from datasets.faults import DataError
from datasets.inspected_splits import choose_task, find_splits
from datasets.inspection import inspect_splits
from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.coco import VOC_CATEGORIES
from datasets.segmentation.coco_stuff import NAMES
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from datasets.voc_names import VOC_NAMES
from tests.datasets.detection.trees import image, mark, write_coco, write_image

COCO_MINI = Path(__file__).resolve().parents[4] / "shared" / "data" / "coco_mini"
SQUARE = [[5, 5, 15, 5, 15, 15, 5, 15]]


def read(root, dataset="coco", split="train", **options):
    return find_segmentation(dataset, split, root, **options)


def mask(files, index=0):
    return SegmentationDataset(files)[index]["mask"]


def region(number, segmentation, category=7, image=1, **more):
    return mark(number, image, category, [0, 0, 1, 1], segmentation=segmentation, **more)


def refusal(call, *arguments, **named) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def counts(array):
    """Runs down the columns, the first outside."""
    flat = array.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    return [*([0] if flat[0] else []), *np.diff([0, *edges, flat.size]).tolist()]


def test_polygons_runs_crowds_and_overlaps(tmp_path):
    crowd, disc = np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    crowd[0:3], disc[12:18, 12:20] = 1, 1
    text = coco_mask.encode(np.asfortranarray(disc))["counts"].decode()
    marks = [
        region(1, SQUARE),
        region(2, {"size": [20, 30], "counts": text}, 90),
        region(3, {"size": [20, 30], "counts": counts(crowd)}, iscrowd=1),
        region(4, [[20, 5, 22, 5]], 0),
    ]
    files = read(write_coco(tmp_path, [image(1), image(2)], marks))
    assert files.names == ["background", "cat", "dog", "brush"]
    expected = np.zeros((20, 30), np.uint8)
    expected[5:15, 5:15], expected[12:18, 12:20], expected[12:15, 12:15], expected[0:3] = 2, 3, 255, 255
    np.testing.assert_array_equal(mask(files), expected)
    assert not mask(files, 1).any()
    summary = check_segmentation(files)
    assert summary.present.sum(0).tolist() == [2, 0, 1, 1] and summary.lines() == []


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        (None, "annotation 1 has no segmentation"),
        ([], "polygons that are no lists"),
        ([[1, 2, 3, 4, 5]], "polygons that are no lists"),
        ([[1, 2, 3, 4, 5, True]], "polygons that are no lists"),
        ([[1, 2, 3, 4, 5, float("nan")]], "polygons that are no lists"),
        ([[1, 2, 3, 4, 5, 10**400]], "polygons that are no lists"),
        ([[1, 2, 3, 4, 5, "6"]], "polygons that are no lists"),
        ([[1, 2, 3, 4, 5, 1e8]], "region 1 has a polygon far outside of 30x20"),
        ({"size": [20, 30], "counts": [0, 5, 594]}, "runs of pixels that do not fill 30x20"),
        ({"size": [20, 30], "counts": [0, -5, 605]}, "runs of pixels that do not fill 30x20"),
        ({"size": [30, 20], "counts": [0, 600]}, "runs of pixels that do not fill 30x20"),
        ({"size": [20, 30], "counts": []}, "an RLE without size"),
        ({"size": [20, 30], "counts": [1.5, 598.5]}, "an RLE without size"),
        ({"size": 600, "counts": [600]}, "an RLE without size"),
        ({"size": [20, 30], "counts": "ooooooooooooooooo"}, "runs of pixels"),
        ({"size": [20, 30], "counts": "\u00ff\u00ff"}, "runs of pixels that cannot be read"),
        ({"size": [20, 30], "counts": "P"}, "runs of pixels that cannot be read"),
    ],
)
def test_outlines_that_cannot_be_are_told_with_file_and_image(tmp_path, segmentation, said):
    root = write_coco(tmp_path, [image(1), image(2)], [region(1, segmentation, area=5)])
    files = read(root)
    line = refusal(mask, files)
    assert line.startswith(f"{root / 'annotations/instances_train.json'}, image 1: ") and said in line
    assert said in refusal(check_segmentation, files)
    findings = inspect_splits(find_splits("segmentation", "coco", ["train"], root, (320, 320))[0])
    assert "mask cannot be read" in [kind.what for kind in findings.kinds()]


def test_faults_of_the_whole_json(tmp_path):
    marks = [region(1, SQUARE, image=9), region(2, SQUARE, 55), {"id": 3}, region(4, SQUARE), region(4, SQUARE)]
    with pytest.raises(DataError, match="4 faults") as caught:
        read(write_coco(tmp_path, [image(1)], marks))
    for said in (
        *("of unknown images: annotation 1", "of unknown categories: annotation 2", "without image_id"),
        "1 annotation id given more than once: 4",
    ):
        assert said in str(caught.value)


def test_another_size_and_a_wrong_crowd(tmp_path):
    root = write_coco(tmp_path, [image(1, size=(31, 20)), image(2)], [region(1, SQUARE, image=2, iscrowd=2)])
    write_image(root / "train" / "1.jpg")
    files = read(root)
    assert "is for an image of 31x20, and this one is 30x20" in refusal(mask, files)
    assert "an iscrowd other than 0 and 1" in refusal(mask, files, 1)


def test_images_that_may_surprise_are_told(tmp_path):
    images = [image(1, size=(30, 20)), image(2, "1.jpg"), image(3, size=(30, None))]
    assert read(write_coco(tmp_path, images, [])).notes == [
        "1 image that several image ids share: 1.jpg",
        "1 image whose width and height are no numbers above 0, and are not compared: 3.jpg",
    ]


@pytest.mark.parametrize("categories", [(1, 2), (2, 1)])
def test_an_overlap_with_a_category_called_background_is_void(tmp_path, categories):
    marks = [region(number, SQUARE, number) for number in categories]
    named = [{"id": 1, "name": "background"}, {"id": 2, "name": "cat"}]
    assert np.unique(mask(read(write_coco(tmp_path, [image(1)], marks, named)))).tolist() == [0, 255]


def test_outlines_are_for_the_upright_image(tmp_path):
    root = write_coco(tmp_path, [image(1, size=(20, 30))], [region(1, SQUARE)])
    write_image(root / "train" / "1.jpg", (30, 20), orientation=6)
    assert mask(read(root)).shape == (30, 20)


# VOC's classes


def coco_categories():
    names = {**{number: f"c{number}" for number in range(1, 91)}, **VOC_CATEGORIES}
    return [{"id": number, "name": name} for number, name in names.items()]


def test_voc_classes(tmp_path):
    marks = [
        region(1, SQUARE, 17, area=1000),
        region(2, SQUARE, 10, area=0.5),
        region(3, SQUARE, 17, 2, area=1000.5),
        region(4, SQUARE, 8, 3, area=5000),
    ]
    root = write_coco(tmp_path, [image(number) for number in (1, 2, 3)], marks, coco_categories())
    write_coco(tmp_path, [image(1)], marks[:2], coco_categories(), "instances_val.json", "val")
    train, val = (read(root, split=split, classes="voc") for split in ("train", "val"))
    assert train.names == VOC_NAMES and [path.name for path, _ in train.pairs] == ["2.jpg"]
    assert train.notes == ["2 images with 1,000 labelled pixels of VOC's classes or fewer left out: 1.jpg, 3.jpg"]
    assert check_segmentation(train).lines() == train.notes
    findings = inspect_splits(find_splits("segmentation", "coco", ["train"], root, (320, 320), classes="voc")[0])
    assert train.notes[0] in [finding.text for kept in findings.kept.values() for finding in kept]
    assert np.unique(mask(train)).tolist() == [0, VOC_NAMES.index("cat")] == np.unique(mask(val)).tolist()
    assert len(read(root).pairs) == 3
    assert "--classes is for --dataset coco" in refusal(read, root, "coco-stuff", classes="voc")


def test_a_faulty_image_is_not_left_out_of_vocs_classes_in_silence(tmp_path):
    marks = [region(1, [[1, 2]] * 2 + [[3]], 17, area=5), region(2, SQUARE, 17, 2, area=1001)]
    files = read(write_coco(tmp_path, [image(1), image(2)], marks, coco_categories()), classes="voc")
    assert len(files.pairs) == 2 and "polygons that are no lists" in refusal(check_segmentation, files)


def test_areas_that_are_not_given_are_measured(tmp_path):
    large = [[0, 0, 40, 0, 40, 30, 0, 30]]
    marks = [region(1, large, 17), region(2, {"size": [40, 50], "counts": [100, 1200, 700]}, 17, 2)]
    marks += [region(3, SQUARE, 17, 3)]
    images = [image(number, size=(50, 40)) for number in (1, 2, 3)]
    files = read(write_coco(tmp_path, images, marks, coco_categories()), classes="voc")
    assert [path.name for path, _ in files.pairs] == ["1.jpg", "2.jpg"]


def test_voc_classes_need_cocos_categories(tmp_path):
    root = write_coco(tmp_path, [image(1)], [])
    assert "5 is airplane there, and here missing" in refusal(read, root, classes="voc")


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="real data")
def test_masks_equal_torchvisions_reference_on_coco():
    """As references/segmentation/coco_utils.py draws them, but for crowds, which are void here."""
    content = json.loads((COCO_MINI / "annotations/instances_val2017.json").read_text())
    categories = [0, *VOC_CATEGORIES]
    files = read(COCO_MINI, split="val", classes="voc")
    assert len(files.pairs) == len(content["images"])
    for index, entry in enumerate(content["images"]):
        height, width = entry["height"], entry["width"]
        target, count = np.zeros((height, width), np.uint8), np.zeros((height, width), int)
        for drawn in content["annotations"]:
            if drawn["image_id"] == entry["id"] and drawn["category_id"] in categories:
                found = coco_mask.decode(coco_mask.frPyObjects(drawn["segmentation"], height, width))
                inside = found.reshape(height, width, -1).any(2)
                target = np.maximum(target, inside * np.uint8(categories.index(drawn["category_id"])))
                count += inside + 2 * (inside & bool(drawn["iscrowd"]))
        target[count > 1] = 255
        np.testing.assert_array_equal(mask(files, index), target)


def test_check_data_takes_coco_for_detection_unless_told(tmp_path):
    assert choose_task("coco", tmp_path) == "detection" and choose_task("coco-stuff") == "segmentation"


# COCO-Stuff


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path)


def test_coco_stuff(tmp_path):
    for split, values in (("train2017", [[0, 10, 12, 181, 255]]), ("val2017", [[91, 90, 1, 2, 3]])):
        write_image(tmp_path / split / "7.jpg", (5, 1))
        save(tmp_path / "stuffthingmaps" / split / "7.png", values)
    files = read(tmp_path, "coco-stuff")
    assert len(files.names) == 171 == len(set(files.names)) and len(NAMES) == 182
    assert [files.names[index] for index in (0, 10, 11, 79, 80, 170)] == [
        *("person", "fire hydrant", "stop sign", "toothbrush", "banner", "wood")
    ]
    assert mask(files).tolist() == [[0, 10, 11, 170, 255]]
    assert "mask value 90 on 1 pixels" in refusal(mask, read(tmp_path, "coco-stuff", "val"))
    (tmp_path / "labels.txt").write_text("thing = 0 10 12\nstuff = 181\n")
    assert mask(read(tmp_path, "coco-stuff")).tolist() == [[0, 0, 0, 1, 255]]
    found, _ = find_splits("segmentation", "coco-stuff", None, tmp_path, (320, 320))
    assert [split.split for split in found] == ["train", "val"]


# panoptic


def write_panoptic(root, rgb, segments, split="val2017", **entry):
    write_image(root / split / "1.jpg", (len(rgb[0]), len(rgb)))
    save(root / "annotations" / f"panoptic_{split}" / "1.png", rgb)
    categories = [{"id": 200, "name": "rug"}, {"id": 1, "name": "person"}]
    annotation = {"image_id": 1, "file_name": "1.png", "segments_info": segments, **entry}
    content = {"images": [image(1, size=None)], "annotations": [annotation], "categories": categories}
    (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(content))
    return root


SEGMENTS = [
    {"id": 1 + 256 * 2 + 65536 * 3, "category_id": 200, "iscrowd": 0},
    {"id": 5, "category_id": 1, "iscrowd": 0},
    {"id": 6, "category_id": 1, "iscrowd": 1},
]
PIXELS = [[[1, 2, 3], [5, 0, 0], [6, 0, 0], [0, 0, 0]]]


def test_panoptic(tmp_path):
    files = read(write_panoptic(tmp_path, PIXELS, SEGMENTS), "coco-panoptic", "val")
    assert files.names == ["person", "rug"] and mask(files).tolist() == [[1, 0, 255, 255]]
    assert check_segmentation(files).pixels.tolist() == [1, 1]
    found, _ = find_splits("segmentation", "coco-panoptic", None, tmp_path, (320, 320))
    assert not inspect_splits(found).total("error")


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        (SEGMENTS[1:], "segment 197121 on 1 pixels is not in the json"),
        ([*SEGMENTS, SEGMENTS[0]], "is given twice"),
        ([*SEGMENTS, {"id": 2**24, "category_id": 1}], "which is not from 1 to 16,777,215"),
        ([*SEGMENTS, {"id": 9, "category_id": 2}], "an unknown category 2"),
        ([*SEGMENTS, {"id": 9, "category_id": 1, "iscrowd": 3}], "an iscrowd other than 0 and 1"),
        ([*SEGMENTS, 3], "no id and category_id in segments_info[3]"),
    ],
)
def test_faulty_segments(tmp_path, segments, said):
    root = write_panoptic(tmp_path, PIXELS, segments)
    line = refusal(mask, read(root, "coco-panoptic", "val"))
    assert line.startswith(str(root / "annotations/panoptic_val2017/1.png")) and said in line


def test_sizes_of_panoptic_images(tmp_path):
    root = write_panoptic(tmp_path, PIXELS, SEGMENTS)
    path = root / "annotations/panoptic_val2017.json"
    content = json.loads(path.read_text())
    for width, said in ((5, ""), (0, "1 image whose width and height are no numbers above 0")):
        content["images"][0] |= {"width": width, "height": 1}
        path.write_text(json.dumps(content))
        files = read(root, "coco-panoptic", "val")
        assert files.notes[0].startswith(said) if said else "of 5x1, and it is 4x1 once" in refusal(mask, files)


def test_a_turned_panoptic_png(tmp_path):
    root = write_panoptic(tmp_path, PIXELS, SEGMENTS)
    png = root / "annotations/panoptic_val2017/1.png"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(png).save(png, exif=exif)
    assert "has EXIF orientation 3" in refusal(mask, read(root, "coco-panoptic", "val"))


def test_faulty_panoptic_trees(tmp_path):
    root = write_panoptic(tmp_path, [[0, 0, 0, 0]], SEGMENTS)
    assert "must be an RGB PNG" in refusal(mask, read(root, "coco-panoptic", "val"))
    root = write_panoptic(tmp_path, PIXELS, SEGMENTS, file_name="../1.png")
    assert "lead out of the tree" in refusal(read, root, "coco-panoptic", "val")
    with pytest.raises(DataError, match="of unknown images"):
        read(write_panoptic(tmp_path, PIXELS, SEGMENTS, image_id=2), "coco-panoptic", "val")
    (root / "annotations/panoptic_val2017").rename(root / "elsewhere")
    assert "unpack the PNGs" in refusal(read, root, "coco-panoptic", "val")
