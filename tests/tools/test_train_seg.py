import csv
import shutil

import numpy as np
import pytest
import torch

from datasets import read_image
from tasks import SegmentationTask
from tests.conftest import ROOT, quick_run
from tests.tools.command import tool

OPTIONS = ROOT / "tests" / "tools" / "options.txt"


def test_run_folder_holds_everything(checkpoint):
    folder = checkpoint.parent
    there = {path.name for path in folder.iterdir()}
    assert {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv", "images"} <= there
    assert any(name.startswith("events.out.tfevents") for name in there)
    assert len(list((folder / "images").glob("epoch_*.png"))) == 2
    with (folder / "metrics.csv").open() as file:
        columns = next(csv.reader(file))
    assert {"val/miou", "val/pixel_accuracy", "epoch", "step"} <= set(columns)


def test_a_checkpoint_alone_predicts(checkpoint, shapes, tmp_path):
    moved = tmp_path / "moved.ckpt"
    shutil.copy(checkpoint, moved)
    task = SegmentationTask.load(moved)
    assert task.spec.names[1] == "disc"
    image = read_image(next((shapes / "JPEGImages").glob("val*")))
    assert task.predict([image])[0].shape == image.shape[:2]


def test_existing_run_is_not_replaced_unasked(checkpoint, shapes, tool_here):
    before = checkpoint.stat().st_mtime
    options = [*quick_run(shapes, checkpoint.parent.parent), "--name", "quick"]
    said = tool_here("train_seg", *options, succeeds=False)
    assert "holds a run" in said and "--resume" in said and "--overwrite" in said
    assert checkpoint.stat().st_mtime == before


def test_resume_goes_on(checkpoint, shapes, tmp_path, tool_here):
    shutil.copytree(checkpoint.parent, tmp_path / "quick")
    options = [*quick_run(shapes, tmp_path), "--name", "quick", "--resume"]
    options[options.index("--epochs") + 1] = "3"
    tool_here("train_seg", *options)
    last = torch.load(tmp_path / "quick" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3 * 2


def test_config_written_by_a_run_repeats_it(checkpoint, tmp_path, tool_here):
    again = tool_here("train_seg", "--config", str(checkpoint.parent / "config.yaml"), "--output", str(tmp_path))
    assert "best val/miou" in again
    first, second = (
        torch.load(path, weights_only=True)["state_dict"] for path in (checkpoint, tmp_path / "quick/best.ckpt")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--bakcbone", "v3-large"], "did you mean --backbone?"),
        (["--backbone", "v3-larg"], 'did you mean "v3-large"?'),
        (["--head", "lrasp"], 'did you mean "lraspp"?'),
        (["--dataset", "shaps"], 'did you mean "shapes"?'),
        (["--loss", "dicee", "--max-images", "16"], 'did you mean "dice"?'),
        (["--trainer.max_epoch", "3"], 'did you mean "max_epochs"?'),
        (["--lr", "fast"], "--lr: Expected float. Got value: fast"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--config", "tests/tools/misspelt.yaml"], "did you mean --backbone?"),
        (["--weights", "none.pth"], "none.pth: no such weights file"),
        (["--batch-size", "999"], "lower --batch-size from 999"),
    ],
)
def test_a_users_mistake_is_one_line(shapes, tmp_path, options, said, tool_here):
    text = tool_here("train_seg", *quick_run(shapes, tmp_path), *options, succeeds=False)
    assert said in text
    assert len([line for line in text.splitlines() if "train_seg.py:" in line]) == 1


def test_a_network_of_timms_trains_and_is_evaluated(shapes, tmp_path, tool_here):
    options = ["--backbone", "timm:mobilenetv4_conv_small", "--epochs", "1", "--max-images", "8"]
    tool_here("train_seg", *quick_run(shapes, tmp_path), *options)
    best = tmp_path / "voc_timm-mobilenetv4_conv_small_lraspp" / "best.ckpt"
    data = ["--dataset", "voc", "--data-root", str(shapes), "--workers", "0"]
    assert "mIoU" in tool_here("eval_seg", "--checkpoint", str(best), *data)


def test_bad_masks_are_reported_before_the_first_step(shapes, tmp_path, tool_here):
    from datasets import read_mask, write_mask

    tree = tmp_path / "tree"
    shutil.copytree(shapes, tree)
    path = tree / "SegmentationClass" / "train_0003.png"
    mask = read_mask(path).copy()
    mask[:2, :3] = 77
    write_mask(path, mask, [(0, 0, 0)])
    said = tool_here("train_seg", *quick_run(tree, tmp_path / "runs"), succeeds=False)
    assert "train_0003.png: mask value 77 on 6 pixels; classes are 0 background to 5 cross" in said
    assert not (tmp_path / "runs").exists()


def test_evaluation_writes_scores_and_images(checkpoint, shapes, tmp_path, tool_here):
    import json

    options = ["--dataset", "voc", "--data-root", str(shapes), "--output", str(tmp_path / "eval"), "--workers", "0"]
    said = tool_here("eval_seg", "--checkpoint", str(checkpoint), *options, "--tta-scales", "0.75", "1", "--tta-flip")
    assert "mIoU" in said and "disc" in said
    scores = json.loads((tmp_path / "eval" / "scores.json").read_text())
    matrix = np.array(scores["confusion_matrix"])
    assert matrix.shape == (6, 6) and matrix.sum() > 0
    assert scores["tta_scales"] == [0.75, 1.0] and scores["tta_flip"] is True
    assert {path.name for path in (tmp_path / "eval").iterdir()} >= {"confusion.png", "worst.png", "samples.png"}


def test_more_classes_in_the_checkpoint_than_in_the_data(checkpoint, shapes, tmp_path, tool_here):
    tree = tmp_path / "tree"
    shutil.copytree(shapes, tree)
    (tree / "labels.txt").write_text("background\ndisc\n")
    said = tool_here(
        "eval_seg", "--checkpoint", str(checkpoint), "--dataset", "voc", "--data-root", str(tree), succeeds=False
    )
    assert f"classes of {checkpoint} and {tree} differ: only in {checkpoint}: " in said


def test_prediction_keeps_names_and_folders(checkpoint, shapes, tmp_path, tool_here):
    from PIL import Image

    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    image = next((shapes / "JPEGImages").glob("val*"))
    shutil.copy(image, source / "deep" / "a.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.open(image).resize((80, 48)).save(source / "turned.jpg", exif=exif)
    said = tool_here(
        "predict", "--checkpoint", str(checkpoint), "--source", str(source), "--output", str(tmp_path / "out"), "--json"
    )
    assert "2 images" in said
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert written == {
        f"{name}{end}" for name in ("deep/a", "turned") for end in ("_overlay.png", "_mask.png", ".json")
    }
    assert Image.open(tmp_path / "out" / "turned_mask.png").size == (48, 80)
    assert Image.open(tmp_path / "out" / "turned_mask.png").mode == "P"


def test_prediction_goes_on_after_an_unreadable_image(checkpoint, shapes, tmp_path, tool_here):
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(next((shapes / "JPEGImages").glob("val*")), source / "good.jpg")
    (source / "bad.jpg").write_bytes(b"no image")
    options = ["--checkpoint", str(checkpoint), "--source", str(source), "--output", str(tmp_path / "out")]
    said = tool_here("predict", *options, succeeds=False)
    assert "bad.jpg: cannot be read" in said
    assert (tmp_path / "out" / "good_mask.png").exists()


def test_prediction_of_a_video(checkpoint, tmp_path, tool_here):
    import cv2

    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for frame in range(5):
        film.write(np.full((64, 96, 3), 40 * frame, dtype=np.uint8))
    film.release()
    options = [
        "--checkpoint",
        str(checkpoint),
        "--source",
        str(tmp_path / "film.avi"),
        "--output",
        str(tmp_path / "out"),
    ]
    tool_here("predict", *options, "--max-frames", "3")
    capture = cv2.VideoCapture(str(tmp_path / "out" / "film_overlay.mp4"))
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert frames == 3


@pytest.mark.parametrize("source", ["nothing_here.jpg", "webcam:97", "*.nothing"])
def test_sources_that_are_not_there(checkpoint, source, tmp_path, tool_here):
    options = ["--checkpoint", str(checkpoint), "--source", source, "--output", str(tmp_path)]
    assert source.replace(":", " ") in tool_here("predict", *options, succeeds=False)


def test_options_are_frozen(tool_here):
    import re

    found = []
    for name in (
        "train_seg",
        "eval_seg",
        "train_det",
        "eval_det",
        "train_cls",
        "eval_cls",
        "train_joint",
        "eval_joint",
        "predict",
        "export",
        "push_to_hub",
        "benchmark",
        "serve_demo",
        "cost",
        "check_data",
        "latency_table",
        "netadapt",
        "search",
    ):
        options = re.findall(r"^  (--[a-z][\w-]*)", tool_here(name, "--help"), flags=re.MULTILINE)
        found += [f"{name} {option}" for option in options]
    assert found == OPTIONS.read_text().split("\n")[:-1]


def test_without_a_network_download_is_one_line(tmp_path):
    options = ["--dataset", "voc", "--data-root", str(tmp_path / "VOC2012"), "--download"]
    said = tool(
        "train_seg", *options, succeeds=False, http_proxy="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9"
    )
    assert "could not fetch VOC2012" in said
    assert list(tmp_path.iterdir()) == []
