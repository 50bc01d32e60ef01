"""Which files belong to a detection split, what their annotations say, and samples read from them."""

import json

import numpy as np
import pytest
from PIL import Image

from datasets import detection
from datasets.detection import DetectionDataset, find_detection, limit_detection
from datasets.detection_augment import Augmented
from datasets.detection_files import read_names
from datasets.files import DataError

NAMES = ["cat", "dog", "traffic light"]
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
nan, inf = float("nan"), float("inf")


def error_line(call, *arguments, **named) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message


def write_picture(path, size=(30, 20), orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size, (200, 50, 60)).save(path, exif=exif)


# VOC trees

SIDES = ("xmin", "ymin", "xmax", "ymax")


def thing(name, *corners, extra=""):
    box = "".join(f"<{side}>{value}</{side}>" for side, value in zip(SIDES, corners, strict=False))
    return f"<object><name>{name}</name>{extra}<bndbox>{box}</bndbox></object>"


def annotation(*things, size=(30, 20), head=""):
    given = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"<annotation>{head}{given}{''.join(things)}</annotation>"


def write_voc(root, annotations, split="train", names=NAMES, size=(30, 20)):
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in annotations))
    for stem, text in annotations.items():
        write_picture(root / "JPEGImages" / f"{stem}.jpg", size)
        if text is not None:
            (root / "Annotations" / f"{stem}.xml").write_text(text)
    if names:
        (root / "labels.txt").write_text("\n".join(names))
    return root


def read_voc(root, annotations, **options):
    return find_detection("voc", "train", write_voc(root, annotations, **options))


def test_voc_boxes_are_continuous_and_count_from_0(tmp_path):
    first = annotation(thing("dog", 1, 2, 10, 12), thing("cat", 3, 3, 30, 20))
    files = read_voc(tmp_path, {"b": first, "a": annotation(thing("traffic light", 5, 5, 6, 7))})
    assert files.names == NAMES and files.category_ids == [1, 2, 3]
    assert files.ids == ["b", "a"] and files.sizes == [(20, 30), (20, 30)]
    assert files.pictures == [tmp_path / "JPEGImages" / "b.jpg", tmp_path / "JPEGImages" / "a.jpg"]
    objects = files.objects[0]
    assert objects.boxes.tolist() == [[0, 1, 10, 12], [2, 2, 30, 20]] and objects.boxes.dtype == np.float32
    assert objects.labels.tolist() == [1, 0] and objects.labels.dtype == np.int64
    assert objects.area.tolist() == [110, 28 * 18] and objects.area.dtype == np.float32
    assert files.objects[1].labels.tolist() == [2] and files.objects[1].boxes.tolist() == [[4, 4, 6, 7]]
    assert files.faults == files.notes == []


def test_difficult_and_truncated_are_kept_and_missing_tags_are_false(tmp_path):
    things = [
        thing("cat", 1, 1, 9, 9, extra="<pose>Left</pose><truncated>1</truncated><difficult>0</difficult>"),
        thing("cat", 1, 1, 9, 9, extra="<difficult>1</difficult>"),
        thing("cat", 1, 1, 9, 9),
        thing("cat", 1, 1, 9, 9, extra="<difficult></difficult><truncated>Unspecified</truncated>"),
    ]
    files = read_voc(tmp_path, {"a": annotation(*things)})
    objects = files.objects[0]
    assert objects.difficult.tolist() == [False, True, False, False]
    assert objects.truncated.tolist() == [True, False, False, False]
    assert objects.difficult.dtype == objects.truncated.dtype == objects.crowd.dtype == bool
    assert not objects.crowd.any() and files.faults == files.notes == []


@pytest.mark.parametrize("size", [None, (0, 0), ("wide", 20), ("", 20), ("inf", "nan")])
def test_a_missing_size_is_noted_and_the_pictures_own_limits_the_boxes(tmp_path, size):
    files = read_voc(tmp_path, {"a": annotation(thing("cat", 1, 1, 40, 9), size=size)})
    assert files.sizes == [None] and files.faults == []
    assert files.objects[0].boxes.tolist() == [[0, 0, 30, 9]]
    assert files.notes == [
        "1 box reaching out of the picture clipped: a.xml (cat 1,1,40,9)",
        "1 annotation without the picture's size: a.xml",
    ]


