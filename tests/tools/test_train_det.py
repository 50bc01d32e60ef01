import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from datasets import find_detection
from tasks import DetectionTask
from tests.conftest import ROOT, quick_detection


def metrics(folder) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def scores(folder) -> dict:
    return json.loads((folder / "eval_val" / "scores.json").read_text())


def test_run_folder_holds_everything(detector):
    folder = detector.parent
    there = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    written = ("scores.json", "results.json", "precision_recall.png", "threshold.png", "samples.png")
    assert {"best.ckpt", "last.ckpt", "config.yaml", *(f"eval_val/{name}" for name in written)} <= there
    assert {"images/first_batch.png", "images/epoch_000.png", "images/epoch_001.png", "curves.png"} <= there
    assert any(name.startswith("events.out.tfevents") for name in there)
    assert {"val/ap", "val/ap50", "epoch", "step"} <= metrics(folder)[0].keys()


def test_the_best_checkpoint_is_evaluated_at_the_end(detector):
    evaluated = scores(detector.parent)
    validated = [float(row["val/ap"]) for row in metrics(detector.parent) if row["val/ap"]]
    assert len(validated) == 2
    assert evaluated["coco"]["AP"] == pytest.approx(max(validated), abs=1e-5)
    assert evaluated["coco"]["AR100"] > 0
    chosen = evaluated["score_threshold"]
    assert DetectionTask.load(detector).spec.score_threshold == (chosen and chosen["best"])
    assert evaluated["sha256"] == hashlib.sha256(detector.read_bytes()).hexdigest()
    assert (evaluated["images"], evaluated["split"], evaluated["checkpoint"]) == (4, "val", str(detector))


