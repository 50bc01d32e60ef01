"""Which images a source means, and what their results are called."""

from pathlib import Path

import pytest
from PIL import Image

from datasets import DataError
from tasks import TaskError
from tasks.sources import Sources, find_sources, keep_apart, places, result_names


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*names: str | bytes) -> None:
    for name in names:
        path = Path(name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 2)).save(path, path.suffix.lower()[1:].replace("jpg", "jpeg").replace("tif", "tiff"))


def found(source: str, output: str = "predictions") -> list[str]:
    return [str(path) for path in find_sources(source, Path(output)).image_paths]


def test_folders_and_patterns(here):
    make("a.jpg", "deep/b.PNG", "deep/er/c.tif", ".hidden/d.jpg", "deep/._a.jpg")
    Path("notes.txt").write_text("x")
    Path("folder.jpg").mkdir()
    assert found(".") == ["a.jpg", "deep/b.PNG", "deep/er/c.tif"]
    assert found("**/*.jpg") == ["a.jpg"]
    assert found("deep/*") == ["deep/b.PNG"]
    assert find_sources("deep/**/*.tif", Path("x")).folder == Path("deep")
    assert found("deep/er/c.tif") == ["deep/er/c.tif"]


@pytest.mark.parametrize("source", ["empty", "empty/*.jpg", "none.jpg", "webcam:²", "webcam:99999999999999999999"])
def test_no_images_is_one_line(here, source):
    Path("empty").mkdir()
    with pytest.raises(DataError, match=rf"^{source.replace('*', '.')}: no ") as raised:
        find_sources(source, Path("predictions"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("source", [".", "**/*"])
def test_results_within_the_source_are_left_out_and_that_is_said(here, source, capsys):
    make("a.jpg", "predictions/a_overlay.png", "predictions/deep/b_mask.png")
    assert found(source) == ["a.jpg"]
    assert "1 images; 2 in predictions, where results go, are left out" in capsys.readouterr().out
    assert found("predictions/*") == ["predictions/a_overlay.png"]  # asked for
    Path("a.jpg").unlink()
    with pytest.raises(DataError, match=r"; 2 in predictions, where results go, are left out$"):
        found(source)


def test_results_never_take_a_images_place(here):
    make("a.jpg", "a_mask.png")
    images = places(find_sources(".", Path(".")).image_paths)
    keep_apart([Path("b_mask.png"), Path("deep/a_mask.png")], images)
    Path("link").symlink_to(here)
    for result in (Path("a_mask.png"), here / "a_mask.png", Path("link/a_mask.png")):
        with pytest.raises(TaskError, match=r"a_mask\.png: an image of --source that results would replace; name"):
            keep_apart([result], images)


@pytest.mark.parametrize("source", [".", "**/*.jpg"])
def test_links_in_a_loop_end(here, source):
    make("a.jpg", "deep/b.jpg")
    Path("deep/loop").symlink_to(here)
    Path("self.jpg").symlink_to("self.jpg")
    assert found(source) == ["a.jpg", "deep/b.jpg", "self.jpg"]  # the last is told when it is read


def test_names_that_are_no_text(here):
    make(b"caf\xe9.jpg", "new\nline.jpg", "a b;c.jpg")
    assert found(".") == ["a b;c.jpg", "caf\udce9.jpg", "new\nline.jpg"]


def named(*names: str) -> list[str]:
    return [str(name) for name in result_names(Sources(Path("in"), [Path("in", name) for name in names]))]


def test_results_have_different_names():
    assert named("a.jpg", "deep/a.jpg", "b.c.jpg") == ["a", "deep/a", "b.c"]
    assert named("a.jpg", "a.png", "v1.0/a.jpg") == ["a_jpg", "a_png", "v1.0/a"]
    assert named("v1.0/a.jpg", "v1.0/a.png") == ["v1.0/a_jpg", "v1.0/a_png"]
    awkward = ["a.jpg", "a.png", "a_jpg.png", "a_jpg.jpg", "a_jpg_jpg.bmp", "A.jpg", "a.b.jpg", "a.b"]
    assert len(set(named(*awkward))) == len(awkward)