def test_without_any_size_the_upright_pictures_counts(tmp_path):
    root = write_voc(tmp_path, {"a": annotation(thing("cat", 1, 1, 15, 28), size=None)})
    write_picture(root / "JPEGImages" / "a.jpg", (30, 20), orientation=6)
    assert find_detection("voc", "train", root).objects[0].boxes.tolist() == [[0, 0, 15, 28]]


def test_fractional_coordinates_and_spaces(tmp_path):
    files = read_voc(tmp_path, {"a": annotation(thing(" cat ", " 1.5", "2.25 ", 10.75, 1e1))})
    assert files.objects[0].boxes.tolist() == [[0.5, 1.25, 10.75, 10]] and files.faults == []


def test_parts_of_an_object_are_no_objects(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></part>"
    files = read_voc(tmp_path, {"a": annotation(thing("dog", 1, 1, 9, 9, extra=part))})
    assert files.objects[0].boxes.tolist() == [[0, 0, 9, 9]] and files.faults == []


def test_a_picture_without_objects(tmp_path):
    files = read_voc(tmp_path, {"a": annotation(), "b": annotation(thing("cat", 1, 1, 2, 2)), "c": annotation()})
    assert [len(objects) for objects in files.objects] == [0, 1, 0]
    empty = files.objects[0]
    assert empty.boxes.shape == (0, 4) and empty.boxes.dtype == np.float32
    assert empty.labels.shape == empty.crowd.shape == empty.area.shape == (0,) and empty.labels.dtype == np.int64


def test_all_faults_of_annotations_are_collected(tmp_path):
    sound = thing("cat", 1, 1, 9, 9)
    texts = {
        "torn": "<annotation><object>",
        "bomb": BOMB + annotation(),
        "gone": None,
        "other": annotation(sound, head="<filename>else.jpg</filename>"),
        "nameless": annotation(sound, "<object><bndbox/></object>"),
        "boxless": annotation("<object><name>dog</name></object>", sound),
        "words": annotation(sound, thing("dog", 1, "two", 3, 4)),
        "three": annotation(sound, thing("dog", 1, 2, 3)),
        "empty": "",
        "fine": annotation(sound),
    }
    files = read_voc(tmp_path, texts)
    said = {
        "torn": "is not well-formed XML (no element found: line 1, column 20)",
        "bomb": "declares XML entities",
        "gone": "no such file",
        "other": "is for else.jpg by its <filename>",
        "nameless": "object 2 has no <name>",
        "boxless": "object 1 has no <bndbox>",
        "words": "object 2 (dog) needs a number a side, not xmin '1', ymin 'two', xmax '3', ymax '4'",
        "three": "object 2 (dog) needs a number a side, not xmin '1', ymin '2', xmax '3', ymax ''",
        "empty": "is not well-formed XML (no element found",
    }
    assert len(files.faults) == len(said)
    for fault, (stem, reason) in zip(files.faults, said.items(), strict=True):
        assert fault.startswith(f"{tmp_path / 'Annotations' / stem}.xml: {reason}") and "\n" not in fault
        assert ";" in fault or "not xmin" in fault  # and what to do
    assert [len(objects) for objects in files.objects] == [0, 0, 0, 1, 1, 1, 1, 1, 0, 1]  # what is sound is read


@pytest.mark.parametrize("text", ["&bomb;", "<!DOCTYPE annotation SYSTEM 'http://127.0.0.1/x.dtd'>&x;"])
def test_entities_that_are_not_declared(tmp_path, text):
    files = read_voc(tmp_path, {"a": f"<annotation>{text}</annotation>"})
    assert len(files.faults) == 1 and "a.xml: is not well-formed XML" in files.faults[0]


def test_external_entities_are_not_fetched(tmp_path):
    (tmp_path / "secret").write_text("cat")
    declared = f'<!DOCTYPE x [<!ENTITY s SYSTEM "file://{tmp_path}/secret">]>'
    files = read_voc(tmp_path, {"a": declared + annotation(thing("&s;", 1, 1, 5, 5))})
    assert len(files.faults) == 1 and "declares XML entities" in files.faults[0] and not len(files.objects[0])


def test_a_doctype_without_entities_is_harmless(tmp_path):
    assert read_voc(tmp_path, {"a": "<!DOCTYPE annotation>" + annotation()}).faults == []


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a", "C:\\pictures\\a.jpg", "old/a.jpg", "", " a.jpg "])
def test_a_filename_of_the_same_stem_or_none_is_no_fault(tmp_path, name):
    assert read_voc(tmp_path, {"a": annotation(head=f"<filename>{name}</filename>")}).faults == []


def test_stems_with_dots(tmp_path):
    texts = {"a.b": annotation(head="<filename>a.b</filename>"), "a.c": annotation(head="<filename>a.c.jpg</filename>")}
    files = read_voc(tmp_path, texts)
    assert files.faults == [] and files.ids == ["a.b", "a.c"] and files.pictures[0].name == "a.b.jpg"


def test_classes_that_labels_lacks_are_one_fault_with_counts(tmp_path):
    things = [thing("Cat", 1, 1, 9, 9), thing("cow", 1, 1, 9, 9), thing("cat", 1, 1, 9, 9)]
    files = read_voc(tmp_path, {"a": annotation(*things), "b": annotation(things[1])})
    (fault,) = files.faults
    assert fault.startswith(f"{tmp_path / 'labels.txt'}: ")
    assert "not listed: cow (2 boxes), Cat (1 box);" in fault
    assert [objects.labels.tolist() for objects in files.objects] == [[0], []]


def test_unsound_boxes_are_dropped_or_clipped_and_noted(tmp_path):
    things = [
        thing("cat", 12, 13, 12, 40),  # no area
        thing("cat", 9, 5, 3, 8),  # inverted
        thing("dog", "nan", 1, 4, 5),
        thing("dog", 1, 1, "inf", 5),
        thing("dog", 31, 1, 40, 9),  # the picture ends at 30
        thing("dog", -9, 1, 0, 9),
        thing("cat", 0, 0, 31, 21),  # a pixel out on every side
        thing("cat", 2, -1, 32.5, 9),
        thing("cat", 30, 20, 31, 21),  # the last pixel, and one beyond
    ]
    files = read_voc(tmp_path, {"a": annotation(*things), "b": annotation(things[0])})
    assert files.objects[0].boxes.tolist() == [[0, 0, 30, 20], [1, 0, 30, 9], [29, 19, 30, 20]]
    assert files.objects[0].labels.tolist() == [0, 0, 0] and files.objects[0].area.tolist() == [600, 261, 1]
    assert len(files.objects[1]) == 0
    assert files.notes == [
        "2 boxes with NaN or infinite numbers dropped: a.xml (dog nan,1,4,5), a.xml (dog 1,1,inf,5)",
        "1 box with inverted corners dropped: a.xml (cat 9,5,3,8)",
        "2 boxes without area dropped: a.xml (cat 12,13,12,40), b.xml (cat 12,13,12,40)",
        "2 boxes wholly outside the picture dropped: a.xml (dog 31,1,40,9), a.xml (dog -9,1,0,9)",
        "1 box reaching out of the picture clipped: a.xml (cat 2,-1,32.5,9)",
    ]
    assert files.faults == []


def test_many_places_are_cut_with_a_count(tmp_path):
    files = read_voc(tmp_path, {f"p{n}": annotation(thing("cat", 4, 4, 4, 4)) for n in range(8)})
    (note,) = files.notes
    assert note.startswith("8 boxes without area dropped: p0.xml (cat 4,4,4,4), p1.xml")
    assert note.endswith("p4.xml (cat 4,4,4,4) and 3 more")


@pytest.mark.filterwarnings("error")
def test_strange_numbers_neither_warn_nor_survive(tmp_path):
    things = [thing("cat", "inf", "inf", "inf", "inf"), thing("cat", 1, 1, 1e300, 1e300), thing("cat", "-inf", 1, 3, 3)]
    files = read_voc(tmp_path, {"a": annotation(*things)})
    assert files.objects[0].boxes.tolist() == [[0, 0, 30, 20]]


def test_a_missing_picture_is_left_to_the_check(tmp_path):
    root = write_voc(tmp_path, {"a": annotation(), "b": annotation(size=None)})
    for stem in "ab":
        (root / "JPEGImages" / f"{stem}.jpg").unlink()
    files = find_detection("voc", "train", root)
    assert files.pictures[0] == root / "JPEGImages" / "a.jpg" and files.faults == []


def test_pictures_of_other_kinds_are_found(tmp_path):
    root = write_voc(tmp_path, {"a": annotation(), "b": annotation()})
    (root / "JPEGImages" / "a.jpg").rename(root / "JPEGImages" / "a.JPEG")
    write_picture(root / "JPEGImages" / "b.png")
    assert [path.name for path in find_detection("voc", "train", root).pictures] == ["a.JPEG", "b.jpg"]


def test_an_empty_list_is_left_to_the_check(tmp_path):
    files = read_voc(tmp_path, {})
    assert files.pictures == files.objects == files.sizes == []


def test_a_name_listed_twice(tmp_path):
    root = write_voc(tmp_path, {"a": annotation(), "b": annotation()})
    listing = root / "ImageSets" / "Main" / "train.txt"
    listing.write_text("a\nb\na\n")
    assert find_detection("voc", "train", root).faults == [f"{listing}: 1 name listed more than once: a"]


def test_unknown_split_lists_those_there_without_vocs_lists_of_classes(tmp_path):
    root = write_voc(tmp_path, {"a": annotation()})
    for name in ("val", "cat_train", "traffic light_val"):
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("a\n")
    message = error_line(find_detection, "voc", "tran", root)
    assert "tran.txt" in message and message.endswith("there are train, val")


@pytest.mark.parametrize("missing", ["ImageSets/Main", "JPEGImages", "labels.txt"])
def test_a_tree_that_lacks_something(tmp_path, missing):
    root = write_voc(tmp_path / "set", {"a": annotation()})
    (root / missing).rename(tmp_path / "gone")
    message = error_line(find_detection, "voc", "train", root)
    assert str(root / missing) in message and "no such f" in message and "--download" not in message


def test_voc2012_without_labels_has_vocs_20_names(tmp_path):
    files = read_voc(tmp_path / "VOC2012", {"a": annotation(thing("person", 1, 1, 5, 5))}, names=None)
    assert len(files.names) == 20 and files.names[0] == "aeroplane" and files.names[19] == "tvmonitor"
    assert files.category_ids == list(range(1, 21)) and files.objects[0].labels.tolist() == [14]


def test_an_unknown_class_of_voc2012_names_the_tree(tmp_path):
    files = read_voc(
        tmp_path / "VOC2012", {"a": annotation(thing("cow", 1, 1, 5, 5), thing("elk", 1, 1, 5, 5))}, names=None
    )
    (fault,) = files.faults
    assert fault.startswith(f"{tmp_path / 'VOC2012'}: ") and "elk (1 box)" in fault


def write_0712(root):
    for year, split, stem in [
        ("VOC2007", "trainval", "000005"),
        ("VOC2007", "test", "000001"),
        ("VOC2012", "trainval", "2008_000002"),
    ]:
        box = thing("cat", 1, 1, 1 if split == "test" else 9, 9)
        write_voc(root / year, {stem: annotation(box, "<object/>")}, split, None)
    return root


def test_voc_0712(tmp_path):
    root = write_0712(tmp_path / "devkit")
    train = find_detection("voc", "train", root)
    assert train.root == root and train.split == "train" and len(train.names) == 20
    assert train.ids == ["000005", "2008_000002"] and train.sizes == [(20, 30)] * 2
    assert [path.parents[1].name for path in train.pictures] == ["VOC2007", "VOC2012"]
    assert [objects.labels.tolist() for objects in train.objects] == [[7], [7]]
    assert ["VOC2007" in fault for fault in train.faults] == [True, False]
    for split in ("val", "test"):
        files = find_detection("voc", split, root)
        assert files.ids == ["000001"] and files.split == split and "without area" in files.notes[0]


def test_voc_0712_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_0712(tmp_path / "data" / "VOCdevkit")
    assert len(find_detection("voc", "train").pictures) == 2


def test_one_year_of_voc_is_a_tree_like_any_other(tmp_path):
    root = write_0712(tmp_path)
    assert find_detection("voc", "trainval", root / "VOC2012").ids == ["2008_000002"]


def test_voc_0712_has_three_splits(tmp_path):
    assert error_line(find_detection, "voc", "trainval", write_0712(tmp_path)).endswith("there are train, val, test")


def test_missing_voc_points_to_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = error_line(find_detection, "voc", "train")
    assert "VOC2007" in message and "--download" in message


def test_download_is_asked_for_only_when_wanted(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(detection, "download_voc2007", asked.append)
    monkeypatch.setattr(detection, "download_voc2012", asked.append)
    root = write_0712(tmp_path)
    find_detection("voc", "train", root)
    assert asked == []
    find_detection("voc", "train", root, download=True)
    assert asked == [root / "VOC2007", root / "VOC2012"]


# labels.txt


def test_names_leave_background_and_colours_out(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("background 0 0 0\n\ntraffic light 1 2 3\ncar 66\n  dog, 7, 8, 9 \n")
    assert read_names(path) == ["traffic light", "car 66", "dog"]


@pytest.mark.parametrize(
    ("text", "said"), [("", "no class names"), ("background", "no class names"), ("a\nb\na", "a listed twice")]
)
def test_unusable_names(tmp_path, text, said):
    path = tmp_path / "labels.txt"
    path.write_text(text)
    message = error_line(read_names, path)
    assert message.startswith(str(path)) and said in message


def test_more_than_255_classes(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(f"c{n}" for n in range(1200)))
    assert len(read_names(path)) == 1200


# COCO json

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 0, "name": "cat"}, {"id": 90, "name": "brush"}]
RLE = {"size": [20, 30], "counts": [0, 5, 595]}


def picture(number, name=None, size=(30, 20)):
    entry = {"id": number, "file_name": name or f"{number}.jpg"}
    return {**entry, "width": size[0], "height": size[1]} if size else entry


def mark(number, image, category, box, **more):
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, **more}


