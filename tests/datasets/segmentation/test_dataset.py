"""Which files belong to a split, and samples read from them."""

import numpy as np
import pytest
from PIL import Image

from datasets.faults import DataError
from datasets.files import default_colours
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation, folder_files, limit_segmentation, voc_files
from datasets.segmentation.masks import write_mask

NAMES = ["sky", "traffic light", "road"]


def write_pair(image, drawn, size=(12, 10), value=1):
    for path in (image, drawn):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 50, 60)).save(image)
    write_mask(drawn, np.full(size[::-1], value, np.uint8), default_colours(3))


def write_voc(root, splits, names=NAMES, suffix="png"):
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for folder in ("JPEGImages", "SegmentationClass"):
        (root / folder).mkdir()
    for split, stems in splits.items():
        (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
        for stem in stems:
            write_pair(root / "JPEGImages" / f"{stem}.{suffix}", root / "SegmentationClass" / f"{stem}.png")
    if names:
        (root / "labels.txt").write_text("\n".join(names))
    return root


def write_folder(root, stems, sub=""):
    for stem in stems:
        write_pair(root / "images" / sub / f"{stem}.jpg", root / "masks" / sub / f"{stem}.png")
    (root / "labels.txt").write_text("\n".join(NAMES))
    return root


def stems(files):
    return [image.stem for image, _ in files.pairs]


def error_line(call, *arguments, **named) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message


# VOC trees


def test_voc_tree(tmp_path):
    root = write_voc(tmp_path / "set", {"train": ["b", "a"], "val": ["c"]})
    files = find_segmentation("voc", "train", root)
    assert stems(files) == ["b", "a"]
    assert files.names == NAMES and files.colours == default_colours(3) and files.mask_colours is None
    assert files.pairs[0] == (root / "JPEGImages" / "b.png", root / "SegmentationClass" / "b.png")
    assert stems(voc_files(root, "val")) == ["c"]


def test_colours_of_labels_are_used_for_masks_and_drawing(tmp_path):
    root = write_voc(tmp_path / "set", {"train": ["a"]}, ["sky 1 2 3", "road 4 5 6"])
    files = voc_files(root, "train")
    assert files.names == ["sky", "road"]
    assert files.colours == files.mask_colours == [(1, 2, 3), (4, 5, 6)]


def test_upper_case_suffixes_are_found(tmp_path):
    assert stems(voc_files(write_voc(tmp_path / "set", {"train": ["a"]}, suffix="JPG"), "train")) == ["a"]


def test_index_0_need_not_be_background(tmp_path):
    root = write_voc(tmp_path / "set", {"train": ["a"]})
    write_mask(root / "SegmentationClass" / "a.png", np.zeros((10, 12), np.uint8), default_colours(3))
    files = voc_files(root, "train")
    assert files.names[0] == "sky"
    assert (SegmentationDataset(files)[0]["mask"] == 0).all()


@pytest.mark.parametrize("asked", ["train", "trainaug"])
def test_train_means_trainaug_where_the_sbd_masks_are(tmp_path, asked):
    root = write_voc(tmp_path / "VOC2012", {"train": ["a"], "val": ["v"], "trainaug": ["a", "b"]}, names=None)
    (root / "SegmentationClass").rename(root / "SegmentationClassAug")
    (root / "SegmentationClass").mkdir()
    files = voc_files(root, asked)
    assert files.split == "trainaug" and stems(files) == ["a", "b"]
    assert all(drawn.parent.name == "SegmentationClassAug" and drawn.is_file() for _, drawn in files.pairs)
    assert voc_files(root, "val").pairs[0][1].parent.name == "SegmentationClass"


def test_train_is_train_without_the_sbd_masks(tmp_path):
    root = write_voc(tmp_path / "VOC2012", {"train": ["a"], "trainaug": ["a", "b"]}, names=None)
    files = voc_files(root, "train")
    assert files.split == "train" and stems(files) == ["a"]


def test_voc2012_without_labels_has_vocs_names(tmp_path):
    files = voc_files(write_voc(tmp_path / "VOC2012", {"train": ["a"]}, names=None), "train")
    assert len(files.names) == 21 and files.names[0] == "background"
    assert files.names[15] == "person" and files.names[20] == "tvmonitor"


def test_voc2012_with_labels_has_those(tmp_path):
    assert voc_files(write_voc(tmp_path / "VOC2012", {"train": ["a"]}), "train").names == NAMES


def test_another_tree_without_labels_is_an_error(tmp_path):
    assert "labels.txt" in error_line(voc_files, write_voc(tmp_path / "mine", {"train": ["a"]}, names=None), "train")


def test_all_missing_images_are_listed_at_once(tmp_path):
    root = write_voc(tmp_path / "set", {"train": ["a", "b", "c"]})
    for stem in "bc":
        (root / "JPEGImages" / f"{stem}.png").unlink()
    message = error_line(voc_files, root, "train")
    assert "train.txt" in message and "2 names" in message and message.endswith("b, c")


def test_many_missing_images_are_counted(tmp_path):
    root = write_voc(tmp_path / "set", {"train": ["a"]})
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("\n".join(f"x{n:02d}" for n in range(14)))
    message = error_line(voc_files, root, "train")
    assert "14 names" in message and "x09 and 4 more" in message and "x10" not in message


def test_empty_split(tmp_path):
    message = error_line(voc_files, write_voc(tmp_path / "set", {"train": []}), "train")
    assert "train.txt" in message and "empty" in message


def test_unknown_split_lists_those_there(tmp_path):
    root = write_voc(tmp_path / "set", {"train": ["a"], "val": ["b"]})
    message = error_line(voc_files, root, "tset")
    assert "tset.txt" in message and message.endswith("there are train, val")


def test_missing_tree_says_what_a_tree_has(tmp_path):
    message = error_line(find_segmentation, "voc", "train", tmp_path / "nowhere")
    assert "nowhere" in message and "JPEGImages" in message and "--download" not in message


def test_missing_voc2012_points_to_download(tmp_path):
    assert "--download" in error_line(find_segmentation, "voc", "train", tmp_path / "VOC2012")


# folders


def test_folder_with_split_sub_folders(tmp_path):
    root = write_folder(write_folder(tmp_path, ["a", "b"], "train"), ["c"], "val")
    files = find_segmentation("folder", "train", root)
    assert stems(files) == ["a", "b"] and files.names == NAMES
    assert files.pairs[0][1] == root / "masks" / "train" / "a.png"
    assert stems(folder_files(root, "val")) == ["c"]


def test_folder_unknown_split(tmp_path):
    root = write_folder(write_folder(tmp_path, ["a"], "train"), ["c"], "val")
    assert error_line(folder_files, root, "test").endswith("there are train, val")


@pytest.mark.parametrize("split", ["test", "tran"])
def test_hashed_folder_has_no_other_split_than_train_and_val(tmp_path, split):
    root = write_folder(tmp_path, [f"p{n}" for n in range(8)])
    assert "train, val" in error_line(folder_files, root, split)


def test_hash_split_divides_and_is_stable_when_images_are_added(tmp_path):
    names = [f"image_{n:03d}" for n in range(30)]
    root = write_folder(tmp_path, names)
    before = {split: set(stems(folder_files(root, split))) for split in ("train", "val")}
    assert before["train"] | before["val"] == set(names) and not before["train"] & before["val"]
    assert 1 <= len(before["val"]) <= 12
    write_folder(tmp_path, [f"added_{n}" for n in range(7)])  # before the others in the alphabet
    for split, was in before.items():
        assert set(stems(folder_files(root, split))) & set(names) == was


def test_folder_missing_masks_are_listed(tmp_path):
    root = write_folder(tmp_path, ["a", "b", "c"], "train")
    for stem in "ac":
        (root / "masks" / "train" / f"{stem}.png").unlink()
    message = error_line(folder_files, root, "train")
    assert str(root / "masks" / "train") in message and message.endswith("a, c")


def test_folder_empty_split(tmp_path):
    (tmp_path / "images" / "val").mkdir(parents=True)
    (tmp_path / "masks" / "val").mkdir(parents=True)
    (tmp_path / "labels.txt").write_text("a\nb")
    message = error_line(folder_files, tmp_path, "val")
    assert "empty" in message and str(tmp_path / "images" / "val") in message


@pytest.mark.parametrize("missing", ["images", "masks"])
def test_folder_needs_both_sides(tmp_path, missing):
    root = write_folder(tmp_path, ["a"])
    (root / missing).rename(root / "gone")
    message = error_line(folder_files, root, "train")
    assert str(root / missing) in message and "side by side" in message


def test_folder_needs_a_root():
    assert "--data-root" in error_line(find_segmentation, "folder", "train")


# names of datasets


def test_unknown_dataset_names_the_nearest():
    message = error_line(find_segmentation, "shaeps", "train")
    assert 'did you mean "shapes"' in message and "voc, folder" in message


def test_an_utterly_unknown_dataset_lists_all():
    message = error_line(find_segmentation, "qqqq", "train")
    assert "did you mean" not in message and "shapes, voc, folder" in message


def test_shapes_are_written_on_first_use(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.shapes.SPLITS", {"train": 3, "val": 2})
    files = find_segmentation("shapes", "val", tmp_path / "shapes")
    assert len(files.pairs) == 2 and files.split == "val"
    assert files.names == ["background", "disc", "square", "triangle", "star", "cross"]
    assert SegmentationDataset(files)[1]["mask"].max() > 0


def test_download_is_asked_for_only_when_wanted(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("datasets.segmentation.find.download_voc2012", asked.append)
    root = write_voc(tmp_path / "VOC2012", {"train": ["a"]}, names=None)
    find_segmentation("voc", "train", root)
    assert asked == []
    find_segmentation("voc", "train", root, download=True)
    assert asked == [root]


# samples


def test_samples(tmp_path):
    files = voc_files(write_voc(tmp_path / "set", {"train": ["a", "b"]}), "train")
    dataset = SegmentationDataset(files)
    sample = dataset[1]
    assert len(dataset) == 2
    assert sorted(sample) == ["file", "image", "mask", "size"]
    assert sample["image"].shape == (10, 12, 3) and sample["image"].dtype == np.uint8
    assert sample["mask"].shape == (10, 12) and sample["mask"].dtype == np.uint8 and (sample["mask"] == 1).all()
    assert sample["file"] == str(files.pairs[1][0]) and sample["size"] == (10, 12)


def test_the_transform_gets_epoch_and_index_and_size_stays_the_files(tmp_path):
    seen = []

    def transform(image, mask, epoch, index):
        seen.append((epoch, index))
        return image[:4, :4], mask[:4, :4]

    files = voc_files(write_voc(tmp_path / "set", {"train": ["a", "b"]}), "train")
    dataset = SegmentationDataset(files, transform)
    assert dataset[7, 1]["size"] == (10, 12) and dataset[7, 1]["image"].shape == (4, 4, 3)
    assert dataset[0]["mask"].shape == (4, 4)
    assert seen == [(7, 1), (7, 1), (0, 0)]


def test_limit(tmp_path):
    files = voc_files(write_voc(tmp_path / "set", {"train": ["a", "b", "c"]}), "train")
    assert stems(limit_segmentation(files, 2)) == ["a", "b"]
    assert limit_segmentation(files, None) == files
