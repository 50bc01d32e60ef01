import csv
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from datasets import read_image
from tasks import ClassificationTask
from tests.conftest import quick_classification, quick_detection, quick_run
from tests.datasets.classification.test_cifar import tree as cifar_tree
from tests.datasets.classification.test_cifar import write

NAMES = ["cross", "disc", "square", "star", "triangle"]  # as folders are sorted


@pytest.fixture(scope="module")
def tree(classifier):
    return classifier.parents[1] / "tree"


def test_run_folder_holds_everything(classifier):
    folder = classifier.parent
    there = {path.name for path in folder.iterdir()}
    assert {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv", "images", "eval_val"} <= there
    assert len(list((folder / "images").glob("epoch_*.png"))) == 2
    with (folder / "metrics.csv").open() as file:
        assert {"train/loss", "train/top1", "val/top1", "val/top5", "val/loss"} <= set(next(csv.reader(file)))
    scores = json.loads((folder / "eval_val" / "scores.json").read_text())
    assert scores["split"] == "val" and list(scores["accuracy"]) == NAMES


def test_a_checkpoint_alone_predicts(classifier, tree, tmp_path):
    shutil.copy(classifier, tmp_path / "moved.ckpt")
    task = ClassificationTask.load(tmp_path / "moved.ckpt")
    assert task.spec.names == NAMES and task.spec.input_size == (32, 32) and task.spec.table.small_images
    assert task.predict([read_image(next((tree / "val" / "disc").iterdir()))]).shape == (1, 5)


def test_resume_and_the_runs_own_config_repeat_it(tool_here, classifier, tree, tmp_path):
    options = [*quick_classification(tree, tmp_path), "--name", "quick", "--epochs", "3"]
    shutil.copytree(classifier.parent, tmp_path / "quick")
    tool_here("train_cls", *options, "--resume")
    steps = torch.load(classifier.parent / "last.ckpt", weights_only=True)["global_step"]
    assert torch.load(tmp_path / "quick" / "last.ckpt", weights_only=True)["global_step"] == steps // 2 * 3
    tool_here("train_cls", "--config", str(classifier.parent / "config.yaml"), "--output", str(tmp_path / "again"))
    first, second = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (classifier.parent / "last.ckpt", tmp_path / "again" / "quick" / "last.ckpt")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_every_option_of_training_together(classifier, tool_here, tmp_path):
    root = write(tmp_path / "data", cifar_tree())
    data = ["--dataset", "cifar10", "--data-root", str(root), "--train-split", "trainval", "--val-split", "test"]
    student = ["--backbone", "v2", "--width", "0.35", "--weights", str(tmp_path / "first" / "cifar10_v2" / "best.ckpt")]
    learning = ["--randaugment", "2", "--magnitude", "5", "--mixup", "0.2", "--cutmix", "1", "--erasing", "0.3"]
    learning += ["--label-smoothing", "0.1", "--dropout", "0", "--shift", "1", "--flip", "0.1", "--compile", "false"]
    run = ["--epochs", "1", "--batch-size", "8", "--trainer.enable_progress_bar", "false", "--output"]
    tool_here("train_cls", *data, *student[:4], *run, str(tmp_path / "first"))
    taught = ["--teacher", str(tmp_path / "first" / "cifar10_v2" / "best.ckpt"), "--temperature", "2"]
    said = tool_here("train_cls", *data, *student, *learning, *taught, *run, str(tmp_path / "second"))
    assert "classifier: took 2 tensors; classes kept: " in said and "top-1" in said
    loaded = ClassificationTask.load(tmp_path / "second" / "cifar10_v2" / "last.ckpt")
    assert loaded.spec.names == ["cat", "dog"] and loaded.spec.input_size == (5, 6) and loaded.teacher is None


@pytest.mark.parametrize(
    "options, said",
    [
        (["--backbone", "v3-larg"], 'did you mean "v3-large"?'),
        (["--dataset", "cifar"], 'did you mean "cifar10"?'),
        (["--label-smothing", "0.1"], "did you mean --label-smoothing?"),
        (["--val-split", "test"], "no such split; there are train, val"),
        (["--weights", "none.pth"], "none.pth: no such weights file"),
        (["--teacher", "none.ckpt"], "none.ckpt: no such checkpoint"),
        (
            ["--teacher", "timm:resnet10", "--teacher-weights", "imagenet"],
            'timm has no network "resnet10"; did you mean',
        ),
        (["--flip", "1.5"], "--flip 1.5 is not in 0 to 1"),
        (["--batch-size", "999"], "lower --batch-size from 999"),
        (
            ["--dataset", "mnist", "--size", "28", "28"],
            "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz",
        ),
    ],
)
def test_a_users_mistake_is_one_line(tool_here, tree, tmp_path, options, said):
    text = tool_here("train_cls", *quick_classification(tree, tmp_path), *options, succeeds=False)
    assert said in text and len([line for line in text.splitlines() if "train_cls.py:" in line]) == 1
    assert list(tmp_path.iterdir()) == []


def test_small_images_come_as_they_are(tool_here, tmp_path):
    root = write(tmp_path / "data", cifar_tree())
    options = ["--dataset", "cifar10", "--data-root", str(root), "--size", "32", "32"]
    said = tool_here("train_cls", *options, succeeds=False)
    assert "--size is for --dataset folder; images of cifar10 are 6x5" in said


def test_all_faults_are_told_before_anything_is_written(tool_here, tree, tmp_path):
    shutil.copytree(tree, tmp_path / "tree")
    bad = [next((tmp_path / "tree" / split / "disc").iterdir()) for split in ("train", "val")]
    for path in bad:
        path.write_bytes(b"no image")
    shutil.rmtree(tmp_path / "tree" / "val" / "star")
    said = tool_here("train_cls", *quick_classification(tmp_path / "tree", tmp_path / "runs"), succeeds=False)
    assert all(f"{path}: cannot be read (not an image)" in said for path in bad)
    assert "the classes of train and val differ: only in train: star" in said
    assert not (tmp_path / "runs").exists()


def test_a_teacher_with_other_classes_is_one_line(tool_here, classifier, tree, tmp_path):
    shutil.copytree(tree, tmp_path / "tree")
    for split in ("train", "val"):
        (tmp_path / "tree" / split / "star").rename(tmp_path / "tree" / split / "comet")
    options = [*quick_classification(tmp_path / "tree", tmp_path / "runs"), "--teacher", str(classifier)]
    said = tool_here("train_cls", *options, succeeds=False)
    assert said.endswith("5 for the data's 5: only in the teacher: star; only in the data: comet")


@pytest.mark.parametrize(("dataset", "name"), [("cifar10", "CIFAR-10"), ("mnist", "MNIST")])
def test_without_a_network_download_is_one_line(tool_here, monkeypatch, tmp_path, dataset, name):
    monkeypatch.setattr("urllib.request._opener", None)  # which keeps the proxies of its first use
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    options = ["--dataset", dataset, "--data-root", str(tmp_path / dataset), "--download"]
    assert f"could not fetch {name}" in tool_here("train_cls", *options, succeeds=False)
    assert list(tmp_path.iterdir()) == []


# evaluating


def test_evaluation_repeats_what_training_said(tool_here, classifier, tree, tmp_path):
    options = ["--checkpoint", str(classifier), "--dataset", "folder", "--data-root", str(tree), "--workers", "0"]
    said = tool_here("eval_cls", *options, "--output", str(tmp_path), "--drawn", "3")
    again, first = (
        json.loads((folder / "scores.json").read_text()) for folder in (tmp_path, classifier.parent / "eval_val")
    )
    assert again["accuracy"] == first["accuracy"] and again["top1"] == first["top1"] and len(again["worst"]) <= 3
    assert "top-1" in said and "triangle" in said


def test_classes_that_differ_from_the_checkpoints(tool_here, classifier, tmp_path):
    root = write(tmp_path / "data", cifar_tree())
    options = ["--checkpoint", str(classifier), "--dataset", "cifar10", "--data-root", str(root), "--split", "test"]
    said = tool_here("eval_cls", *options, "--output", str(tmp_path / "out"), succeeds=False)
    assert f"only in {classifier}: cross, disc" in said and f"only in {root}: cat, dog" in said
    assert not (tmp_path / "out").exists()


def test_a_segmentation_checkpoint_is_no_classifier(tool_here, checkpoint, tree):
    options = ["--checkpoint", str(checkpoint), "--dataset", "folder", "--data-root", str(tree)]
    assert "for segmentation, not for classification" in tool_here("eval_cls", *options, succeeds=False)


# predicting


def test_prediction_writes_a_table_and_a_sheet(tool_here, classifier, tree, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for number, path in enumerate(sorted((tree / "val").rglob("*.png"))[:5]):
        Image.open(path).resize((40 + number, 64)).save(source / f"{number}.jpg")
    (source / "bad.jpg").write_bytes(b"no image")
    options = ["--checkpoint", str(classifier), "--source", str(source), "--output", str(tmp_path / "out"), "--json"]
    said = tool_here("predict", *options, succeeds=False)
    assert "bad.jpg: cannot be read" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "predictions.csv",
        "predictions.json",
        "contact.png",
    }
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    task = ClassificationTask.load(classifier)
    expected = task.predict([read_image(source / f"{number}.jpg") for number in range(5)])
    assert [row["file"] for row in rows] == [str(source / f"{number}.jpg") for number in range(5)]
    assert [row["class1"] for row in rows] == [NAMES[label] for label in expected.argmax(1)]
    assert np.allclose([float(row["probability1"]) for row in rows], expected.max(1), atol=1e-4)
    content = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [set(entry["classes"]) for entry in content] == [set(NAMES)] * 5
    assert sum(content[0]["classes"].values()) == pytest.approx(1, abs=1e-4)


def test_prediction_of_a_video(tool_here, classifier, tmp_path):
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for frame in range(3):
        film.write(np.full((64, 96, 3), 80 * frame, dtype=np.uint8))
    film.release()
    options = ["--source", str(tmp_path / "film.avi"), "--output", str(tmp_path / "out"), "--max-frames", "2"]
    tool_here("predict", "--checkpoint", str(classifier), *options)
    capture = cv2.VideoCapture(str(tmp_path / "out" / "film_class.mp4"))
    assert [capture.read()[0] for _ in range(3)] == [True, True, False]


# the weights elsewhere


@pytest.mark.parametrize("name", ["train_seg", "train_det"])
def test_dense_training_starts_from_a_classifier(tool_here, classifier, shapes, tmp_path, name):
    quick = quick_run if name == "train_seg" else quick_detection
    options = [*quick(shapes, tmp_path), "--weights", str(classifier), "--epochs", "1"]
    whole = ["--rf2", "false"] if name == "train_seg" else ["--reduced-tail", "false"]
    said = tool_here(name, *options, *whole)
    assert "took 240 of 240 tensors" in said and "not used: network.head." in said


@pytest.mark.parametrize("name", ["train_cls", "train_seg", "train_det"])
def test_training_feeds_what_the_start_weights_were_trained_on(tool_here, classifier, tree, shapes, tmp_path, name):
    content = torch.load(classifier, weights_only=True)
    half = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    content["mobiledense"] |= half
    torch.save(content, tmp_path / "half.ckpt")
    quick = {"train_cls": quick_classification, "train_seg": quick_run, "train_det": quick_detection}[name]
    data = tree if name == "train_cls" else shapes
    tool_here(name, *quick(data, tmp_path / "runs"), "--weights", str(tmp_path / "half.ckpt"), "--epochs", "1")
    (run,) = (tmp_path / "runs").iterdir()
    description = torch.load(run / "last.ckpt", weights_only=True)["mobiledense"]
    assert {key: list(description[key]) for key in half} == half


def test_a_teacher_does_not_join_a_run_that_began_without(classifier, shapes, tmp_path, tool_here):
    run = tmp_path / "quick"
    shutil.copytree(classifier.parent, run)
    options = [*quick_classification(classifier.parents[1] / "tree", tmp_path), "--name", "quick", "--resume"]
    options[options.index("--epochs") + 1] = "3"
    said = tool_here("train_cls", *options, "--teacher", str(classifier), succeeds=False)
    assert f"--teacher {classifier} (was None)" in said


def test_a_teacher_may_move_but_not_change_while_a_run_is_broken_off(classifier, tmp_path, tool_here):
    teacher, options = tmp_path / "teacher.ckpt", quick_classification(classifier.parents[1] / "tree", tmp_path)
    shutil.copy(classifier, teacher)
    tool_here("train_cls", *options, "--name", "taught", "--epochs", "1", "--teacher", str(teacher))
    moved = teacher.rename(tmp_path / "moved.ckpt")
    going_on = [*options, "--name", "taught", "--resume", "--teacher", str(moved)]
    assert f"--teacher {moved} (was {teacher})" in tool_here("train_cls", *going_on, "--epochs", "2")
    content = torch.load(moved, weights_only=True)
    content["state_dict"]["network.head.classify.bias"] += 0.01
    torch.save(content, moved)
    assert "the teacher has other weights than when the run began" in tool_here(
        "train_cls", *going_on, "--epochs", "3", succeeds=False
    )
