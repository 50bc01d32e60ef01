"""What people drew in CVAT: boxes, masks, subsets and faults."""

import numpy as np
import pytest

from datasets.detection.checks import check_detection
from datasets.detection.find import find_detection
from datasets.inspected_splits import find_splits
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.datasets.detection.drawn_trees import BOX, META, POLYGON, boxes, cvat_image, refusal, write_cvat
from tests.datasets.detection.trees import write_image


def test_cvat(tmp_path):
    more = '<ellipse label="dog" cx="20" cy="10" rx="4" ry="2" z_order="2"/><tag label="dog"/>'
    more += (
        '<mask label="dog" rle="1, 2" left="1" top="2" width="3" height="4"/><polyline label="cat" points="1,1;2,2"/>'
    )
    names = ("a.jpg", "s/b.jpg")
    root = write_cvat(tmp_path / "train", cvat_image("a.jpg", BOX, POLYGON, more), cvat_image("s/b.jpg"), names=names)
    write_cvat(tmp_path / "val", cvat_image("a.jpg", BOX))
    files = find_detection("cvat", "train", tmp_path)
    assert files.names == ["cat", "dog"] and files.ids == ["a.jpg", "s/b.jpg"] and not files.faults
    assert files.image_paths == [root / "images" / name for name in names]
    expected = [[0, 0, 29, 19], [1, 2, 4, 6], [2, 4, 12, 14.5], [16, 8, 24, 12]]
    np.testing.assert_allclose(boxes(files), expected)
    assert files.objects[0].labels.tolist() == [1, 1, 0, 1]
    assert files.notes == ["1 shape other than box, polygon, ellipse, mask left out: a.jpg"]
    assert check_detection(files).without_boxes == 1
    masks = find_segmentation("cvat", "val", tmp_path)
    mask = SegmentationDataset(masks)[0]["mask"]
    assert masks.names == ["background", "cat", "dog"] and np.unique(mask).tolist() == [0, 1]
    found, early = find_splits("segmentation", "cvat", None, tmp_path, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early


def test_brushed_masks_of_cvat(tmp_path):
    brushed = '<mask label="dog" rle="0, 1, 1, 2, 1, 1" left="27" top="5" width="3" height="2" z_order="2"/>'
    root = write_cvat(tmp_path / "train", cvat_image("a.jpg", brushed, BOX))
    mask = SegmentationDataset(find_segmentation("cvat", "train", tmp_path))[0]["mask"]
    assert mask[5:7, 27:].tolist() == [[2, 0, 2], [2, 0, 2]] and (mask == 2).sum() == 4
    for change, said in (
        ("0, 1, 1, 2", "region 1 has runs of pixels that do not fill 3x2"),
        ("0, 1, -1, 6", "region 1 has runs of pixels that are not numbers such as 3, 2, 4"),
        ("", "region 1 has runs of pixels that are not numbers such as 3, 2, 4"),
    ):
        write_cvat(root, cvat_image("a.jpg", brushed.replace("0, 1, 1, 2, 1, 1", change)))
        line = refusal(lambda: SegmentationDataset(find_segmentation("cvat", "train", tmp_path))[0])
        assert line == f"{root / 'annotations.xml'}, image a.jpg: {said}; draw it anew"


def test_z_order_of_cvat(tmp_path):
    root = write_cvat(tmp_path, cvat_image("a.jpg", BOX, POLYGON, more='subset="Train"'))
    mask = SegmentationDataset(find_segmentation("cvat", "train", root))[0]["mask"]
    assert mask[8, 8] == 1 and mask[17, 25] == 2


def test_a_turned_box_of_cvat_is_bounded(tmp_path):
    box = '<box label="cat" xtl="10" ytl="8" xbr="20" ybr="12" rotation="90.0"/>'
    root = write_cvat(tmp_path, cvat_image("a.jpg", box, more='subset="train"'))
    np.testing.assert_allclose(boxes(find_detection("cvat", "train", root)), [[13, 5, 17, 15]], atol=1e-4)


def test_subsets_of_cvat(tmp_path):
    images = [cvat_image("a.jpg", BOX, more='subset="Train"'), cvat_image("b.jpg", BOX, more='subset="Validation"')]
    root = write_cvat(tmp_path, *images, names=("a.jpg",))
    write_image(root / "images" / "Validation" / "b.jpg")
    assert find_detection("cvat", "val", root).image_paths == [root / "images" / "Validation" / "b.jpg"]
    assert find_detection("cvat", "train", root).ids == ["a.jpg"]
    assert "no such split, test; there are train, validation" in refusal(find_detection, "cvat", "test", root)
    assert "leave out --group-by" in refusal(find_detection, "cvat", "train", root, group_by="folder")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ('<box xtl="1" ytl="1" xbr="2" ybr="2"/>', "box 1 has no label"),
        ('<box label="cat" xtl="1" ytl="1" xbr="2"/>', "box 1 has '' where a number is wanted"),
        ('<box label="cat" xtl="nan" ytl="1" xbr="2" ybr="2"/>', "'nan' where a number"),
        ('<box label="cat" xtl="1_0" ytl="1" xbr="2" ybr="2"/>', "'1_0' where a number"),
        ('<box label="cat" xtl="1e99" ytl="1" xbr="2" ybr="2"/>', "beyond reason"),
        ('<polygon label="cat" points="1,1;2,2"/>', "no three points"),
        ('<polygon label="cat" points="1,1;2,2;3"/>', "no three points"),
        ('<blob label="cat"/>', "blob 1 is no shape of CVAT"),
        ('<box label="cat" xtl="9" ytl="1" xbr="2" ybr="2"/>', "box 1 has a width or height below 0"),
        ('<ellipse label="cat" cx="9" cy="9" rx="-2" ry="2"/>', "ellipse 1 has a width or height below 0"),
        (BOX.replace("/>", ' rotation=""/>'), "box 1 has '' where a number is wanted"),
        (POLYGON.replace("/>", ' rotation="9"/>'), "polygon 1 has a rotation, which boxes and ellipses alone have"),
        (POLYGON.replace('z_order="0"', 'z_order="front"'), "has a z_order that is no whole number"),
    ],
)
def test_faulty_shapes_of_cvat(tmp_path, shape, said):
    images = [cvat_image(name, content, more='subset="train"') for name, content in (("a.jpg", shape), ("b.jpg", BOX))]
    root = write_cvat(tmp_path, *images, names=("a.jpg", "b.jpg"))
    line = refusal(check_detection, find_detection("cvat", "train", root))
    assert line.startswith(f"{root / 'annotations.xml'}, image a.jpg: ") and said in line


