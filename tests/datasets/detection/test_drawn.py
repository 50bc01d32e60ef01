"""YOLO's labels, and what people drew in labelme and CVAT: boxes, masks, splits and faults."""

import json

import numpy as np
import pytest

from datasets.detection.checks import check_detection
from datasets.detection.find import find_detection
from datasets.faults import DataError
from datasets.grouping import check_group_by, hold_out
from datasets.inspected_splits import choose_task, find_splits
from datasets.inspection import inspect_splits
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.datasets.detection.trees import write_image


def refusal(call, *arguments, **named) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def boxes(files, index=0):
    return files.objects[index].boxes.tolist()


# YOLO


def write_yolo(root, labels, split="train", names="names: [cat, dog]", swapped=False):
    for stem, text in labels.items():
        images, texts = (root / split / part if swapped else root / part / split for part in ("images", "labels"))
        write_image(images / f"{stem}.jpg")
        (texts / stem).parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            (texts / f"{stem}.txt").write_text(text)
    (root / "data.yaml").write_text(f"path: ../elsewhere\ntrain: images/train\n{names}\n")
    return root


def test_yolo(tmp_path):
    text = "1 0.5 0.5 0.2 0.4\n\n0 0.1 0.1 0.3 0.1 0.3 0.5\n0 0.95 0.5 0.5 0.5\n"
    root = write_yolo(tmp_path, {"a": text, "b": "", "c": None})
    (root / "labels" / "train" / "d.txt").write_text("")
    write_yolo(tmp_path, {"e": "0 0.5 0.5 1 1"}, "val")
    files = find_detection("yolo", "train", root)
    assert files.names == ["cat", "dog"] and files.ids == ["a", "b", "c"] and not files.faults
    np.testing.assert_allclose(boxes(files), [[12, 6, 18, 14], [3, 2, 9, 10], [21, 5, 30, 15]], atol=1e-4)
    assert files.objects[0].labels.tolist() == [1, 0, 0] and not boxes(files, 1) and not boxes(files, 2)
    assert [note.split(":")[0] for note in files.notes] == [
        "1 image without a label file, taken to be without objects",
        "1 label file without an image left out",
        "1 box reaching out of the image clipped",
    ]
    assert find_detection("yolo", "val", root).ids == ["e"]
    found, early = find_splits("detection", "yolo", None, root, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 0.5 0.5 0.2", "line 1 has 4 numbers"),
        ("0 0.5 0.5 0.2 0.2 0.9", "line 1 has 6 numbers"),
        ("\n2 0.5 0.5 0.2 0.2", "line 2 has class 2, and classes are 0 to 1"),
        ("-1 0.5 0.5 0.2 0.2", "has class -1"),
        ("0.0 0.5 0.5 0.2 0.2", "has class 0.0"),
        ("9999999999999999999999 0.5 0.5 0.2 0.2", "has class 99"),
        ("0 15 10 4 4", "numbers outside of 0 to 1"),
        ("0 nan 0.5 0.2 0.2", "numbers outside of 0 to 1"),
        ("0 0.5 0.5 0.2 1_0", "something else than numbers"),
        ("0 0.5 0.5 0.2 x", "something else than numbers"),
    ],
)
def test_faulty_lines_of_yolo(tmp_path, text, said):
    root = write_yolo(tmp_path, {"a": text, "b": "0 0.5 0.5 1 1"})
    line = refusal(check_detection, find_detection("yolo", "train", root))
    assert line.startswith(f"{root / 'labels/train/a.txt'}: line ") and said in line


def test_faulty_label_files_of_yolo(tmp_path):
    root = write_yolo(tmp_path, {"a": "", "b": "0 0.5 0.5 1 1"})
    (root / "labels/train/a.txt").write_bytes(b"\xff\xfe0")
    assert "not UTF-8" in refusal(check_detection, find_detection("yolo", "train", root))
    (root / "labels/train/a.txt").write_text("")
    write_image(root / "images/train/a.png")
    assert "1 label file for several images: a.txt" in refusal(check_detection, find_detection("yolo", "train", root))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: {1: dog, 0: cat}", ["cat", "dog"]),
        ("names:\n- background\n- dog", ["background", "dog"]),
        ("names: {0: cat, 2: dog}", "a name for each class from 0 on"),
        ("names: {0: cat, 0: dog}", "a name for each class from 0 on"),
        ("names: [cat, cat]", "cat listed twice"),
        ("names: [cat, [dog]]", "a name for each class"),
        ('names: ["a\\nb"]', "a name for each class"),
        ("names: 3", 'no list "names"'),
        ("nc: 2", 'no list "names"'),
        ("names: [", "is not YAML"),
        ("names: " + "[" * 1500, "is not YAML"),
    ],
)
def test_names_of_yolo(tmp_path, text, names):
    root = write_yolo(tmp_path, {"a": "0 0.5 0.5 1 1"}, names=text)
    if isinstance(names, list):
        assert find_detection("yolo", "train", root).names == names
    else:
        line = refusal(find_detection, "yolo", "train", root)
        assert line.startswith(f"{root / 'data.yaml'}: ") and names in line