def write_coco(root, images, annotations, categories=CATEGORIES, name="instances_train.json", folder="train"):
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / name).write_text(json.dumps(content))
    for image in images:
        if isinstance(image.get("file_name"), str):
            write_picture(root / folder / image["file_name"])
    return root


def read_coco(root, images, annotations, *more, **options):
    return find_detection("coco", "train", write_coco(root, images, annotations, *more, **options))


def test_coco_boxes_crowds_areas_and_ids(tmp_path):
    marks = [
        mark(5, "b", 7, [1, 2, 10, 5], area=31.5, iscrowd=0, segmentation=[[1, 2, 11, 2, 11, 7], [1, 1, 2, 2, 3, 1]]),
        mark(0, 3, 0, [0.5, 1.25, 4, 3], iscrowd=1, segmentation=RLE),
        mark(6, "b", 90, [0, 0, 30, 20], area=None, segmentation={"size": [20, 30], "counts": "0e0"}),
        {"image_id": "b", "category_id": 0, "bbox": [2, 2, 3, 3]},
    ]
    files = read_coco(tmp_path, [picture("b"), picture(3), picture(12)], marks)
    assert files.names == ["cat", "dog", "brush"] and files.category_ids == [0, 7, 90]
    assert files.ids == ["b", 3, 12] and files.sizes == [(20, 30)] * 3
    assert files.pictures == [tmp_path / "train" / name for name in ("b.jpg", "3.jpg", "12.jpg")]
    first, second, third = files.objects
    assert first.boxes.tolist() == [[1, 2, 11, 7], [0, 0, 30, 20], [2, 2, 5, 5]]
    assert first.labels.tolist() == [1, 2, 0] and first.area.tolist() == [31.5, 600, 9]
    assert first.crowd.tolist() == [False, False, False]
    assert second.boxes.tolist() == [[0.5, 1.25, 4.5, 4.25]] and second.crowd.tolist() == [True]
    assert len(third) == 0 and third.boxes.shape == (0, 4)
    assert not any(objects.difficult.any() or objects.truncated.any() for objects in files.objects)
    assert files.faults == files.notes == []


