"""VOC trees: their annotations, splits and years."""

import numpy as np
import pytest

from datasets.detection.find import find_detection
from tests.datasets.detection.trees import NAMES, annotation, error_line, read_voc, thing, write_image, write_voc

BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
nan, inf = float("nan"), float("inf")


def test_voc_boxes_are_continuous_and_count_from_0(tmp_path):
    first = annotation(thing("dog", 1, 2, 10, 12), thing("cat", 3, 3, 30, 20))
    files = read_voc(tmp_path, {"b": first, "a": annotation(thing("traffic light", 5, 5, 6, 7))})
    assert files.names == NAMES and files.category_ids == [1, 2, 3]
    assert files.ids == ["b", "a"] and files.sizes == [(20, 30), (20, 30)]
    assert files.image_paths == [tmp_path / "JPEGImages" / "b.jpg", tmp_path / "JPEGImages" / "a.jpg"]
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
def test_a_missing_size_is_noted_and_the_images_own_limits_the_boxes(tmp_path, size):
    files = read_voc(tmp_path, {"a": annotation(thing("cat", 1, 1, 40, 9), size=size)})
    assert files.sizes == [None] and files.faults == []
    assert files.objects[0].boxes.tolist() == [[0, 0, 30, 9]]
    assert files.notes == [
        "1 box reaching out of the image clipped: a.xml (cat 1,1,40,9)",
        "1 annotation without the image's size: a.xml",
    ]


def test_without_any_size_the_upright_images_counts(tmp_path):
    root = write_voc(tmp_path, {"a": annotation(thing("cat", 1, 1, 15, 28), size=None)})
    write_image(root / "JPEGImages" / "a.jpg", (30, 20), orientation=6)
    assert find_detection("voc", "train", root).objects[0].boxes.tolist() == [[0, 0, 15, 28]]


def test_fractional_coordinates_and_spaces(tmp_path):
    files = read_voc(tmp_path, {"a": annotation(thing(" cat ", " 1.5", "2.25 ", 10.75, 1e1))})
    assert files.objects[0].boxes.tolist() == [[0.5, 1.25, 10.75, 10]] and files.faults == []


def test_parts_of_an_object_are_no_objects(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></part>"
    files = read_voc(tmp_path, {"a": annotation(thing("dog", 1, 1, 9, 9, extra=part))})
    assert files.objects[0].boxes.tolist() == [[0, 0, 9, 9]] and files.faults == []


def test_a_image_without_objects(tmp_path):
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


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a", "C:\\images\\a.jpg", "old/a.jpg", "", " a.jpg "])
def test_a_filename_of_the_same_stem_or_none_is_no_fault(tmp_path, name):
    assert read_voc(tmp_path, {"a": annotation(head=f"<filename>{name}</filename>")}).faults == []


def test_stems_with_dots(tmp_path):
    texts = {"a.b": annotation(head="<filename>a.b</filename>"), "a.c": annotation(head="<filename>a.c.jpg</filename>")}
    files = read_voc(tmp_path, texts)
    assert files.faults == [] and files.ids == ["a.b", "a.c"] and files.image_paths[0].name == "a.b.jpg"


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
        thing("dog", 31, 1, 40, 9),  # the image ends at 30
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
        "2 boxes wholly outside the image dropped: a.xml (dog 31,1,40,9), a.xml (dog -9,1,0,9)",
        "1 box reaching out of the image clipped: a.xml (cat 2,-1,32.5,9)",
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


def test_a_missing_image_is_left_to_the_check(tmp_path):
    root = write_voc(tmp_path, {"a": annotation(), "b": annotation(size=None)})
    for stem in "ab":
        (root / "JPEGImages" / f"{stem}.jpg").unlink()
    files = find_detection("voc", "train", root)
    assert files.image_paths[0] == root / "JPEGImages" / "a.jpg" and files.faults == []


def test_images_of_other_kinds_are_found(tmp_path):
    root = write_voc(tmp_path, {"a": annotation(), "b": annotation()})
    (root / "JPEGImages" / "a.jpg").rename(root / "JPEGImages" / "a.JPEG")
    write_image(root / "JPEGImages" / "b.png")
    assert [path.name for path in find_detection("voc", "train", root).image_paths] == ["a.JPEG", "b.jpg"]


def test_an_empty_list_is_left_to_the_check(tmp_path):
    files = read_voc(tmp_path, {})
    assert files.image_paths == files.objects == files.sizes == []


def test_a_name_listed_twice(tmp_path):
    root = write_voc(tmp_path, {"a": annotation(), "b": annotation()})
    listing = root / "ImageSets" / "Main" / "train.txt"
    listing.write_text("a\nb\na\n")
    assert find_detection("voc", "train", root).faults == [f"{listing}: 1 name listed more than once: a"]
    listing.write_text("a\nb\n./a\n")
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
    assert [path.parents[1].name for path in train.image_paths] == ["VOC2007", "VOC2012"]
    assert [objects.labels.tolist() for objects in train.objects] == [[7], [7]]
    assert ["VOC2007" in fault for fault in train.faults] == [True, False]
    for split in ("val", "test"):
        files = find_detection("voc", split, root)
        assert files.ids == ["000001"] and files.split == split and "without area" in files.notes[0]


def test_voc_0712_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_0712(tmp_path / "data" / "VOCdevkit")
    assert len(find_detection("voc", "train").image_paths) == 2


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
    monkeypatch.setattr("datasets.detection.find.download_voc2007", asked.append)
    monkeypatch.setattr("datasets.detection.find.download_voc2012", asked.append)
    root = write_0712(tmp_path)
    find_detection("voc", "train", root)
    assert asked == []
    find_detection("voc", "train", root, download=True)
    assert asked == [root / "VOC2007", root / "VOC2012"]