def test_yolo_as_roboflow_and_labelimg_write_it(tmp_path):
    root = write_yolo(tmp_path, {"a": "0 0.5 0.5 1 1"}, "valid", swapped=True)
    assert find_detection("yolo", "val", root).ids == ["a"]
    assert "no such split; there are valid" in refusal(find_detection, "yolo", "train", root)
    (root / "data.yaml").unlink()
    assert "names of the classes" in refusal(find_detection, "yolo", "val", root)
    (root / "classes.txt").write_text("background\ndog\n")
    assert find_detection("yolo", "val", root).names == ["background", "dog"]
    (root / "classes.txt").write_text("cat\n\ndog\n")
    assert "a name for each class" in refusal(find_detection, "yolo", "val", root)


# labelme


def drawn(label, kind, *points, **more):
    return {"label": label, "shape_type": kind, "points": [[*point] for point in points], "group_id": None, **more}


def write_labelme(folder, stem, *shapes, size=(30, 20), **more):
    write_image(folder / f"{stem}.jpg")
    content = {"version": "5.4", "shapes": [*shapes], "imagePath": f"{stem}.jpg", "imageData": None}
    content |= {"imageHeight": size[1], "imageWidth": size[0], **more}
    (folder / f"{stem}.json").write_text(json.dumps(content))


SHAPES = [
    drawn("cat", "rectangle", (12, 14), (2, 4)),
    drawn("dog", "polygon", (20, 2), (28, 2), (28, 6), group_id=1),
    drawn("dog", "polygon", (20, 10), (24, 10), (24, 18), group_id=1),
    drawn("cat", "circle", (15, 10), (18, 10)),
    drawn("cat", "line", (1, 1), (2, 2)),
    drawn("__ignore__", "rectangle", (0, 0), (3, 3)),
]


@pytest.fixture
def labelme(tmp_path):
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
    write_labelme(tmp_path / "train", "a", *SHAPES)
    write_labelme(tmp_path / "val", "b")
    write_image(tmp_path / "train" / "bare.jpg")
    return tmp_path


def test_labelme_boxes(labelme):
    files = find_detection("labelme", "train", labelme)
    assert files.names == ["cat", "dog"] and files.sizes == [(20, 30)] and not files.faults
    assert boxes(files) == [[2, 4, 12, 14], [20, 2, 28, 18], [12, 7, 18, 13]]
    assert files.objects[0].labels.tolist() == [0, 1, 0]
    assert files.notes == [
        "1 image without a json left out: bare.jpg",
        "1 line or point left out: a.json",
        "1 shape labelled background or __ignore__ left out: a",
    ]
    assert find_detection("labelme", "val", labelme).ids == ["b"]
    assert check_detection(files).boxes.tolist() == [2, 1]
    assert choose_task("labelme", labelme) == "detection"


