import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.conftest import class_folders
from tests.datasets.detection.trees import annotation, thing, write_voc


def drawn_below(content, what):
    """How many images the section of a kind of findings holds."""
    section = next(part for part in content.split("<section>") if re.search(rf"</span>{re.escape(what)} \(", part))
    return section.count("<img ")


def test_errors_end_with_status_1_and_a_line_that_says_where(tmp_path, tool_here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    hostile = "<script>alert(1)<!--[red]"
    things = {
        "flat": annotation(thing("cat", 5, 5, 5, 9)),
        hostile: annotation(thing("dog", 3, 3, 20, 15)),
        "unreadable": annotation(thing("cat", 3, 3, 20, 15)),
    }
    write_voc(tmp_path, things)
    Image.new("RGB", (33, 20)).save(tmp_path / "JPEGImages" / f"{hostile}.jpg")
    (tmp_path / "JPEGImages" / "unreadable.jpg").write_bytes(b"none")
    options = ["--dataset", "voc", "--data-root", str(tmp_path), "--output", str(tmp_path / "page")]
    said = tool_here("check_data", *options, succeeds=False)
    index = tmp_path / "page" / "index.html"
    assert said.splitlines()[0] == f"{tmp_path}: detection, 3 images in train (or --task segmentation)"
    assert said.splitlines()[-1] == f"check_data.py: 2 errors in {tmp_path}; {index} shows them"
    assert "box without area" in said and "alert(1)<!--[red]" in said
    content = index.read_text()
    assert "<script" not in content and "&lt;script&gt;alert(1)&lt;!--[red].jpg: is 33x20" in content
    assert drawn_below(content, "box without area") == 1 and drawn_below(content, "annotation for another size") == 1
    assert drawn_below(content, "image cannot be read") == 0
    assert not re.search(r'(src|href)="(?!data:|#)', content)  # nothing is fetched


@pytest.mark.parametrize(("task", "dataset"), [("segmentation", "voc"), ("detection", "coco")])
def test_shapes_have_no_errors(shapes, tmp_path, tool_here, task, dataset):
    said = tool_here(
        "check_data", "--dataset", dataset, "--task", task, "--data-root", str(shapes), "--output", str(tmp_path)
    )
    assert f"{shapes}: {task}, 24 images in train, val, test" in said
    assert "│ error" not in said and "identical" not in said
    content = (tmp_path / "index.html").read_text()
    assert "disc" in content and ("Boxes and anchors" in content) == (task == "detection")
    assert ("Classes and values of masks" in content) == (task == "segmentation")


def test_warnings_alone_end_with_status_0(shapes, tmp_path, tool_here):
    root = class_folders(shapes, tmp_path / "tree")
    first = next(iter(sorted((root / "train" / "disc").iterdir())))
    shutil.copy(first, root / "val" / "disc" / "copy.png")
    said = tool_here("check_data", "--dataset", "folder", "--data-root", str(root), "--output", str(tmp_path / "page"))
    assert "classification" in said and "identical images in two splits" in said
    assert drawn_below((tmp_path / "page" / "index.html").read_text(), "identical images in two splits") == 2


def test_so_many_are_drawn_as_asked(tmp_path, tool_here):
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.txt").write_text("sky\nroad\n")
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.full((20, 30), 5, np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    data = [
        "--dataset",
        "folder",
        "--data-root",
        str(tmp_path),
        "--splits",
        "train",
        "--output",
        str(tmp_path / "page"),
    ]
    said = tool_here("check_data", *data, "--drawn", "2", "--workers", "1", succeeds=False)
    assert "segmentation" in said and "mask values that are no class" in said
    content = (tmp_path / "page" / "index.html").read_text()
    assert drawn_below(content, "mask values that are no class") == 2
    assert '<td class="number">5</td><td><b>no class</b></td>' in content


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "coca"], 'did you mean "coco"'),
        (["--dataset", "coco", "--data-root", "none"], "no such split"),
        (["--dataset", "coco", "--task", "classification"], 'there is no dataset "coco"'),
        (["--dataset", "coco", "--data-root", "none", "--head", "ssdlit"], 'did you mean "ssdlite"'),
        (["--size", "0", "0"], "--size 0 0 is not in 16 to 4096"),
        (["--task", "detecton"], "--task: Expected"),
    ],
)
def test_a_users_mistake_is_one_line(tmp_path, tool_here, options, said):
    text = tool_here("check_data", *options, "--output", str(tmp_path / "page"), succeeds=False)
    assert said in text and not (tmp_path / "page").exists()


def test_options_of_other_data_are_refused(tool_here, shapes, tmp_path):
    tree = ("--dataset", "voc", "--data-root", str(shapes), "--group-by", "folder")
    for name, *options in (
        ("check_data", *tree, "--output", str(tmp_path)),
        ("train_seg", *tree),
        ("train_det", *tree),
    ):
        assert "--group-by is for trees without splits" in tool_here(name, *options, succeeds=False)
    for name in ("train_det", "train_cls", "train_seg"):
        assert "--classes is for --dataset coco" in tool_here(name, "--classes", "voc", succeeds=False)
    for pattern in ("(", "[0-9]+"):
        assert f"--group-by {pattern}: " in tool_here("train_seg", "--group-by", pattern, succeeds=False)