def test_coco_unsound_boxes(tmp_path):
    boxes = [[5, 5, 0, 4], [5, 5, -1, 4], [nan, 1, 2, 2], [1, 1, inf, 2], [30, 0, 4, 4], [-1, -1, 4, 4], [25, 10, 9, 5]]
    files = read_coco(tmp_path, [picture(1)], [mark(n, 1, 0, box) for n, box in enumerate(boxes)])
    assert files.objects[0].boxes.tolist() == [[0, 0, 3, 3], [25, 10, 30, 15]]
    assert files.notes == [
        "2 boxes with NaN or infinite numbers dropped: 1.jpg (cat nan,1,2,2), 1.jpg (cat 1,1,inf,2)",
        "1 box with inverted corners dropped: 1.jpg (cat 5,5,-1,4)",
        "1 box without area dropped: 1.jpg (cat 5,5,0,4)",
        "1 box wholly outside the picture dropped: 1.jpg (cat 30,0,4,4)",
        "1 box reaching out of the picture clipped: 1.jpg (cat 25,10,9,5)",
    ]


def test_a_box_too_thin_for_float32_has_no_area(tmp_path):
    files = read_coco(tmp_path, [picture(1)], [mark(1, 1, 0, [10, 1, 1e-9, 5])])
    assert len(files.objects[0]) == 0
    assert files.notes == ["1 box without area dropped: 1.jpg (cat 10,1,1e-09,5)"]