def test_labelme_masks(labelme):
    files = find_segmentation("labelme", "train", labelme)
    mask = SegmentationDataset(files)[0]["mask"]
    assert files.names == ["background", "cat", "dog"]
    assert mask[5, 5] == 1 and mask[3, 26] == 2 and mask[10, 15] == 1 and mask[1, 1] == 255 and mask[19, 0] == 0
    found, early = find_splits("segmentation", "labelme", None, labelme, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early
    assert not inspect_splits(found[:1]).total("error")


def test_later_shapes_of_labelme_cover_earlier_ones(labelme):
    write_labelme(labelme / "train", "a", drawn("dog", None, (0, 0), (29, 0), (29, 19), (0, 19)), SHAPES[0])
    mask = SegmentationDataset(find_segmentation("labelme", "train", labelme))[0]["mask"]
    assert mask[8, 8] == 1 and mask[17, 25] == 2


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([drawn("cat", "rectangle", (1, 1))], "shape 1 is a rectangle of 1 points"),
        ([SHAPES[0], drawn("cat", "polygon", (1, 1), (2, 2))], "shape 2 is a polygon of 2 points"),
        ([drawn("cat", "blob", (1, 1), (2, 2))], "shape 1 is a blob"),
        ([drawn("", "rectangle", (1, 1), (2, 2))], "shape 1 has no label"),
        ([3], "shape 1 has no label"),
        ([drawn("cat", "rectangle", (1, 1), (2, float("inf")))], "beyond reason"),
        ([drawn("cat", "rectangle", (1, 1), (2, 10**400))], "beyond reason"),
        ([drawn("cat", "rectangle", (1, 1), (2, True))], "not lists of x and y"),
        ([drawn("cat", "rectangle", (1, 1), (2,))], "not lists of x and y"),
        ([{"label": "cat", "points": 5}], "not lists of x and y"),
        ([drawn("cat", "rectangle", (1, 1), (2, 2), group_id=[1])], "group_id"),
    ],
)
def test_faulty_shapes_of_labelme(labelme, shapes, said):
    write_labelme(labelme / "train", "a", *shapes)
    write_labelme(labelme / "train", "c", SHAPES[0])
    line = refusal(check_detection, find_detection("labelme", "train", labelme))
    assert line.startswith(f"{labelme / 'train/a.json'}: ") and said in line
    files = find_segmentation("labelme", "train", labelme)
    assert said in refusal(lambda: SegmentationDataset(files)[0])


def test_brushed_masks_of_labelme_have_boxes_alone(labelme):
    write_labelme(labelme / "train", "a", drawn("cat", "mask", (1, 2), (5, 6), mask="iVBOR"))
    assert boxes(find_detection("labelme", "train", labelme)) == [[1, 2, 5, 6]]
    files = find_segmentation("labelme", "train", labelme)
    assert "drawn with a brush" in refusal(lambda: SegmentationDataset(files)[0])


def test_faulty_files_of_labelme(labelme):
    path = labelme / "train" / "a.json"
    for content, said in (("{", "is not json"), ("[]", 'no list "shapes"'), ('{"shapes": 3}', 'no list "shapes"')):
        path.write_text(content)
        write_labelme(labelme / "train", "c", SHAPES[0])
        line = refusal(check_detection, find_detection("labelme", "train", labelme))
        assert line.startswith(f"{path}: ") and said in line
    write_labelme(labelme / "train", "a", SHAPES[0], size=(20, 30))
    files = find_detection("labelme", "train", labelme)
    assert "its annotation is for an image of 20x30" in refusal(check_detection, files)
    write_labelme(labelme / "train", "a", drawn("cow", "rectangle", (1, 1), (5, 5)))
    for find in (find_detection, find_segmentation):
        said = f"{labelme / 'labels.txt'}: annotations have classes that are not listed: cow (1 box)"
        assert said in refusal(lambda find=find: check_detection(find("labelme", "train", labelme)))
    (labelme / "labels.txt").unlink()
    assert refusal(find_detection, "labelme", "train", labelme).endswith("such as cat, cow")


