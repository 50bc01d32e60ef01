"""Files are whole under their names or not there, and what stops a writer is one line with the file and the reason."""

import csv
import json
import resource
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from tasks import TaskError
from tasks.detection.drawing import plot_precision_recall
from tasks.drawing import plot_confusion
from tasks.writing import whole, write_image, write_json, write_table


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@contextmanager
def files_no_larger_than(size: int):
    """As on a disk that is full: the system writes no more bytes than this to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


CURVES = [(np.linspace(0, 1, 101), np.linspace(1, 0, 101))]
WRITERS = {
    "image.png": lambda path: write_image(path, noise(90, 70)),
    "content.json": lambda path: write_json(path, list(range(9000))),
    "table.csv": lambda path: write_table(path, [[1, 2, 3]] * 3000),
    "confusion.png": lambda path: plot_confusion(np.eye(3, dtype=np.int64), ["a", "b", "c"], path),
    "curve.png": lambda path: plot_precision_recall(CURVES, np.array([0.5]), ["a"], path, "title"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path, name):
    WRITERS[name](tmp_path / "new" / name)
    (tmp_path / name).write_text("before")
    with files_no_larger_than(2000), pytest.raises(TaskError) as raised:
        WRITERS[name](tmp_path / name)
    assert str(raised.value) == f"{tmp_path / name}: could not be written (File too large)"
    assert (tmp_path / name).read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"new", name}
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_in_place_of_the_folder_is_told(tmp_path, name):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(TaskError, match=rf"out/{name}: could not be written \((Not a directory|File exists)\)$"):
        WRITERS[name](tmp_path / "out" / name)
    assert (tmp_path / "out").read_text() == "mine"


def test_whatever_ends_a_writer_leaves_nothing(tmp_path):
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), whole(tmp_path / "a.txt") as unfinished:
            unfinished.write_text("half")
            raise error
    assert list(tmp_path.iterdir()) == []


def test_a_name_may_have_all_the_bytes_that_a_name_can(tmp_path):
    write_json(tmp_path / ("x" * 250 + ".json"), [])
    with pytest.raises(TaskError, match=r"could not be written \(File name too long\)"):
        write_json(tmp_path / ("x" * 251 + ".json"), [])


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (63, 5), (64, 5), (65, 5), (130, 201)])
def test_images_come_back(tmp_path, size):
    import cv2

    image = noise(*size)
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), image)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)
    write_image(tmp_path / "part.png", noise(*size)[:, ::-1])  # not in one piece of memory
    assert np.array_equal(np.array(Image.open(tmp_path / "part.png")), image[:, ::-1])


def test_a_image_that_may_be_spent_takes_no_memory_of_its_size_beside_it(tmp_path):
    image = np.zeros((2000, 1000, 3), dtype=np.uint8)
    image[:, :, 0] = 200
    red = image[0, 0].copy()
    tracemalloc.start()
    write_image(tmp_path / "a.png", image, spend=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < image.nbytes / 2
    assert (np.array(Image.open(tmp_path / "a.png")) == red).all()


def test_tables_and_json_take_names_that_are_no_text(tmp_path):
    name = b'caf\xe9, "5"\n.jpg'.decode("utf-8", "surrogateescape")
    write_table(tmp_path / "a.csv", [["file"], [name]])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["file"], [name.replace("\udce9", "\\udce9")]]
    write_json(tmp_path / "a.json", [name])
    assert json.loads((tmp_path / "a.json").read_text()) == [name]
