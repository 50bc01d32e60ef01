"""Classification splits: ImageNet's layout, the objects of Shapes, and batches of images in memory or on disk."""

import numpy as np
import pytest
import torch
from PIL import Image

from datasets import (
    CentreCrop,
    ClassificationAugmentation,
    ClassificationDataset,
    ClassificationFiles,
    DataError,
    check_classification,
    eval_loader,
    evaluation_samples,
    limit_classification,
    read_image,
    train_loader,
    training_samples,
)
from datasets.classification.find import find_files

PLAIN = ClassificationAugmentation(shift=0, flip=0.0)


def held(root, count=12, size=(6, 4)):
    """Images in memory; the red of each is its number."""
    images = np.zeros((count, *size, 3), np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    photos = [f"p{number}" for number in range(count)]
    return ClassificationFiles(root, "train", ["a", "b", "c"], photos, np.arange(count) % 3, images)


@pytest.fixture
def tree(tmp_path):
    """train/ and val/ of three classes, whose images lie in any depth and have any size; the red is their number."""
    number = 0
    for split, count in (("train", 4), ("val", 2)):
        for name in ("ant", "bee", "cow"):
            for place in range(count):
                path = tmp_path / split / name / ("deep/er" if place % 2 else ".") / f"{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (30 + 7 * place, 20 + place), (number, 0, 0)).save(path)
                number += 1
    return tmp_path


# ImageNet's layout


def test_images_lie_in_any_depth(tree):
    (tree / "train" / "ant" / "notes.txt").write_text("x")
    (tree / "train" / "ant" / ".1.png").write_text("x")
    (tree / "train" / ".cache").mkdir()
    train, val = find_files("folder", ["train", "val"], tree)
    check_classification(train, val)
    assert train.names == ["ant", "bee", "cow"] and train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert sorted(read_image(tree / image)[0, 0, 0] for image in train.image_paths) == list(range(12))
    assert len(val.image_paths) == 6 and str(tree / "val" / "bee" / "deep" / "er" / "1.png") in val.image_paths
    assert train.images is None and train.size is None


@pytest.mark.parametrize(
    ("splits", "said"),
    [(["train", "test"], "no such split; there are train, val"), (["val", "tran"], "tran: no such split")],
)
def test_a_split_that_is_not_there(tree, splits, said):
    with pytest.raises(DataError, match=said):
        find_files("folder", splits, tree)


def test_a_split_without_class_folders(tree):
    (tree / "test").mkdir()
    (tree / "test" / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"no class folders in it; put the images of each class into .*test/<class>"):
        find_files("folder", ["test"], tree)


def test_all_faults_of_both_splits_at_once(tree):
    (tree / "train" / "ant" / "0.png").write_bytes(b"no image")
    (tree / "val" / "bee" / "deep" / "er" / "1.png").write_bytes(b"")
    (tree / "train" / "dog").mkdir()
    (tree / "val" / "cow").rename(tree / "val" / "yak")
    with pytest.raises(DataError) as caught:
        check_classification(*find_files("folder", ["train", "val"], tree))
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines == [
        f"{tree}, split train: 2 faults",
        f"{tree / 'train/dog'}: no images of this class",
        f"{tree / 'train/ant/0.png'}: cannot be read (not an image)",
        f"{tree / 'val/bee/deep/er/1.png'}: cannot be read (not an image)",
        f"{tree}: the classes of train and val differ: only in train: cow, dog; only in val: yak",
    ]


def test_images_are_left_unread_if_asked(tree):
    (tree / "train" / "ant" / "0.png").write_bytes(b"no image")
    files = find_files("folder", ["train", "val"], tree)
    check_classification(*files, read=False)
    with pytest.raises(DataError, match=r"ant/0\.png: cannot be read"):
        check_classification(*files)


def test_one_class_is_not_enough(tree):
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (tree / split / name).rename(tree / f"{split}-{name}")
    with pytest.raises(DataError, match=r"only one class, cow; a classifier tells two or more apart$"):
        check_classification(*find_files("folder", ["train", "val"], tree))


# other splits


@pytest.mark.parametrize(
    ("dataset", "split", "said"),
    [
        ("cifar", "train", r'there is no dataset "cifar"; did you mean "cifar10"\?'),
        ("folder", "train", "--dataset folder needs --data-root DIR"),
        ("mnist", "valid", "no split valid; mnist has train, val, trainval, test"),
    ],
)
def test_what_there_is_not(dataset, split, said):
    with pytest.raises(DataError, match=said):
        find_files(dataset, [split])


def test_the_objects_of_shapes(tmp_path, monkeypatch, shapes):
    monkeypatch.setattr("datasets.classification.find.write_shapes", lambda root: None)
    train, val = find_files("shapes", ["train", "val"], shapes)
    check_classification(train, val)
    assert train.names == ["disc", "square", "triangle", "star", "cross"] and train.size == (32, 32)
    assert set(train.labels) == set(range(5)) and len(train.image_paths) == len(train.images) == len(train.labels) > 30
    assert train.image_paths[0].endswith("JPEGImages/train_0000.jpg#0")


def test_limit_takes_images_from_all_over(tmp_path):
    files = held(tmp_path, 12)
    some = limit_classification(files, 4)
    assert some.images[:, 0, 0, 0].tolist() == [0, 4, 7, 11]
    assert some.image_paths == ["p0", "p4", "p7", "p11"] and some.labels.tolist() == [0, 1, 1, 2]
    assert limit_classification(files, None) is files and limit_classification(files, 99) is files


def test_an_empty_split(tmp_path):
    with pytest.raises(DataError, match="split train is empty"):
        check_classification(held(tmp_path, 12).at(np.arange(0)))


# batches


def test_a_batch_out_of_memory_is_the_samples_together(tmp_path):
    dataset = ClassificationDataset(held(tmp_path))
    batch = dataset.__getitems__([(0, 5), (0, 2), (0, 9)])
    assert batch["image"].dtype == torch.uint8 and batch["image"].shape == (3, 3, 6, 4)
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert batch["image"][:, 0, 0, 0].tolist() == [5, 2, 9] and not batch["image"][:, 1:].any()
    assert batch["label"].tolist() == [2, 2, 0] and batch["file"] == ["p5", "p2", "p9"] and "target" not in batch
    sample = dataset[5]
    assert np.array_equal(sample["image"], batch["image"][0].permute(1, 2, 0)) and sample["label"] == 2


def test_a_batch_from_disk(tree):
    (files,) = find_files("folder", ["train"], tree)
    dataset = ClassificationDataset(files, CentreCrop((10, 8)))
    batch = dataset.__getitems__([(0, 3), (0, 7)])
    assert batch["image"].shape == (2, 3, 10, 8) and batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert batch["image"][:, 0].amax((1, 2)).tolist() == [
        read_image(tree / files.image_paths[n])[0, 0, 0] for n in (3, 7)
    ]
    assert batch["label"].tolist() == [0, 1] and batch["file"] == [files.image_paths[3], files.image_paths[7]]


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_targets_come_with_augmentation(tree, where):
    files = held(tree) if where == "memory" else find_files("folder", ["train"], tree)[0]
    batch = training_samples(files, (6, 4), PLAIN).__getitems__([(0, 1), (0, 11)])
    assert batch["target"].dtype == torch.float32 and batch["target"].tolist() == [
        [float(label == place) for place in range(3)] for label in files.labels[[1, 11]]
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_any_number_of_workers_gives_the_same_batches(tree, workers):
    (files,) = find_files("folder", ["train"], tree)
    augmentation = ClassificationAugmentation(randaugment=1, erasing=0.5, mixup=0.2, cutmix=1.0)
    loader = train_loader(training_samples(files, (16, 16), augmentation), 4, workers, seed=3)
    again = train_loader(training_samples(files, (16, 16), augmentation), 4, 0, seed=3)
    for first, second in zip(loader, again, strict=True):
        assert first["file"] == second["file"]
        assert torch.equal(first["image"], second["image"]) and torch.equal(first["target"], second["target"])


def test_processes_together_have_the_batch_of_one(tmp_path):
    def batches(rank, world):
        loader = train_loader(
            training_samples(held(tmp_path), (6, 4), ClassificationAugmentation()), 6, 0, 1, rank, world
        )
        return [dict(zip(batch["file"], batch["image"], strict=True)) for batch in loader]

    for whole, first, second in zip(batches(0, 1), batches(0, 2), batches(1, 2), strict=True):
        together = first | second
        assert together.keys() == whole.keys() and all(torch.equal(whole[file], together[file]) for file in whole)


def test_batches_out_of_memory_need_no_workers(tmp_path):
    loader = train_loader(training_samples(held(tmp_path), (6, 4), PLAIN), 4, workers=2)
    assert loader.num_workers == 0 and not loader.pin_memory
    seen = [file for batch in loader for file in batch["file"]]
    assert len(loader) == 3 and sorted(seen) == sorted(f"p{number}" for number in range(12)) and seen != sorted(seen)


@pytest.mark.parametrize("world", [1, 2])
def test_eval_loader_gives_every_image_once(tmp_path, world):
    samples = evaluation_samples(held(tmp_path, 11), (6, 4), 1.0)
    seen = [
        red
        for rank in range(world)
        for batch in eval_loader(samples, 2, rank, world, batch_size=4)
        for red in batch["image"][:, 0, 0, 0].tolist()
    ]
    assert sorted(seen) == list(range(11)) and (world == 2 or seen == sorted(seen))


def test_images_in_memory_of_another_size_are_evaluated_at_the_networks(tmp_path):
    samples = evaluation_samples(held(tmp_path, 3, (8, 8)), (4, 4), 1.0)
    assert samples.__getitems__([(0, 0), (0, 2)])["image"].shape == (2, 3, 4, 4)
