"""Predictions over files: what is written, what is told, and what stays whole whatever happens."""

import json
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from datasets import DataError, read_image
from tasks import TaskError
from tasks import prediction as module
from tasks.classification.prediction import classify_images
from tasks.options import Prediction
from tasks.prediction import LARGE, Shown, predict_images
from tasks.segmentation.drawing import show_masks
from tasks.sources import Sources, find_sources
from tests.tasks.segmentation.test_sliding_window import Places, noise, stand_in
from tests.tasks.test_writing import files_no_larger_than

COLOURS = [(0, 0, 0), (200, 0, 0)]


def show(image: np.ndarray) -> Shown:
    return Shown("overlay", image, {"classes": {}}, np.zeros(image.shape[:2], dtype=np.uint8))


def images(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(24, 32)).save(folder / name)
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def predict(source: Path, output: Path, with_json: bool = False) -> int:
    return predict_images(find_sources(str(source), output), output, show, COLOURS, with_json)


# what is written


def test_images_of_one_stem_do_not_write_over_each_other(tmp_path):
    source = images(tmp_path / "in", "a.jpg", "a.png", "b.png")
    assert predict(source, tmp_path / "out", with_json=True) == 3
    ends = ("_overlay.png", "_mask.png", ".json")
    assert files(tmp_path / "out") == {f"{name}{end}" for name in ("a_jpg", "a_png", "b") for end in ends}
    for name, suffix in (("a_jpg", ".jpg"), ("a_png", ".png")):
        assert np.array_equal(read_image(tmp_path / f"out/{name}_overlay.png"), read_image(source / f"a{suffix}"))
        content = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert content == {"file": str(source / f"a{suffix}"), "height": 24, "width": 32, "classes": {}}