def test_config_written_by_a_run_repeats_it(detector, tmp_path, tool_here):
    said = tool_here("train_det", "--config", str(detector.parent / "config.yaml"), "--output", str(tmp_path))
    folder = tmp_path / "quick"
    assert "16 images, 5 classes" in said
    table = said[said.index("best val/ap") :]
    assert all(word in table for word in ("VOC07 AP", "disc", "cross", "mean", "COCO: AP "))
    assert f"image grid (input, truth, prediction): {folder / 'eval_val' / 'samples.png'}" in said.splitlines()[-1]
    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in (detector, folder / "best.ckpt"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    results = [(run / "eval_val" / "results.json").read_text() for run in (detector.parent, folder)]
    assert results[0] == results[1]


def test_existing_run_is_not_replaced_unasked(detector, shapes, tool_here):
    before = detector.stat().st_mtime
    options = [*quick_detection(shapes, detector.parent.parent), "--name", "quick"]
    said = tool_here("train_det", *options, succeeds=False)
    assert "holds a run" in said and "--resume" in said and "--overwrite" in said
    assert detector.stat().st_mtime == before


def test_resume_goes_on(detector, shapes, tmp_path, tool_here):
    shutil.copytree(detector.parent, tmp_path / "quick")
    last = torch.load(tmp_path / "quick" / "last.ckpt", weights_only=True)
    last["mobiledense"]["score_threshold"] = 0.42  # which training found, and no option says
    torch.save(last, tmp_path / "quick" / "last.ckpt")
    (tmp_path / "quick" / "images" / "first_batch.png").unlink()
    (tmp_path / "quick" / "curves.png").unlink()
    options = [*quick_detection(shapes, tmp_path), "--name", "quick", "--resume"]
    options[options.index("--epochs") + 1] = "3"
    tool_here("train_det", *options)
    assert not (tmp_path / "quick" / "images" / "first_batch.png").exists()  # its first batch was not the run's
    assert (tmp_path / "quick" / "curves.png").is_file()
    last = torch.load(tmp_path / "quick" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3 * 2


def test_another_network_in_place_of_a_run_from_its_weights(detector, shapes, tmp_path, tool_here):
    shutil.copytree(detector.parent, tmp_path / "quick")
    options = ["--name", "quick", "--overwrite", "--loss", "focal", "--head-options.small_objects", "true"]
    options += ["--minimalistic", "--max-images", "3", "--batch-size", "3", "--epochs", "1"]
    said = tool_here("train_det", *quick_detection(shapes, tmp_path), *options, "--weights", str(detector))
    assert "3 images, 5 classes" in said
    assert f"{detector}: took " in said and "classes kept: disc, square, triangle, star, cross; new: none" in said
    assert "learn from scratch" not in said
    task = DetectionTask.load(tmp_path / "quick" / "best.ckpt")
    assert task.spec.sigmoid and task.spec.head_options["small_objects"]
    assert not any(row.squeeze for row in task.spec.table.rows)
    assert torch.load(tmp_path / "quick" / "last.ckpt", weights_only=True)["global_step"] == 1
    assert not (tmp_path / "quick" / "images" / "epoch_001.png").exists()
    assert scores(tmp_path / "quick")["images"] == 3


def test_a_network_of_timms(shapes, tmp_path, tool_here):
    options = ["--backbone", "timm:ghostnet_050", "--epochs", "1", "--max-images", "8"]
    said = tool_here("train_det", *quick_detection(shapes, tmp_path), *options)
    folder = tmp_path / "coco_timm-ghostnet_050_ssdlite"
    assert "COCO: AP" in said and scores(folder)["images"] == 4
    assert DetectionTask.load(folder / "best.ckpt").spec.table.name == "timm:ghostnet_050"


def test_two_processes_evaluate_as_one_does(detector, shapes, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    options = [*quick_detection(shapes, tmp_path), "--name", "quick", "--trainer.devices", "2"]
    command = [*launcher, str(ROOT / "tools" / "train_det.py"), *options, "--trainer.accelerator", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("image grid") == 1
    assert "sync_dist" not in done.stderr
    validated = [float(row["val/ap"]) for row in metrics(tmp_path / "quick") if row["val/ap"]]
    evaluated = scores(tmp_path / "quick")
    assert len(validated) == 2 and evaluated["images"] == 4
    assert evaluated["coco"]["AP"] == pytest.approx(max(validated), abs=1e-5)
    assert evaluated["coco"]["AR100"] == pytest.approx(scores(detector.parent)["coco"]["AR100"], abs=0.05)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--bakcbone", "v3-large"], "did you mean --backbone?"),
        (["--backbone", "v3-larg"], 'did you mean "v3-large"?'),
        (["--backbone", "timm:ghostnet_50"], 'did you mean "timm:ghostnet_050"?'),
        (["--head", "ssdlit"], 'did you mean "ssdlite"?'),
        (["--head-options.small_object", "true"], 'did you mean "small_objects"?'),
        (["--head-options.first", "4"], "4 anchors in the first map: choose 3 or 6"),
        (["--dataset", "coc"], 'did you mean "coco"?'),
        (["--train-split", "trian"], "instances_trian.json: no such split; there are test, train, val"),
        (["--loss", "focl"], 'there is no detection loss "focl"; did you mean "focal"'),
        (["--trainer.max_epoch", "3"], 'did you mean "max_epochs"?'),
        (["--weights", "none.pth"], "none.pth: no such weights file"),
        (["--weights", "coco"], "COCO weights for v3-large, not for mobilenet_v3_small"),
    ],
)
def test_a_users_mistake_is_one_line(tool_here, shapes, tmp_path, options, said):
    text = tool_here("train_det", *quick_detection(shapes, tmp_path / "runs"), *options, succeeds=False)
    assert said in text
    assert len([line for line in text.splitlines() if "train_det.py:" in line]) == 1
    assert not (tmp_path / "runs").exists()


def test_few_images_from_scratch_say_what_to_expect(tool_here, shapes, detector, tmp_path, monkeypatch):
    stop = ["--trainer.precision", "7"]  # a mistake that is found last
    options = [*quick_detection(shapes, tmp_path), *stop]
    said = tool_here("train_det", *options, succeeds=False)
    assert "16 images are few to learn from scratch" in said
    assert "--weights imagenet" in said and "--weights coco" in said
    assert "from scratch" not in tool_here("train_det", *options, "--weights", str(detector), succeeds=False)
    monkeypatch.setattr("datasets.shapes.SPLITS", {"train": 16, "val": 4, "test": 4})
    assert "from scratch" not in tool_here("train_det", *options, "--dataset", "shapes", succeeds=False)


def write_voc(shapes, root) -> None:
    """The Shapes set with its boxes as VOC's XML."""
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    shutil.copytree(shapes / "JPEGImages", root / "JPEGImages")
    for split in ("train", "val"):
        files = find_detection("coco", split, shapes)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(path.stem for path in files.image_paths))
        for path, objects in zip(files.image_paths, files.objects, strict=True):
            text = "".join(
                thing(files.names[label], x1 + 1, y1 + 1, x2, y2)
                for label, (x1, y1, x2, y2) in zip(objects.labels, objects.boxes.tolist(), strict=True)
            )
            (root / "Annotations" / f"{path.stem}.xml").write_text(f"<annotation>{text}</annotation>")
        (root / "labels.txt").write_text("\n".join(files.names))


def thing(name: str, *corners: float) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def voc_run(tree, output) -> list[str]:
    options = quick_detection(tree, output)
    options[options.index("--dataset") + 1] = "voc"
    return options


def test_broken_data_is_reported_together_before_the_first_step(tool_here, shapes, tmp_path):
    tree = tmp_path / "tree"
    write_voc(shapes, tree)
    (tree / "Annotations" / "train_0003.xml").write_text("<annotation><object>")
    (tree / "Annotations" / "train_0005.xml").write_text(f"<annotation>{thing('dics', 1, 2, 30, 40)}</annotation>")
    image = tree / "JPEGImages" / "val_0001.jpg"
    image.write_bytes(image.read_bytes()[:-500])
    said = tool_here("train_det", *voc_run(tree, tmp_path / "runs"), succeeds=False)
    assert "train_0003.xml: is not well-formed XML" in said
    assert "classes that are not listed: dics (1 box)" in said
    assert "val_0001.jpg: " in said
    assert not (tmp_path / "runs").exists()


def test_boxes_without_area_are_named_before_the_first_step(tool_here, shapes, tmp_path):
    tree = tmp_path / "tree"
    write_voc(shapes, tree)
    path = tree / "Annotations" / "train_0003.xml"
    path.write_text(path.read_text().replace("</annotation>", f"{thing('disc', 7, 9, 7, 9)}</annotation>"))
    options = [*voc_run(tree, tmp_path / "runs"), "--trainer.precision", "7"]
    said = tool_here("train_det", *options, succeeds=False)
    assert "1 box without area dropped: train_0003.xml (disc 7,9,7,9)" in said
    assert not (tmp_path / "runs").exists()


def test_splits_with_other_classes(tool_here, shapes, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(shapes, tree)
    path = tree / "annotations" / "instances_val.json"
    path.write_text(path.read_text().replace('"star"', '"comet"'))
    (tree / "labels.txt").unlink()
    said = tool_here("train_det", *quick_detection(tree, tmp_path / "runs"), succeeds=False)
    assert "classes of train and val differ: only in train: star; only in val: comet" in said


def test_an_id_of_two_categories_is_told_before_the_classes_are_compared(tool_here, shapes, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(shapes, tree)
    path = tree / "annotations" / "instances_val.json"
    path.write_text(path.read_text().replace('"categories": [', '"categories": [{"id": 1, "name": "ball"}, '))
    said = tool_here("train_det", *quick_detection(tree, tmp_path / "runs"), succeeds=False)
    assert f"{path}: 1 category id given more than once: 1" in said and "differ" not in said and "['" not in said
