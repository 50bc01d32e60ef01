"""Label maps: mask values to classes, from labels.txt, Cityscapes and ADE20K."""

import numpy as np
import pytest
from PIL import Image

from datasets.detection.files import read_names
from datasets.faults import DataError
from datasets.inspected_splits import find_splits
from datasets.inspection import inspect_splits
from datasets.segmentation import ade20k, cityscapes
from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path)


def picture(path, seed, size=(2, 6)):
    save(path, np.random.default_rng(seed).integers(0, 256, (*size, 3)))


def write_folder(root, labels, values):
    picture(root / "images" / "train" / "a.png", 0, np.shape(values))
    save(root / "masks" / "train" / "a.png", values)
    (root / "labels.txt").write_text(labels)
    return root


def mask(files, index=0):
    return SegmentationDataset(files)[index]["mask"].tolist()


def refusal(call, *arguments) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


LABELS = "road 1 2 3 = 7\ncar 4 5 6 = 26 27, 28\nvoid = 0 1\n"


def test_values_of_labels_txt(tmp_path):
    files = find_segmentation("folder", "train", write_folder(tmp_path, LABELS, [[7, 26, 27], [28, 0, 255]]))
    assert files.names == ["road", "car"] and files.colours == [(1, 2, 3), (4, 5, 6)]
    assert mask(files) == [[0, 1, 1], [1, 255, 255]]
    assert check_segmentation(files).pixels.tolist() == [1, 3]
    assert read_names(tmp_path / "labels.txt") == ["road", "car"]


def test_others_are_void_where_labels_txt_says_so(tmp_path):
    files = find_segmentation("folder", "train", write_folder(tmp_path, "road = 7\nvoid = others", [[7, 9, 0, 254]]))
    assert mask(files) == [[0, 255, 255, 255]]


def test_a_value_without_a_class_is_named_as_the_file_has_it(tmp_path):
    root = write_folder(tmp_path, LABELS, [[7, 40, 40]])
    line = refusal(check_segmentation, find_segmentation("folder", "train", root))
    assert line == f"{root / 'masks/train/a.png'}: mask value 40 on 2 pixels; the label map has no class for it"
    findings = inspect_splits(find_splits("segmentation", "folder", ["train"], root, (320, 320))[0])
    assert "mask values that are no class" in [kind.what for kind in findings.kinds()]


def test_an_equals_sign_in_a_name_is_none_of_values(tmp_path):
    root = write_folder(tmp_path, "a=1\nb = c\nvoid\n", [[0, 1, 2]])
    files = find_segmentation("folder", "train", root)
    assert files.names == ["a=1", "b = c", "void"] and files.label_map is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("road = 7\ncar\n", "1 of 2 lines end in"),
        ("road = 7\ncar = 8 7\n", "mask value 7 is listed twice"),
        ("road = 7\nvoid = 7\n", "mask value 7 is listed twice"),
        ("road = 7\ncar = 256\n", "mask value 256 is above 255"),
        ("road = 7\ncar = others\n", "for void alone"),
        ("".join(f"c{n} = {n}\n" for n in range(255)), "255 classes"),
        ("void = 7\n", "no class names"),
    ],
)
def test_bad_values(tmp_path, labels, said):
    root = write_folder(tmp_path, labels, [[7]])
    line = refusal(find_segmentation, "folder", "train", root)
    assert line.startswith(f"{root / 'labels.txt'}: ") and said in line


def test_colour_masks_have_no_values(tmp_path):
    root = write_folder(tmp_path, LABELS, [[7, 7]])
    save(root / "masks" / "train" / "a.png", [[[1, 2, 3], [4, 5, 6]]])
    assert "without values" in refusal(check_segmentation, find_segmentation("folder", "train", root))


# Cityscapes


def write_cityscapes(root, split="train", city="aachen", values=range(12)):
    stem = f"{city}_000000_000019"
    picture(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", ord(city[0]), (2, 6))
    save(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", np.reshape([*values], (2, 6)))
    save(root / "gtFine" / split / city / f"{stem}_gtFine_color.png", np.zeros((2, 6, 3)))


def test_cityscapes(tmp_path):
    write_cityscapes(tmp_path)
    write_cityscapes(tmp_path, city="bochum", values=range(22, 34))
    write_cityscapes(tmp_path, "val", "munster")
    files = find_segmentation("cityscapes", "train", tmp_path)
    assert [image.parent.name for image, _ in files.pairs] == ["aachen", "bochum"]
    assert len(files.names) == 19 and (files.names[13], files.colours[13]) == ("car", (0, 0, 142))
    assert mask(files) == [[255] * 6, [255, 0, 1, 255, 255, 2]]
    assert mask(files, 1) == [[9, 10, 11, 12, 13, 14], [15, 255, 255, 16, 17, 18]]
    assert len(find_segmentation("cityscapes", "val", tmp_path).pairs) == 1
    found, early = find_splits("segmentation", "cityscapes", None, tmp_path, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early
    assert not inspect_splits(found).total("error")


def test_cityscapes_values_beyond_its_ids(tmp_path):
    write_cityscapes(tmp_path, values=[34, *range(11)])
    assert "mask value 34 on 1 pixels" in refusal(
        check_segmentation, find_segmentation("cityscapes", "train", tmp_path)
    )


def test_cityscapes_in_part(tmp_path):
    assert "leftImg8bit: no such folder" in refusal(find_segmentation, "cityscapes", "train", tmp_path)
    write_cityscapes(tmp_path)
    assert refusal(find_segmentation, "cityscapes", "valid", tmp_path).endswith("no such split; there are train")
    drawn = tmp_path / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    drawn.unlink()
    assert "1 names have no file in" in refusal(find_segmentation, "cityscapes", "train", tmp_path)


def test_ids_of_cityscapes_are_all_told():
    ids = [number for _, _, number in cityscapes.CLASSES]
    assert ids == sorted(set(ids)) and len({name for name, _, _ in cityscapes.CLASSES}) == 19


# ADE20K


def test_ade20k(tmp_path):
    for folder, values in (("training", [0, 1, 2, 3, 149, 150]), ("validation", [1, 2, 3, 0, 0, 0])):
        picture(tmp_path / "images" / folder / "ADE_1.jpg", len(folder), (1, 6))
        save(tmp_path / "annotations" / folder / "ADE_1.png", [values])
    files = find_segmentation("ade20k", "train", tmp_path)
    assert mask(files) == [[255, 0, 1, 2, 148, 149]]
    assert len(set(files.names)) == 150 and (files.names[0], files.names[-1]) == ("wall", "flag")
    found, early = find_splits("segmentation", "ade20k", None, tmp_path, (320, 320))
    assert [split.split for split in found] == ["train", "val"] and not early
    save(tmp_path / "annotations/training/ADE_1.png", [[0, 1, 2, 3, 149, 151]])
    assert "mask value 151 on 1 pixels" in refusal(check_segmentation, files)


@pytest.mark.parametrize("split", ["train", "val"])
def test_ade20k_missing(tmp_path, split):
    assert "images: no such folder" in refusal(find_segmentation, "ade20k", split, tmp_path)
    (tmp_path / "images" / ade20k.FOLDERS[split]).mkdir(parents=True)
    assert "no images" in refusal(find_segmentation, "ade20k", split, tmp_path)