def test_faulty_files_of_cvat(tmp_path):
    def told(*images, **options):
        return refusal(find_detection, "cvat", "train", write_cvat(tmp_path, *images, **options))

    assert "CVAT for images 1.1" in told("<track/>")
    assert "leads out of the tree" in told(cvat_image("../a.jpg"))
    assert "leads out of the tree" in told(cvat_image("a.jpg", more='subset="../.."'))
    assert "1 image listed more than once: a.jpg" in told(cvat_image("a.jpg"), cvat_image("a.jpg"))
    assert "1 image listed more than once: a.jpg" in told(cvat_image("a.jpg"), cvat_image("./a.jpg"))
    assert "has <box> elsewhere than in <annotations>/image/box" in told(cvat_image("a.jpg"), BOX)
    assert "has <image> elsewhere than in <annotations>/image;" in told(f"<images>{cvat_image('a.jpg')}</images>")
    assert "CVAT for images 1.1" in told(cvat_image("a.jpg").replace("<image", '<image xmlns="http://a.org"'))
    named_twice = META.replace("<name>cat", "<name>elk</name><name>cat")
    assert "some without one name" in told(cvat_image("a.jpg", more='subset="train"'), meta=named_twice)
    assert "lists no labels" in told(cvat_image("a.jpg", more='subset="train"'), meta="")
    (tmp_path / "annotations.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>')
    assert "declares XML entities" in refusal(find_detection, "cvat", "train", tmp_path)
    (tmp_path / "annotations.xml").write_text("<annotation/>")
    assert "CVAT for images 1.1" in refusal(find_detection, "cvat", "train", tmp_path)
    (tmp_path / "annotations.xml").unlink()
    assert "annotations.xml: no such file" in refusal(find_detection, "cvat", "train", tmp_path)
    more = 'subset="train"'
    root = write_cvat(tmp_path, cvat_image("a.jpg", BOX, size=("x", 20), more=more))
    assert "has no width and height" in refusal(check_detection, find_detection("cvat", "train", root))
    root = write_cvat(tmp_path, cvat_image("a.jpg", BOX.replace("cat", "cow"), more=more))
    assert "not listed: cow (1 box)" in str(find_detection("cvat", "train", root).faults)