def test_names_that_are_no_text(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    source = images(tmp_path / "in", f"{name}.png", "two\nlines.png")
    assert predict(source, tmp_path / "out", with_json=True) == 2
    assert f"{name}_mask.png" in files(tmp_path / "out")
    assert json.loads((tmp_path / "out" / f"{name}.json").read_text())["file"] == str(source / f"{name}.png")


def test_predicting_twice_into_the_source_is_told_and_changes_nothing(tmp_path):
    source = images(tmp_path, "a.png", "b.png")
    assert predict(source, tmp_path) == 2
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    with pytest.raises(TaskError, match=r"a_overlay\.png: an image of --source that results would replace; name ano"):
        predict(source, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_finding_names_is_not_quadratic(tmp_path, monkeypatch):
    """300 paths are compared with each other a few times each, not 300 times."""
    compared = 0
    equal = PurePath.__eq__

    def counted(one, other):
        nonlocal compared
        compared += 1
        return equal(one, other)

    paths = [Path("in", str(number % 7), f"{number}.jpg") for number in range(300)]
    monkeypatch.setattr(PurePath, "__eq__", counted)
    monkeypatch.setattr("tasks.sources.read_image", lambda path: np.zeros((2, 2, 3), dtype=np.uint8))
    assert predict_images(Sources(Path("in"), paths), tmp_path, show, COLOURS, False) == 300
    assert compared < 20 * len(paths)


# what is told


def test_one_broken_file_says_that_the_others_were_written(tmp_path):
    source = images(tmp_path / "in", "a.png", "c.png")
    (source / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=rf"b\.png: cannot be read .*; wrote predictions for 2 images to {tmp_path}"):
        predict(source, tmp_path / "out")
    (source / "d.png").symlink_to("d.png")
    with pytest.raises(DataError, match=r"wrote predictions for 2 images to .*: 2 faults\n.*b\.png.*\n.*d\.png"):
        predict(source, tmp_path / "out")
    assert len(files(tmp_path / "out")) == 4


def test_a_full_disk_says_what_was_written_before(tmp_path):
    source = images(tmp_path / "in", "a.png", "c.png")
    Image.fromarray(noise(200, 200)).save(source / "b.png")
    with files_no_larger_than(10_000), pytest.raises(TaskError) as raised:
        predict(source, tmp_path / "out")
    place = tmp_path / "out"
    assert str(raised.value) == (
        f"{place}/b_overlay.png: could not be written (File too large); wrote predictions for 1 images to {place} "
        "before that"
    )
    assert files(place) == {"a_overlay.png", "a_mask.png"}


def test_a_mask_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def half(path, mask, colours):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_mask", half)
    with pytest.raises(
        TaskError, match=r"out/a_mask\.png: could not be written \(No space left on device\); wrote pre"
    ):
        predict(images(tmp_path / "in", "a.png"), tmp_path / "out")
    assert files(tmp_path / "out") == {"a_overlay.png"}


def test_an_interruption_leaves_whole_files(tmp_path, monkeypatch):
    def stopped(path, mask, colours):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_mask", stopped)
    with pytest.raises(KeyboardInterrupt):
        predict(images(tmp_path / "in", "a.png"), tmp_path / "out")
    assert files(tmp_path / "out") == {"a_overlay.png"}


def test_the_tool_ends_with_status_1(tool_here, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.commands.load_task", lambda *_: stand_in(Places(8, 2), 2))
    source = images(tmp_path / "in", "a.png", "b.png")
    for name in ("a", "b"):
        (tmp_path / "out" / f"{name}_overlay.png").mkdir(parents=True)
    (tmp_path / "x.ckpt").touch()
    options = ["--checkpoint", str(tmp_path / "x.ckpt"), "--source", str(source), "--output", str(tmp_path / "out")]
    said = tool_here("predict", *options, succeeds=False)
    assert "a_overlay.png: could not be written" in said and "for 0 images" in said


# large images


def test_large_images_are_predicted_in_windows_and_that_is_said(capsys, monkeypatch):
    assert LARGE == 16_000_000
    monkeypatch.setattr("tasks.segmentation.drawing.LARGE", 40_000)
    task = stand_in(Places(32, 2), 2)
    seen = []
    task.network.register_forward_hook(lambda _, images, __: seen.append(tuple(images[0].shape[2:])))
    masks = show_masks(task, Prediction())
    masks(np.zeros((20, 2000, 3), dtype=np.uint8))
    assert seen == [(20, 2000)] and capsys.readouterr().out == ""
    for _ in range(2):
        shown = masks(np.ones((20, 2001, 3), dtype=np.uint8))
    assert set(seen[1:]) == {(32, 1024)} and shown.mask.all()
    said = "images above 16 megapixels are predicted in windows of 1024x1024; --window sets other ones\n"
    assert capsys.readouterr().out == said
    show_masks(task, Prediction(window=(64, 200)))(np.zeros((20, 2001, 3), dtype=np.uint8))
    assert seen[-1] == (32, 224) and capsys.readouterr().out == ""


def test_few_large_images_are_classified_at_a_time(tmp_path, monkeypatch):
    """Not 32 of 324 MB each."""
    held = []

    class Classifier:
        spec = stand_in(Places(8, 2), 2).spec

        def predict(self, images):
            held.append(sum(image.size // 3 for image in images))
            return np.full((len(images), 2), 0.5, dtype=np.float32)

    monkeypatch.setattr("tasks.sources.read_image", lambda path: np.zeros((1000, 5000, 3), dtype=np.uint8))
    sources = Sources(Path("in"), [Path(f"in/{number}.jpg") for number in range(9)])
    assert classify_images(Classifier(), sources, tmp_path, True) == 9
    assert max(held) <= LARGE + 5_000_000 and sum(held) == 45_000_000
    assert files(tmp_path) == {"predictions.csv", "predictions.json", "contact.png"}
    with pytest.raises(TaskError, match=r"contact\.png: an image of --source that results would replace"):
        classify_images(Classifier(), Sources(tmp_path, [tmp_path / "contact.png"]), tmp_path, False)
