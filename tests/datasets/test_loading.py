"""Batches: shares of processes, order, and what a batch looks like."""

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.detection.dataset import DetectionDataset
from datasets.detection.files import DetectionFiles, Objects
from datasets.faults import DataError
from datasets.loading import EpochSampler, check_batch, eval_loader, train_loader
from datasets.samples import free_memory
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.files import SegmentationFiles


def make_dataset(root, count, transform=None, vary=False):
    pairs = []
    for index in range(count):
        size = (8 + index, 6 + 2 * index) if vary else (8, 6)
        photo, drawn = root / f"{index}.png", root / f"{index}_mask.png"
        Image.new("RGB", size, (index, index, index)).save(photo)
        Image.new("L", size, index % 2).save(drawn)
        pairs.append((photo, drawn))
    return SegmentationDataset(SegmentationFiles(root, "train", ["a", "b"], [(0, 0, 0), (9, 9, 9)], pairs), transform)


# the sampler


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("length", [24, 31])
def test_ranks_partition_each_global_batch(world, length):
    batch = 8
    whole = list(EpochSampler(length, True, 5, 0, 1, batch))
    ranks = [list(EpochSampler(length, True, 5, rank, world, batch)) for rank in range(world)]
    share = batch // world
    for step in range(length // batch):
        together = [entry for rank in ranks for entry in rank[step * share : (step + 1) * share]]
        assert sorted(together) == sorted(whole[step * batch : (step + 1) * batch])


@pytest.mark.parametrize("length", range(16, 25))
def test_all_ranks_have_as_many_training_steps(tmp_path_factory, length):
    dataset = make_dataset(tmp_path_factory.mktemp("d"), 0)
    dataset.files.pairs.extend([(dataset.files.root, dataset.files.root)] * length)
    dataset = SegmentationDataset(dataset.files)
    loaders = [train_loader(dataset, 8, 0, rank=rank, world=2) for rank in range(2)]
    assert [len(loader) for loader in loaders] == [length // 8] * 2
    assert [len(list(loader.batch_sampler)) for loader in loaders] == [length // 8] * 2


@pytest.mark.parametrize("batch", [1, 4])
def test_the_sampler_knows_its_length(batch):
    for rank in range(3):
        sampler = EpochSampler(22, True, rank=rank, world=3, batch_size=batch)
        assert len(sampler) == len(list(sampler))


def test_epochs_have_other_orders_of_all_entries():
    sampler = EpochSampler(20, True, seed=1)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        entries = list(sampler)
        assert {e for e, _ in entries} == {epoch}
        orders.append([index for _, index in entries])
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_order_depends_on_the_seed_alone():
    assert list(EpochSampler(20, True, 1)) == list(EpochSampler(20, True, 1))
    assert list(EpochSampler(20, True, 1)) != list(EpochSampler(20, True, 2))


def test_without_shuffling_the_order_is_the_lists():
    assert list(EpochSampler(4, False)) == [(0, 0), (0, 1), (0, 2), (0, 3)]


# batches


def test_collate_is_uint8_in_channels_last(tmp_path):
    dataset = make_dataset(tmp_path, 3)
    batch = SegmentationDataset.collate([dataset[index] for index in range(3)])
    image, mask = batch["image"], batch["mask"]
    assert image.shape == (3, 3, 6, 8) and image.dtype == torch.uint8
    assert image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()
    assert mask.shape == (3, 6, 8) and mask.dtype == torch.uint8
    assert image[2].unique().tolist() == [2] and mask[1].unique().tolist() == [1]
    assert batch["file"] == [str(photo) for photo, _ in dataset.files.pairs]
    assert batch["size"] == [(6, 8)] * 3


def test_collate_keeps_the_channels_order():
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 2] = 7
    batch = SegmentationDataset.collate([{"image": image, "mask": image[..., 0]}])
    assert batch["image"][0].amax((1, 2)).tolist() == [0, 0, 7]


def test_train_loader_drops_what_does_not_fill_a_batch(tmp_path):
    loader = train_loader(make_dataset(tmp_path, 7), 3, 0)
    batches = list(loader)
    files = [file for batch in batches for file in batch["file"]]
    assert len(loader) == len(batches) == 2 and len(set(files)) == 6


def test_train_loader_refuses_a_batch_that_does_not_divide(tmp_path):
    with pytest.raises(DataError, match=r"--batch-size 6 .* 4"):
        train_loader(make_dataset(tmp_path, 8), 6, 0, world=4)


def test_train_loader_refuses_a_batch_larger_than_the_data(tmp_path):
    with pytest.raises(DataError, match=r"5 images in train .* --batch-size from 8"):
        train_loader(make_dataset(tmp_path, 5), 8, 0)
    assert len(train_loader(make_dataset(tmp_path, 5), 5, 0)) == 1


@pytest.mark.parametrize("world", [1, 2])
def test_eval_loader_gives_every_image_once_at_its_own_size(tmp_path, world):
    dataset = make_dataset(tmp_path, 5, vary=True)
    seen = {}
    for rank in range(world):
        for batch in eval_loader(dataset, 0, rank, world):
            assert len(batch["file"]) == 1 and batch["file"][0] not in seen
            height, width = batch["size"][0]
            assert batch["image"].shape == (1, 3, height, width) and batch["mask"].shape == (1, height, width)
            seen[batch["file"][0]] = (height, width)
    assert seen == {str(dataset.files.pairs[i][0]): (6 + 2 * i, 8 + i) for i in range(5)}


def test_eval_loader_keeps_the_order(tmp_path):
    dataset = make_dataset(tmp_path, 4)
    files = [batch["file"][0] for batch in eval_loader(dataset, 0)]
    assert files == [str(photo) for photo, _ in dataset.files.pairs]


# detection


def make_detection(root, counts):
    """Images of 20x10; image i has counts[i] boxes of class i."""
    images, found = [], []
    for index, count in enumerate(counts):
        images.append(root / f"{index}.png")
        Image.new("RGB", (20, 10), (index, index, index)).save(images[-1])
        boxes = np.tile(np.array([2, 1, 10 + index, 9], np.float32), (count, 1)).reshape(-1, 4)
        flags = np.arange(count) == 1
        found.append(Objects(boxes, np.full(count, index), flags, flags, flags & False, boxes[:, 0]))
    ids = [f"p{index}" for index in range(len(counts))]
    files = DetectionFiles(root, "train", list("abcdefgh"), images, found, ids, list(range(8)), [None] * len(counts))
    return DetectionDataset(files)


def test_collate_detection_pads_boxes_as_shares(tmp_path):
    dataset = make_detection(tmp_path, [1, 0, 3])
    batch = DetectionDataset.collate([dataset[index] for index in range(3)])
    image, boxes, labels = batch["image"], batch["boxes"], batch["labels"]
    assert image.shape == (3, 3, 10, 20) and image.dtype == torch.uint8
    assert image.is_contiguous(memory_format=torch.channels_last) and image[2].unique().tolist() == [2]
    assert boxes.shape == (3, 3, 4) and boxes.dtype == torch.float32
    torch.testing.assert_close(boxes[0], torch.tensor([[0.1, 0.1, 0.5, 0.9], [0, 0, 0, 0], [0, 0, 0, 0]]))
    torch.testing.assert_close(boxes[2], torch.tensor([[0.1, 0.1, 0.6, 0.9]] * 3))
    assert not boxes[1].any()
    assert labels.tolist() == [[0, -1, -1], [-1, -1, -1], [2, 2, 2]] and labels.dtype == torch.int64
    assert batch["id"] == ["p0", "p1", "p2"] and batch["size"] == [(10, 20)] * 3 and batch["tiny"] == [0, 0, 0]
    assert batch["file"] == [str(photo) for photo in dataset.files.image_paths]
    assert [flags.tolist() for flags in batch["difficult"]] == [[False], [], [False, True, False]]
    assert [len(flags) for flags in batch["crowd"]] == [1, 0, 3]


def test_collate_detection_has_room_for_a_box_at_least(tmp_path):
    dataset = make_detection(tmp_path, [0, 0])
    batch = DetectionDataset.collate([dataset[0], dataset[1]])
    assert batch["boxes"].shape == (2, 1, 4) and not batch["boxes"].any()
    assert batch["labels"].tolist() == [[-1], [-1]] and batch["labels"].dtype == torch.int64


def test_train_loader_of_detection(tmp_path):
    dataset = make_detection(tmp_path, [1, 2, 0, 1, 2])
    loader = train_loader(dataset, 2, 0)
    files = [file for batch in loader for file in batch["file"]]
    assert len(loader) == 2 and len(set(files)) == 4
    assert all(batch["boxes"].ndim == 3 for batch in loader)


def test_check_batch_of_detection(tmp_path):
    dataset = make_detection(tmp_path, [1, 2])
    check_batch(dataset, 2)
    with pytest.raises(DataError, match=r"2 images in train .* --batch-size from 3"):
        check_batch(dataset, 3)


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_eval_loader_of_detection_gives_every_image_once(tmp_path, world, size):
    dataset = make_detection(tmp_path, [1, 2, 0, 1, 2])
    ids = []
    for rank in range(world):
        batches = list(eval_loader(dataset, 0, rank, world, batch_size=size))
        assert all(len(batch["id"]) == size for batch in batches[:-1])
        ids += [number for batch in batches for number in batch["id"]]
    assert sorted(ids) == [f"p{index}" for index in range(5)]
    if world == 1:
        assert ids == sorted(ids)


def test_too_little_shared_memory_is_one_line(shapes, tmp_path, monkeypatch):
    from collections import namedtuple

    from datasets import AugmentSegmentation, SegmentationAugmentation, check_shared_memory, find_segmentation, loading

    dataset = SegmentationDataset(
        find_segmentation("voc", "train", shapes), AugmentSegmentation(SegmentationAugmentation(), (64, 64))
    )
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(loading.shutil, "disk_usage", lambda _: usage(2**16, 0, 2**16))
    check_shared_memory(dataset, 8, 0, tmp_path)
    check_shared_memory(dataset, 1, 1, tmp_path)  # three of 16 KiB
    with pytest.raises(DataError, match=r"0 MiB of shared memory are free, and 2 loader workers need .*--shm-size 2g"):
        check_shared_memory(dataset, 8, 2, tmp_path)


# repeated and kept in memory


def test_repeated_epochs_are_the_same_samples_under_fewer_epochs():
    plain, repeated = EpochSampler(11, True, 3), EpochSampler(11, True, 3, batch_size=4, repeat=3)
    for epoch in range(2):
        expected = []
        for number in range(3 * epoch, 3 * epoch + 3):
            plain.set_epoch(number)
            expected += list(plain)
        repeated.set_epoch(epoch)
        assert len(repeated) == 32
        assert list(repeated) == expected[:32]


def test_a_repeated_epoch_goes_on_in_its_middle():
    whole = list(EpochSampler(5, True, 3, batch_size=4, epoch=1, repeat=3))
    assert list(EpochSampler(5, True, 3, batch_size=4, epoch=1, done=2, repeat=3)) == whole[8:]


def test_repeated_images_fill_a_batch(tmp_path):
    assert len(train_loader(make_dataset(tmp_path, 3), 8, 0, repeat=6)) == 2


def test_kept_samples_are_the_same_and_read_once(tmp_path):
    dataset = make_dataset(tmp_path, 3, lambda image, mask, epoch, index: (image + np.uint8(epoch), mask), vary=True)
    before = [dataset[1, index] for index in range(3)]
    dataset.keep()
    for path in tmp_path.iterdir():
        path.unlink()
    for sample, index in zip(before, range(3), strict=True):
        assert np.array_equal(dataset[1, index]["image"], sample["image"])
        assert np.array_equal(dataset[1, index]["mask"], sample["mask"])
    with pytest.raises(ValueError, match="read-only"):
        dataset.decoded(0)[0][:] = 0


def test_kept_samples_beyond_the_free_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.samples.free_memory", lambda: 100)
    with pytest.raises(DataError, match=r"^.*: the 3 images of train need another 0.0 GiB .*leave out --cache$"):
        make_dataset(tmp_path, 3).keep()


def test_free_memory_is_what_the_system_tells(tmp_path):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:       16 kB\nMemAvailable:       3 kB\n")
    assert free_memory(told) == 3072
    assert free_memory(tmp_path / "none") is None


def test_a_million_passes_are_not_listed_beforehand():
    assert next(iter(EpochSampler(1000, True, repeat=10**6)))[0] == 0


def test_what_is_held_already_is_not_kept_twice(tmp_path):
    dataset = make_dataset(tmp_path, 2)
    dataset.held = True
    dataset.keep()
    assert dataset.kept is None and dataset[0]["image"].shape == (6, 8, 3)