def test_coco_without_sizes_is_limited_by_the_picture(tmp_path):
    files = read_coco(tmp_path, [picture(1, size=None), picture(2, size=(0, 9))], [mark(1, 1, 0, [20, 10, 40, 5])])
    assert files.sizes == [None, None] and files.objects[0].boxes.tolist() == [[20, 10, 30, 15]]


def test_coco_faults_are_collected_and_counted(tmp_path):
    images = [picture(1), picture(2), picture(1), {"id": 5}, {"file_name": "x.jpg"}, {"id": [6], "file_name": "y.jpg"}]
    marks = [
        mark(1, 1, 0, [1, 1, 5, 5]),
        mark(1, 2, 0, [1, 1, 5, 5]),
        mark(2, 99, 0, [1, 1, 5, 5]),
        mark(3, 1, 8, [1, 1, 5, 5]),
        mark(4, 1, 0, [1, 1, 5]),
        mark(5, 1, 0, [1, 1, 5, "6"]),
        mark(6, 1, 0, None),
        {"id": 7, "image_id": 1, "bbox": [1, 1, 5, 5]},
        "what",
    ]
    categories = [*CATEGORIES, {"id": 7, "name": "bird"}, {"id": 8}, {"id": 91, "name": "cat"}]
    files = read_coco(tmp_path, images, marks, categories)
    start = f"{tmp_path / 'annotations' / 'instances_train.json'}: "
    assert all(fault.startswith(start) for fault in files.faults)
    assert [fault.removeprefix(start) for fault in files.faults] == [
        "1 category without an id and a name: categories[4]",
        "1 category id given more than once: 7",
        "1 category name given more than once: cat",
        "3 pictures without an id and a file_name: images[3], images[4], images[5]",
        "1 image id given more than once: 1",
        "5 annotations without image_id, category_id and a bbox of four: annotations[6], annotations[7], "
        "annotations[8], annotation 4, annotation 5",
        "1 annotation id given more than once: 1",
        "1 annotation of unknown pictures: annotation 2 (picture 99)",
        "1 annotation of unknown categories: annotation 3 (category 8)",
    ]
    assert [len(objects) for objects in files.objects] == [1, 1]


