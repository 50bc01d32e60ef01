"""Files that are dirty, or made to do harm: what each reader says of them."""

import io
import json
import os
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.classification.checks import check_classification
from datasets.classification.find import find_files
from datasets.classification.mnist import read_idx
from datasets.detection.checks import check_detection
from datasets.detection.find import find_detection
from datasets.faults import DataError
from datasets.files import read_labels, read_lines
from datasets.images import read_image
from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import voc_files
from datasets.segmentation.masks import read_mask
from tests.datasets.classification.test_cifar import archive, batches, encoded, fault, tree, write
from tests.datasets.classification.test_mnist import idx
from tests.datasets.detection.trees import annotation, error_line, image, mark, read_coco, read_voc, thing, write_coco
from tests.datasets.segmentation.test_dataset import write_voc

SPECIAL = ["pipe", "folder", "device", "loop"]


def put(kind: str, path: Path) -> Path:
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path.name)
    return path


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("read", [read_image, read_mask, read_lines, lambda path: read_idx(path, "labels")])
def test_what_is_no_file_is_never_opened(tmp_path, kind, read):
    path = put(kind, tmp_path / "a.png")
    assert error_line(read, path).startswith(f"{path}: cannot be read (")


@pytest.mark.parametrize("kind", SPECIAL)
def test_annotations_that_are_no_files(tmp_path, kind):
    root = write_coco(tmp_path / "coco", [image(1)], [])
    path = put(kind, root / "annotations" / "instances_train.json")
    assert str(path) in error_line(find_detection, "coco", "train", root, annotations=path)
    (found,) = read_voc(tmp_path / "voc", {"a": annotation()}).notes or [""]
    assert found == ""
    path = put(kind, tmp_path / "voc" / "Annotations" / "a.xml")
    (found,) = find_detection("voc", "train", tmp_path / "voc").faults
    assert found.startswith(f"{path}: ")


def test_a_name_too_long_for_any_file_system(tmp_path):
    files = find_detection("coco", "train", _coco(tmp_path, file_name="x" * 5000))
    with pytest.raises(DataError, match=r"xxx\.\.\.xxx.*: cannot be read \(File name too long\)"):
        check_detection(files)


def _coco(root, **changes):
    write_coco(root, [image(1)], [mark(1, 1, 0, [1, 1, 5, 5])])
    path = root / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    content["images"][0] |= changes
    path.write_text(json.dumps(content))
    return root


# images and masks