def test_images_of_labelme_are_looked_for_in_the_tree_alone(labelme, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_image(elsewhere / "x.jpg")
    write_image(labelme / "pictures" / "y.jpg")
    write_labelme(labelme / "train", "a", SHAPES[0], imagePath="..\\pictures\\y.jpg")
    write_labelme(labelme / "train", "c", SHAPES[0], imagePath=str(elsewhere / "x.jpg"))
    (labelme / "train" / "c.jpg").unlink()
    files = find_detection("labelme", "train", labelme)
    assert files.image_paths[0] == labelme / "pictures" / "y.jpg"
    assert "c.json: its image" in refusal(check_detection, files)


# CVAT


def cvat_image(name, *shapes, size=(30, 20), more=""):
    return f'<image id="0" name="{name}" width="{size[0]}" height="{size[1]}" {more}>{"".join(shapes)}</image>'


META = "<meta><task><labels><label><name>cat</name></label><label><name>dog</name></label></labels></task></meta>"
BOX = '<box label="cat" xtl="2.0" ytl="4" xbr="12" ybr="14.5" occluded="0" z_order="1"/>'
POLYGON = '<polygon label="dog" points="0,0;29,0;29,19;0,19" z_order="0"/>'


def write_cvat(root, *images, meta=META, names=("a.jpg",)):
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_image(root / "images" / name)
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>")
    return root


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
    assert "1 image listed more than once: a.jpg" in told(cvat_image("a.jpg"), cvat_image("a.jpg"))
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


# splits by group


NAMES = [f"video{video}/{video}_{frame:03d}.jpg" for video in range(12) for frame in range(5)]


@pytest.mark.parametrize("group_by", ["folder", "(.+)_[0-9]+", r"^(\d+)_"])
def test_groups_are_whole(group_by, tmp_path):
    parts = {split: hold_out(NAMES, split, group_by, tmp_path) for split in ("train", "val")}
    assert sorted(parts["train"] + parts["val"]) == sorted(NAMES)
    train, val = ({name.split("/")[0] for name in names} for names in parts.values())
    assert not train & val and 1 <= len(val) <= 5
    more = [f"added{number}/a{number}_0.jpg" for number in range(9)]
    before = hold_out(NAMES, "val", group_by, tmp_path)
    pattern = group_by.replace(r"(\d+)", r"(\w+)")
    assert [name for name in hold_out(more + NAMES, "val", pattern, tmp_path) if name in NAMES] == before


def test_two_groups_are_one_of_each(tmp_path):
    for names in (["a/1.jpg", "b/1.jpg"], [f"{first}/1.jpg" for first in "xyz"]):
        assert all(hold_out(names, split, "folder", tmp_path) for split in ("train", "val"))


def test_groups_that_cannot_be(tmp_path):
    assert "into one group" in refusal(hold_out, ["a/1.jpg", "a/2.jpg"], "val", "folder", tmp_path)
    assert "a.jpg does not match" in refusal(hold_out, ["a.jpg"], "val", "x(.)", tmp_path)
    assert "is no regular expression" in refusal(check_group_by, "(")
    assert "with a group in it" in refusal(check_group_by, "[a-z]+")
    assert "no split test" in refusal(hold_out, NAMES, "test", None, tmp_path)
    for dataset in ("voc", "coco", "cityscapes", "ade20k"):
        line = refusal(find_segmentation, dataset, "train", tmp_path, group_by="folder")
        assert "splits of their own (folder" in line


@pytest.mark.parametrize("dataset", ["folder", "yolo", "labelme", "cvat"])
def test_trees_without_splits_are_split_by_group(dataset, tmp_path):
    names = [f"v{video}/{frame}" for video in range(6) for frame in range(3)]
    (tmp_path / "labels.txt").write_text("background\ncat\n")
    for name in names:
        if dataset == "folder":
            write_image(tmp_path / "images" / f"{name}.jpg")
            write_image(tmp_path / "masks" / f"{name}.png")
        elif dataset == "labelme":
            write_labelme(tmp_path / name.split("/")[0], name.split("/")[1], SHAPES[0])
        elif dataset == "yolo":
            write_image(tmp_path / "images" / ".hidden" / "a.jpg")
            write_yolo(tmp_path, {name: "0 0.5 0.5 1 1"}, ".")
    if dataset == "cvat":
        write_cvat(
            tmp_path, *(cvat_image(f"{name}.jpg", BOX) for name in names), names=[f"{name}.jpg" for name in names]
        )
    find, parts = find_segmentation if dataset == "folder" else find_detection, []
    for split in ("train", "val"):
        files = find(dataset, split, tmp_path, group_by="folder")
        paths = [pair[0] for pair in files.pairs] if dataset == "folder" else files.image_paths
        parts.append({path.parent.name for path in paths})
    assert len(parts[0]) + len(parts[1]) == 6 and parts[0] and parts[1]
    assert parts[0] | parts[1] == {f"v{video}" for video in range(6)}


def test_own_splits_are_not_grouped_anew(tmp_path, labelme):
    root = write_yolo(tmp_path / "yolo", {"a": ""})
    write_image(tmp_path / "folder" / "images" / "train" / "a.jpg")
    write_image(tmp_path / "folder" / "masks" / "train" / "a.png")
    (tmp_path / "folder" / "labels.txt").write_text("cat")
    for dataset, place, find in (
        ("yolo", root, find_detection),
        ("labelme", labelme, find_detection),
        ("folder", tmp_path / "folder", find_segmentation),
    ):
        assert "leave out --group-by" in refusal(find, dataset, "train", place, group_by="folder")