def test_a_string_and_a_number_are_different_pictures(tmp_path):
    files = read_coco(tmp_path, [picture(1)], [mark(1, "1", 0, [1, 1, 5, 5])])
    assert "unknown pictures: annotation 1 (picture 1)" in files.faults[0]


def test_many_unknown_pictures_are_counted(tmp_path):
    files = read_coco(tmp_path, [picture(1)], [mark(n, 50 + n, 0, [1, 1, 5, 5]) for n in range(9)])
    assert "9 annotations of unknown pictures: annotation 0 (picture 50), " in files.faults[0]
    assert files.faults[0].endswith("annotation 4 (picture 54) and 4 more")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not json"),
        ("", "is not json"),
        ("[" * 100_000, "is not json"),
        ("[]", "holds no instances"),
        ('{"annotations": [], "categories": []}', 'no list "images"'),
        ('{"images": [], "categories": []}', 'no list "annotations"'),
        ('{"images": [], "annotations": []}', 'no list "categories"'),
        ('{"images": {}, "annotations": [], "categories": []}', 'no list "images"'),
    ],
)
def test_a_json_that_is_none_of_cocos_is_an_error_at_once(tmp_path, content, said):
    root = write_coco(tmp_path, [], [])
    path = root / "annotations" / "instances_train.json"
    path.write_text(content)
    message = error_line(find_detection, "coco", "train", root)
    assert message.startswith(f"{path}: ") and said in message