def test_other_formats_under_the_name_of_a_image(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")  # Pillow runs Ghostscript on these
    path = (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    assert "not an image" in error_line(read_image, path)


def test_a_png_whose_pixels_have_changed_since(tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png", compress_level=0)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[content.index(b"IDAT") + 20] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    assert "checksum" in error_line(read_mask, tmp_path / "a.png")


def test_masks_that_have_lost_their_values(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png", "JPEG")
    assert "in JPEG has lost its values" in error_line(read_mask, tmp_path / "a.png")


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_masks_of_few_bits(tmp_path, bits):
    from tests.fuzz.pixels import png

    (tmp_path / "a.png").write_bytes(png(4, 1, bits, 0, b"\0\x1b\x1b"[: 1 + bits // 2]))
    assert f"a grey mask of {bits} bits" in error_line(read_mask, tmp_path / "a.png")


def turned(root, turn, mask_turn=1, size=(12, 10), mask_size=None):
    """A tree of one pair with EXIF orientations, whose mask has its left half of class 1."""
    write_voc(root, {"train": ["a"]})
    values = np.zeros((mask_size or size)[::-1], np.uint8)
    values[:, : values.shape[1] // 2] = 1
    for folder, content, orientation in (
        ("JPEGImages", Image.new("RGB", size), turn),
        ("SegmentationClass", Image.fromarray(values), mask_turn),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        content.save(root / folder / "a.png", exif=exif)
    return voc_files(root, "train")


@pytest.mark.parametrize(("turn", "size"), [(2, (12, 10)), (3, (12, 10)), (4, (12, 10)), (6, (9, 9))])
def test_a_turn_that_the_sides_do_not_tell_is_a_fault(tmp_path, turn, size):
    files = turned(tmp_path / "set", turn, size=size)
    for read in (check_segmentation, lambda files: SegmentationDataset(files)[0]):
        line = error_line(read, files)
        assert line.startswith(f"{files.pairs[0][0]}: EXIF orientation {turn}") and "without EXIF" in line


def test_a_quarter_turn_is_told_by_the_sides_of_the_mask(tmp_path):
    files = turned(tmp_path / "set", 6, mask_size=(10, 12))
    mask = SegmentationDataset(files)[0]["mask"]
    assert mask.shape == (12, 10) and (mask[:, :5] == 1).all()


@pytest.mark.parametrize("turn", [2, 3, 6])
def test_a_mask_of_the_same_orientation_is_turned_too(tmp_path, turn):
    mask = SegmentationDataset(turned(tmp_path / "set", turn, turn))[0]["mask"]
    expected = {2: mask[:, 6:], 3: mask[:, 6:], 6: mask[:6]}[turn]
    assert expected.all() and mask.sum() == expected.size


def test_masks_of_void_alone(tmp_path):
    root = write_voc(tmp_path / "set", {"train": ["a"]})
    Image.new("L", (12, 10), 255).save(root / "SegmentationClass" / "a.png")
    assert "holds only 255" in error_line(check_segmentation, voc_files(root, "train"))


def test_a_class_beyond_the_names_is_an_error_without_the_check_too(tmp_path):
    files = voc_files(write_voc(tmp_path / "set", {"train": ["a"]}, ["sky"]), "train")
    assert "mask value 1 on 120 pixels" in error_line(SegmentationDataset(files).__getitem__, 0)


def test_a_name_listed_twice_for_segmentation(tmp_path):
    root = write_voc(tmp_path / "set", {"train": ["a", "b"]})
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("a\nb\na\n")
    assert error_line(voc_files, root, "train").endswith("train.txt: 1 name listed more than once: a")


@pytest.mark.parametrize("text", ["sk\0y", "x" * 1001, "sky\u2028road"])
def test_lists_that_are_no_text(tmp_path, text):
    (tmp_path / "labels.txt").write_text(f"road\n{text}\n")
    assert "labels.txt: line 2 has" in error_line(read_labels, tmp_path / "labels.txt")


# VOC

SOUND = thing("cat", 1, 1, 9, 9)
BOX = SOUND[SOUND.index("<bndbox>") : SOUND.index("</object>")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (annotation(SOUND).replace("<annotation>", '<annotation xmlns="http://x.org">'), "is in a namespace"),
        (annotation(SOUND).replace("<object>", '<object xmlns="http://x.org">'), "is in a namespace"),
        (annotation(SOUND).replace("annotation>", "root>"), "its root is <root>"),
        (annotation(SOUND.replace("object>", "Object>")), "a <bndbox> that is in no <object>"),
        (annotation(f"<object>{SOUND}<name>dog</name>{BOX}</object>"), "a <bndbox> that is in no <object>"),
        (annotation(SOUND.replace(BOX, BOX + BOX)), "<bndbox> has been written twice"),
        (annotation(SOUND.replace("<name>", "<name>dog</name><name>")), "<name> has been written twice"),
        (annotation(SOUND.replace("<xmin>", "<xmin>5</xmin><xmin>")), "<xmin> has been written twice"),
        (annotation(SOUND.replace("cat", "c<b/>at")), "<name> has tags in it"),
        (annotation(SOUND).replace("<size>", "<size/><size>"), "<size> has been written twice"),
        (annotation(thing("cat", "1_0", 1, 20, 9)), "needs a number a side"),
        (annotation(thing("cat", 1, 1, 9, 9, extra="<difficult>maybe</difficult>")), "which are 0 or 1"),
    ],
)
def test_annotations_of_which_a_part_would_be_overlooked(tmp_path, text, said):
    files = read_voc(tmp_path, {"a": text})
    (found,) = files.faults
    assert found.startswith(f"{tmp_path / 'Annotations' / 'a.xml'}: ") and said in found and "\n" not in found
    assert not len(files.objects[0])


@pytest.mark.parametrize("name", ["/etc/hostname", "../JPEGImages/a", "sub/../../a"])
def test_lists_that_lead_out_of_the_tree(tmp_path, name):
    read_voc(tmp_path, {"a": annotation(SOUND)})
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text(f"a\n{name}\n")
    assert f"name {name} leads out of the tree" in error_line(find_detection, "voc", "train", tmp_path)


# COCO


@pytest.mark.parametrize("name", ["/etc/hostname", "../x.png", "a/../../x.png", "a\0b"])
def test_file_names_that_lead_out_of_the_tree(tmp_path, name):
    line = error_line(find_detection, "coco", "train", _coco(tmp_path, file_name=name))
    assert line.startswith(str(tmp_path / "annotations")) and "leads out of the tree" in line


@pytest.mark.parametrize(
    ("crowd", "said"), [("0", True), ("1", True), (2, True), ([], True), (None, False), (0.0, False)]
)
def test_iscrowd_is_0_or_1(tmp_path, crowd, said):
    files = read_coco(tmp_path, [image(1)], [mark(1, 1, 0, [1, 1, 5, 5], iscrowd=crowd)])
    assert (["iscrowd other than 0 and 1" in line for line in files.faults] == [True]) == said
    assert said or files.objects[0].crowd.tolist() == [False]


def test_numbers_beyond_all_floats(tmp_path):
    marks = [mark(1, 1, 0, [10**400, 1, 5, 5]), mark(2, 1, 0, [1, 1, 5, 5], area=10**400)]
    files = read_coco(tmp_path, [image(1)], marks)
    assert files.objects[0].boxes.tolist() == [[1, 1, 6, 6]] and files.objects[0].area.tolist() == [25]
    assert [note.split(":")[0] for note in files.notes] == [
        "1 annotation whose area is no number from 0 up, and the box's is taken",
        "1 box with NaN or infinite numbers dropped",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_id": True}, "without image_id, category_id and a bbox"),
        ({"category_id": False}, "without image_id, category_id and a bbox"),
        ({"bbox": [1, 1, 5, True]}, "without image_id, category_id and a bbox"),
    ],
)
def test_true_is_no_number(tmp_path, changes, said):
    files = read_coco(tmp_path, [image(1)], [{**mark(1, 1, 0, [1, 1, 5, 5]), **changes}])
    assert said in files.faults[0]


def test_a_category_without_a_legible_name(tmp_path):
    files = read_coco(tmp_path, [image(1)], [], [{"id": 1, "name": " "}, {"id": 2, "name": "a\x1b"}])
    assert "2 category names blank or with control characters:  , a\\x1b" in files.faults[0]


def test_sides_that_are_no_numbers_are_noted(tmp_path):
    files = find_detection("coco", "train", _coco(tmp_path, width="30"))
    assert files.sizes == [None] and files.notes[0].startswith("1 image whose width and height are no numbers above 0")


def test_a_image_of_two_ids_is_noted(tmp_path):
    files = read_coco(tmp_path, [image(1, "a.png"), image(2, "a.png")], [])
    assert files.notes == ["1 image that several image ids share: a.png"]


def test_the_json_of_a_year_finds_its_images(tmp_path):
    root = write_coco(tmp_path, [image(1)], [], name="instances_val2017.json", folder="val2017")
    files = find_detection("coco", "val2017", root, annotations=root / "annotations" / "instances_val2017.json")
    assert files.image_paths == [root / "val2017" / "1.jpg"]


# archives, batches, IDX


def test_a_member_that_claims_a_terabyte(tmp_path):
    entry = tarfile.TarInfo("test/cat/0.png")
    entry.size = 10**12
    (tmp_path / "data.tar").write_bytes(entry.tobuf() + encoded(1) + bytes(1024))
    assert "test/cat/0.png of 1,000,000,000,000 bytes is more than CIFAR-10 can have" in fault(tmp_path / "data.tar")


def test_links_in_an_archive_are_told_of(tmp_path):
    root = archive(tmp_path / "data.tar", tree(), "w")
    with tarfile.open(root, "a") as tar:
        entry = tarfile.TarInfo("test/cat/9999.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "0000.png"
        tar.addfile(entry)
    assert fault(root) == f"{root / 'test/cat/9999.png'}: is a link or no file; pack the files themselves"


@pytest.mark.parametrize(
    ("name", "said"), [("test/cat/0000.png", "is in it twice"), ("a/../test/x.png", "leads out of it")]
)
def test_names_in_an_archive(tmp_path, name, said):
    root = archive(tmp_path / "data.tar", tree(), "w")
    with tarfile.open(root, "a") as tar:
        tar.addfile(tarfile.TarInfo(name))
    assert said in fault(root)


def test_a_compressed_archive_is_read_to_its_checksum(tmp_path):
    root = archive(tmp_path / "data.tar.gz", tree(), "w:gz")
    content = bytearray(root.read_bytes())
    content[-8] ^= 1
    root.write_bytes(content)
    assert "CRC" in fault(root)


def test_images_too_large_to_be_held(tmp_path):
    root = write(tmp_path / "data", tree() | {"test/cat/9.png": encoded(1, (1100, 1000))})
    assert f"{root / 'test/cat/9.png'}: is 1100x1000, too large to be held in memory" in fault(root)


def test_folders_that_link_to_themselves(tmp_path):
    root = write(tmp_path / "data", tree())
    for place in (root / "train" / "cat", root / "train" / "dog"):
        (place / "again").symlink_to(root / "train", target_is_directory=True)
    train, _ = find_files("folder", ["train", "test"], root)
    assert len(train.image_paths) == 4 * 11  # each class has a link to both, and no more


@pytest.mark.parametrize("label", [3.0, True, None, "3", [3]])
def test_labels_of_a_batch_are_whole_numbers(tmp_path, label):
    content = pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [label]})
    root = write(tmp_path / "data", {"test_batch": content})
    assert f"{root / 'test_batch'}: no readable batch of CIFAR-10 (ValueError: labels are whole" in fault(root, "test")


def test_a_batch_imports_nothing(tmp_path):
    module = "numpy.testing.print_coercion_tables"
    root = write(tmp_path / "data", {"test_batch": f"c{module}\nndarray\n.".encode()})
    assert f"it asks for {module}.ndarray" in fault(root, "test") and module not in sys.modules


def test_two_batches_of_one_name(tmp_path):
    root = write(tmp_path / "data", batches("") | {"more/test_batch": batches("")["test_batch"]})
    assert fault(root, "test").endswith(": a second test_batch; keep one")


@pytest.mark.parametrize("shape", [(20, 0, 28), (0, 28, 28)])
def test_idx_without_pixels(tmp_path, shape):
    (tmp_path / "x").write_bytes(idx(np.zeros(shape, np.uint8)))
    assert "holds no images, as its header says" in error_line(read_idx, tmp_path / "x", "images")


def test_idx_that_swells(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.classification.mnist.LARGEST", 1000)
    (tmp_path / "x").write_bytes(idx(np.zeros((2, 28, 28), np.uint8)))
    assert "holds more than" in error_line(read_idx, tmp_path / "x", "images")


def test_images_of_one_row_pass_the_check(tmp_path):
    for folder in ("train/cat", "train/dog"):
        (tmp_path / folder).mkdir(parents=True)
        buffer = io.BytesIO()
        Image.new("RGB", (3000, 1)).save(buffer, "PNG")
        (tmp_path / folder / "a.png").write_bytes(buffer.getvalue())
    check_classification(*find_files("folder", ["train"], tmp_path))
