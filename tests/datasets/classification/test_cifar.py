"""CIFAR-10's layouts: class folders and pickled batches, as folders and as archives."""

import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from datasets.classification.checks import check_classification
from datasets.classification.cifar import NAMES, cifar10, decode
from datasets.classification.find import find_files
from datasets.faults import DataError
from datasets.images import read_image

CLASSES = ["cat", "dog"]


def encoded(value: int, size=(6, 5), kind="PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, 0, 255 - value)).save(buffer, kind)
    return buffer.getvalue()


def tree() -> dict[str, bytes]:
    """Two classes, 11 training images of each and 2 for the test; an image's red is its number."""
    counts = {"train": 11, "test": 2}
    return {
        f"{split}/{name}/{number:04d}.png": encoded(10 * number + label)
        for split, count in counts.items()
        for label, name in enumerate(CLASSES)
        for number in range(count)
    }


def batches(root="cifar-10-batches-py/", photos=10) -> dict[str, bytes]:
    """The original's six files with a few images each, whose labels go up by one."""
    made = {}
    for place, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        random = np.random.default_rng(place)
        content = {
            b"data": random.integers(0, 256, (photos, 3072), dtype=np.uint8),
            b"labels": [(place * photos + number) % 10 for number in range(photos)],
            b"batch_label": b"made here",
        }
        made[root + name] = pickle.dumps(content, protocol=2)
    return made


def write(root, files: dict[str, bytes]):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def archive(path, files: dict[str, bytes], mode: str):
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def fault(root, *splits: str) -> str:
    """What a check of the splits says."""
    with pytest.raises(DataError) as caught:
        check_classification(*find_files("cifar10", splits or ["trainval", "test"], root))
    return str(caught.value)


@pytest.mark.parametrize("how", ["folder", "folder below", "x:xz", "w:gz", "w"])
def test_class_folders(tmp_path, how):
    if how.startswith("folder"):
        root = write(tmp_path / "data", {("" if how == "folder" else "cifar/") + k: v for k, v in tree().items()})
    else:
        root = archive(tmp_path / "data.tar", {"./" + name: content for name, content in tree().items()}, how)
    train, test = find_files("cifar10", ["trainval", "test"], root)
    check_classification(train, test)
    assert train.names == test.names == CLASSES
    assert train.images.shape == (22, 5, 6, 3) and train.images.dtype == np.uint8
    assert train.labels.tolist() == [0] * 11 + [1] * 11 and train.labels.dtype == np.int64
    assert train.images[:, 0, 0, 0].tolist() == [10 * number + label for label in range(2) for number in range(11)]
    assert test.labels.tolist() == [0, 0, 1, 1] and (test.images[..., 2] == 255 - test.images[..., 0]).all()
    assert train.image_paths[12].endswith("train/dog/0001.png") and train.image_paths[12].startswith(str(root))


@pytest.mark.parametrize("mode", ["folder", "x:gz", "x:xz"])
def test_the_original_batches(tmp_path, mode):
    root = write(tmp_path / "data", batches("")) if mode == "folder" else tmp_path / "cifar-10-python.tar.gz"
    if mode != "folder":
        archive(root, batches(), mode)
    train, test = find_files("cifar10", ["trainval", "test"], root)
    check_classification(test)
    assert train.names == NAMES and len(train.image_paths) == 50 and len(test.image_paths) == 10
    assert train.labels.tolist() == [number % 10 for number in range(50)]
    second = pickle.loads(batches()["cifar-10-batches-py/data_batch_2"])[b"data"][1]
    assert np.array_equal(train.images[11], second.reshape(3, 32, 32).transpose(1, 2, 0))
    assert train.image_paths[11].endswith("data_batch_2#0001")


def test_only_what_is_asked_for_is_read(tmp_path):
    root = write(tmp_path / "data", tree())
    (root / "train" / "cat" / "0000.png").write_bytes(b"no image")
    assert list(cifar10(root, ["test"])) == ["test"]
    check_classification(*find_files("cifar10", ["test"], root))


@pytest.mark.parametrize("split", ["train", "val", "trainval"])
def test_every_tenth_training_image_is_for_validation(tmp_path, split):
    (files,) = find_files("cifar10", [split], write(tmp_path / "data", tree()))
    held = [9, 19]
    chosen = {"val": held, "trainval": range(22), "train": [n for n in range(22) if n not in held]}[split]
    whole = [f"{name}/{number:04d}.png" for name in CLASSES for number in range(11)]
    assert [image[-len(whole[0]) :] for image in files.image_paths] == [whole[n] for n in chosen]
    assert files.split == split and len(files.images) == len(files.labels) == len(chosen)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_images_of_any_kind_are_decoded_alike(tmp_path, kind, mode):
    values = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    path = tmp_path / "image"
    Image.fromarray(values).convert(mode).save(path, kind)
    found = decode(path.read_bytes(), path)
    assert found.dtype == np.uint8 and np.abs(found.astype(int) - read_image(path)).max() <= 2


def test_what_is_no_image_is_left_out(tmp_path):
    more = {"train/cat/notes.txt": b"x", "train/cat/._0001.png": b"x", "train/.hidden/a.png": b"x", "train/a.png": b"x"}
    root = write(tmp_path / "data", tree() | more)
    (train,) = find_files("cifar10", ["trainval"], root)
    assert len(train.image_paths) == 22 and train.faults == []


def test_all_unreadable_images_are_named(tmp_path):
    bad = {"train/cat/0003.png": b"no image", "train/dog/0004.png": encoded(3)[:50], "train/dog/0005.png": b""}
    bad |= {f"train/cat/{cut}.jpg": encoded(3, (32, 32), "JPEG")[:-cut] for cut in (1, 30)}
    root = write(tmp_path / "data", tree() | bad)
    said = fault(root)
    assert said.startswith(f"{root}, split trainval: 5 faults")
    assert all(str(root / name) + ": cannot be read" in said for name in bad)


@pytest.mark.parametrize("mode", ["x:gz", "x:xz"])
@pytest.mark.parametrize("left", [0.5, 0.97])
def test_a_cut_archive(tmp_path, mode, left):
    random = np.random.default_rng(0)
    noise = {f"train/cat/{number}.png": random.bytes(20_000) for number in range(9)}
    root = archive(tmp_path / "data.tar", noise, mode)
    root.write_bytes(root.read_bytes()[: int(left * root.stat().st_size)])
    said = fault(root)
    assert said.startswith(f"{root}: no whole archive (") and said.endswith("fetch it again") and "\n" not in said


def test_no_archive_at_all(tmp_path):
    (tmp_path / "data.tar.xz").write_bytes(b"hello " * 99)
    assert "data.tar.xz: no whole archive (" in fault(tmp_path / "data.tar.xz")


def test_nothing_there(tmp_path):
    assert "--download fetches CIFAR-10" in fault(tmp_path / "none")
    (tmp_path / "photos").mkdir()
    assert "neither train/<class>/image.jpg nor data_batch_1 to 5" in fault(tmp_path / "photos", "train")


def test_classes_that_differ_and_classes_without_images(tmp_path):
    files = {name.replace("test/dog", "test/hen"): content for name, content in tree().items()}
    root = write(tmp_path / "data", files)
    (root / "train" / "cow").mkdir()
    first, second = fault(root).splitlines()
    assert first == f"{root}: no images of cow in train"
    assert second == f"{root}: the classes of trainval and test differ: only in trainval: cow, dog; only in test: hen"


def test_a_image_of_another_size(tmp_path):
    root = write(tmp_path / "data", tree() | {"test/dog/0001.png": encoded(1, (8, 9))})
    assert fault(root) == f"{root / 'test/dog/0001.png'}: is 8x9, and the other images are 6x5"


class Harmful:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "UnpicklingError"),
        (batches()["cifar-10-batches-py/data_batch_1"][:-99], "data_batch_3: no readable batch of CIFAR-10"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}), "[2, 3072] with 1 labels"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [12]}), "whole numbers from 0 to 9"),
        (pickle.dumps({b"data": np.zeros((1, 9), np.uint8), b"labels": [1]}), "[1, 9] with 1 labels"),
        (pickle.dumps({b"labels": [1]}), "KeyError"),
        (pickle.dumps(Harmful()), "it asks for builtins.print"),
        (None, "data_batch_3 is missing"),
    ],
    ids=["text", "cut", "count", "label", "shape", "entry", "harmful", "missing"],
)
def test_a_faulty_batch(tmp_path, capsys, content, said):
    files = batches("") | {"data_batch_3": content}
    root = write(tmp_path / "data", {name: content for name, content in files.items() if content is not None})
    message = fault(root)
    assert said in message and "data_batch_3" in message and "\n" not in message
    assert capsys.readouterr().out == ""