def test_bytes_that_are_no_text(tmp_path):
    root = write_coco(tmp_path, [], [])
    (root / "annotations" / "instances_train.json").write_bytes(b"\xff\x00\x80")
    assert "is not json" in error_line(find_detection, "coco", "train", root)


@pytest.mark.parametrize("split", ["train", "val"])
def test_train_and_val_find_cocos_years(tmp_path, split):
    root = write_coco(tmp_path, [picture(1)], [], name=f"instances_{split}2017.json", folder=f"{split}2017")
    files = find_detection("coco", split, root)
    assert files.split == split and files.pictures == [root / f"{split}2017" / "1.jpg"]
    assert find_detection("coco", f"{split}2017", root).pictures == files.pictures


def test_a_json_of_the_very_name_comes_first(tmp_path):
    write_coco(tmp_path, [picture(1), picture(2)], [], name="instances_train2017.json")
    assert len(read_coco(tmp_path, [picture(1)], []).pictures) == 1


@pytest.mark.parametrize(
    "folder",
    ["train", "train2017", "JPEGImages", "images/train", "images/train2017", "images", "annotations", "."],
)
def test_where_pictures_may_lie(tmp_path, folder):
    files = read_coco(tmp_path, [picture(1, "deep/1.jpg")], [], folder=folder)
    assert files.pictures == [tmp_path / folder / "deep/1.jpg"]


def test_a_missing_coco_picture_is_left_to_the_check(tmp_path):
    root = write_coco(tmp_path, [picture(1)], [])
    (root / "train" / "1.jpg").unlink()
    assert find_detection("coco", "train", root).pictures == [root / "train" / "1.jpg"]


def test_an_explicit_json(tmp_path):
    root = write_coco(tmp_path / "set", [picture(1)], [])
    path = tmp_path / "mine.json"
    (root / "annotations" / "instances_train.json").rename(path)
    files = find_detection("coco", "train", root, annotations=path)
    assert files.pictures == [root / "train" / "1.jpg"] and files.root == root


def test_a_missing_explicit_json(tmp_path):
    message = error_line(find_detection, "coco", "train", tmp_path, annotations=tmp_path / "no.json")
    assert message == f"{tmp_path / 'no.json'}: cannot be read (No such file or directory)"


@pytest.mark.parametrize("dataset", ["voc", "shapes"])
def test_only_coco_takes_a_json(tmp_path, dataset):
    assert "--dataset coco" in error_line(find_detection, dataset, "train", tmp_path, annotations=tmp_path / "no.json")


def test_coco_unknown_split_lists_those_there(tmp_path):
    root = write_coco(tmp_path, [], [])
    assert error_line(find_detection, "coco", "test", root).endswith("no such split; there are train")
    assert "annotations/instances_<split>.json" in error_line(find_detection, "coco", "val", tmp_path / "none")


def test_coco_needs_a_root():
    assert "--data-root" in error_line(find_detection, "coco", "train")


def test_coco_labels_are_compared(tmp_path):
    (tmp_path / "labels.txt").write_text("background\ndog\nhorse\n")
    marks = [mark(n, 1, category, [1, 1, 5, 5]) for n, category in enumerate([0, 7, 0])]
    files = read_coco(tmp_path, [picture(1)], marks)
    (fault,) = files.faults
    assert fault.startswith(f"{tmp_path / 'labels.txt'}: ") and "not listed: cat (2 boxes);" in fault
    assert files.names == ["cat", "dog", "brush"]


# names of datasets


def test_unknown_dataset_names_the_nearest():
    assert 'did you mean "coco"' in error_line(find_detection, "cocoo", "train")
    message = error_line(find_detection, "qqqq", "train")
    assert "did you mean" not in message and "shapes, voc, coco" in message


