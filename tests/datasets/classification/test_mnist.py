"""MNIST's IDX files."""

import gzip
import struct
from dataclasses import replace

import numpy as np
import pytest

from datasets.classification.augment_options import ClassificationAugmentation
from datasets.classification.checks import check_classification
from datasets.classification.dataset import training_samples
from datasets.classification.find import find_files
from datasets.faults import DataError

COUNTS = {"train": 20, "t10k": 10}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def write(root, end=".gz", sign="-", **other: bytes):
    """The four files, of which `other` replaces some by the start of their names."""
    root.mkdir(parents=True, exist_ok=True)
    for prefix, count in COUNTS.items():
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, array in (("images", images), ("labels", labels)):
            content = other.get(f"{prefix}_{kind}", idx(array))
            content = gzip.compress(content) if end == ".gz" else content
            (root / f"{prefix}-{kind}{sign}idx{array.ndim}-ubyte{end}").write_bytes(content)
    return root


def fault(root) -> str:
    with pytest.raises(DataError) as caught:
        check_classification(*find_files("mnist", ["trainval", "test"], root))
    return str(caught.value)


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("sign", ["-", "."])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_digits_in_three_channels(tmp_path, end, sign, below):
    write(tmp_path / "data" / below, end, sign)
    train, test = find_files("mnist", ["trainval", "test"], tmp_path / "data")
    check_classification(train, test)
    assert train.names == list("0123456789") and train.size == (28, 28)
    assert train.images.shape == (20, 28, 28, 3) and test.images.shape == (10, 28, 28, 3)
    expected = np.random.default_rng(20).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert all(np.array_equal(train.images[..., channel], expected) for channel in range(3))
    assert train.labels.tolist() == list(range(10)) * 2 and train.labels.dtype == np.int64
    assert train.image_paths[3].endswith(f"train-images{sign}idx3-ubyte{end}#00003")


def test_a_part_of_training_is_held_out(tmp_path):
    train, val = find_files("mnist", ["train", "val"], write(tmp_path / "data"))
    assert len(train.image_paths) == 18 and val.labels.tolist() == [9, 9]


IMAGE_SUFFIXES = np.zeros((20, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"train_images": idx(np.zeros(20, np.uint8))},
            "starts with 0x00000801, and an IDX file of images starts with 0x00000803",
        ),
        (
            {"t10k_labels": idx(IMAGE_SUFFIXES)},
            "starts with 0x00000803, and an IDX file of labels starts with 0x00000801",
        ),
        ({"train_images": idx(IMAGE_SUFFIXES)[:-1]}, "holds 15,679 bytes of images, and its header says 20 x 28 x 28"),
        (
            {"train_images": idx(IMAGE_SUFFIXES) + b"x"},
            "holds 15,681 bytes of images, and its header says 20 x 28 x 28",
        ),
        ({"train_images": struct.pack(">4I", 0x0803, *[2**32 - 1] * 3)}, "holds 0 bytes of images"),
        ({"train_images": b""}, "starts with 0x00000000"),
        ({"train_labels": idx(np.zeros(19, np.uint8))}, "19 labels for 20 images in "),
        ({"train_labels": idx(np.full(20, 11, np.uint8))}, "label 11; the digits are 0 to 9"),
    ],
    ids=["magic", "magic of labels", "short", "long", "huge", "empty", "count", "label"],
)
def test_faulty_files(tmp_path, other, said):
    message = fault(write(tmp_path / "data", **other))
    (name,) = other
    assert said in message and name.replace("_", "-") in message and "\n" not in message


def test_damaged_gzips_are_told_of_together(tmp_path):
    root = write(tmp_path / "data")
    cut, torn = root / "train-images-idx3-ubyte.gz", root / "t10k-labels-idx1-ubyte.gz"
    cut.write_bytes(cut.read_bytes()[:-2000])
    torn.write_bytes(b"hello")
    first, second = fault(root).splitlines()
    assert first.startswith(f"{cut}: cannot be read (") and second.startswith(f"{torn}: cannot be read (")
    assert first.endswith("fetch it again")


def test_a_file_that_is_not_there(tmp_path):
    root = write(tmp_path / "data", end="")
    (root / "t10k-labels-idx1-ubyte").unlink()
    message = fault(root)
    assert "neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz" in message and "--download" in message


def test_digits_are_not_mirrored_unless_asked(tmp_path):
    train, _ = find_files("mnist", ["train", "val"], write(tmp_path / "data"))
    chosen = [training_samples(train, (28, 28), ClassificationAugmentation(flip=flip)) for flip in (None, 0.3)]
    assert [samples.augmentation.options.flip for samples in chosen] == [0.0, 0.3]
    other = training_samples(replace(train, flips=True), (28, 28), ClassificationAugmentation())
    assert other.augmentation.options.flip == 0.5