def test_shapes_are_written_on_first_use(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.shapes.SPLITS", {"train": 3, "val": 2})
    files = find_detection("shapes", "val", tmp_path / "shapes")
    assert files.names == ["disc", "square", "triangle", "star", "cross"] and files.category_ids == [1, 2, 3, 4, 5]
    assert len(files.pictures) == 2 and all(path.is_file() for path in files.pictures)
    assert all(len(objects) for objects in files.objects) and files.faults == files.notes == []


# samples


def small_coco(root):
    marks = [mark(1, 1, 0, [1, 1, 5, 5]), mark(2, 1, 7, [2, 2, 20, 10], iscrowd=1), mark(3, 1, 90, [0, 0, 8, 9])]
    return read_coco(root, [picture(1), picture("two")], marks)


def test_samples(tmp_path):
    files = small_coco(tmp_path)
    dataset = DetectionDataset(files)
    sample = dataset[0]
    assert len(dataset) == 2
    assert sorted(sample) == ["boxes", "crowd", "difficult", "file", "id", "image", "labels", "size", "tiny"]
    assert sample["image"].shape == (20, 30, 3) and sample["image"].dtype == np.uint8
    assert sample["boxes"].tolist() == [[1, 1, 6, 6], [0, 0, 8, 9]] and sample["boxes"].dtype == np.float32
    assert sample["labels"].tolist() == [0, 2] and sample["labels"].dtype == np.int64
    assert sample["difficult"].tolist() == sample["crowd"].tolist() == [False, False]
    assert sample["file"] == str(files.pictures[0]) and sample["id"] == 1 and sample["size"] == (20, 30)
    assert dataset[3, 0]["boxes"].tolist() == sample["boxes"].tolist() and sample["tiny"] == 0
    empty = dataset[1]
    assert empty["id"] == "two" and empty["boxes"].shape == (0, 4) and empty["labels"].shape == (0,)


def test_crowds_are_kept_when_asked_for(tmp_path):
    sample = DetectionDataset(small_coco(tmp_path), keep_crowds=True)[0]
    assert sample["labels"].tolist() == [0, 1, 2] and sample["crowd"].tolist() == [False, True, False]


def test_the_transform_says_which_boxes_are_left(tmp_path):
    seen = []

    def transform(image, boxes, labels, epoch, index):
        seen.append((labels.tolist(), epoch, index))
        return Augmented(image[:10], boxes[[2, 0]] / 2, np.array([2, 0]), 1)

    sample = DetectionDataset(small_coco(tmp_path), transform, keep_crowds=True)[7, 0]
    assert seen == [([0, 1, 2], 7, 0)]
    assert sample["labels"].tolist() == [2, 0] and sample["boxes"].tolist() == [[0, 0, 4, 4.5], [0.5, 0.5, 3, 3]]
    assert sample["crowd"].tolist() == [False, False] and sample["tiny"] == 1
    assert sample["image"].shape == (10, 30, 3) and sample["size"] == (20, 30)


def test_samples_may_be_changed_without_changing_the_annotations(tmp_path):
    dataset = DetectionDataset(small_coco(tmp_path))
    dataset[0]["boxes"][:] = 0
    dataset[0]["labels"][:] = 0
    assert dataset[0]["boxes"].tolist() == [[1, 1, 6, 6], [0, 0, 8, 9]] and dataset[0]["labels"].tolist() == [0, 2]


def test_pictures_are_turned_upright(tmp_path):
    root = write_coco(tmp_path, [picture(1, size=(20, 30))], [mark(1, 1, 0, [5, 20, 10, 10])])
    write_picture(root / "train" / "1.jpg", (30, 20), orientation=6)
    sample = DetectionDataset(find_detection("coco", "train", root))[0]
    assert sample["image"].shape == (30, 20, 3) and sample["size"] == (30, 20)
    assert sample["boxes"].tolist() == [[5, 20, 15, 30]]


def test_boxes_for_another_size_are_an_error(tmp_path):
    files = read_coco(tmp_path, [picture(1, size=(15, 10))], [])
    assert error_line(DetectionDataset(files).__getitem__, 0).startswith(f"{files.pictures[0]}: is 30x20, but")


def test_limit(tmp_path):
    files = read_coco(
        tmp_path, [picture(n) for n in range(4)], [mark(1, 3, 0, [1, 1, 2, 2]), mark(2, 9, 0, [1, 1, 2, 2])]
    )
    some = limit_detection(files, 2)
    assert some.ids == [0, 1] and len(some.pictures) == len(some.objects) == len(some.sizes) == 2
    assert some.faults == files.faults and some.names == files.names
    assert limit_detection(files, None) == files
