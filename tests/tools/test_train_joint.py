"""Training, evaluating and predicting masks and boxes from one network, by the tools."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from tasks import load_task
from tests.conftest import quick_detection


def scores(folder, split="val"):
    return json.loads((folder / f"eval_{split}" / "scores.json").read_text())


def test_run_folder_holds_everything(joint):
    folder = joint.parent
    assert {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv"} <= {path.name for path in folder.iterdir()}
    found = scores(folder)
    assert found["images"] == 4 and found["mean"] == pytest.approx((found["miou"] + found["coco"]["AP"]) / 2)
    assert "val/mean" in (folder / "metrics.csv").read_text().split("\n")[0]
    for part, name in (("masks", "worst.png"), ("boxes", "precision_recall.png")):
        assert (folder / "eval_val" / part / name).is_file()
    task = load_task(joint, "cpu")
    assert task.kind == "joint" and task.spec.names[1:] == task.spec.box_names


def test_resume_goes_on(joint, shapes, tmp_path, tool_here):
    shutil.copytree(joint.parent, tmp_path / "quick")
    options = [*quick_detection(shapes, tmp_path), "--name", "quick", "--resume"]
    options[options.index("--epochs") + 1] = "3"
    tool_here("train_joint", *options)
    assert torch.load(tmp_path / "quick" / "last.ckpt", weights_only=True)["global_step"] == 3 * 2


def test_boxes_of_another_data_set_and_weights_of_one_task(detector, shapes, tmp_path, tool_here):
    data = ["--dataset", "voc", "--data-root", str(shapes), "--box-dataset", "coco", "--box-data-root", str(shapes)]
    how = ["--size", "64", "64", "--epochs", "1", "--batch-size", "8", "--workers", "0", "--output", str(tmp_path)]
    said = tool_here("train_joint", *data, *how, "--weights", str(detector), "--weighting", "learned", "--name", "two")
    assert "classes kept: disc, square, triangle, star, cross" in said
    assert "of the joint network: " in said and "% of the parameters" in said
    assert load_task(tmp_path / "two" / "best.ckpt", "cpu").spec.learned


def test_without_boxes_there_is_one_line(shapes, tmp_path, tool_here):
    data = ["--dataset", "voc", "--data-root", str(shapes), "--output", str(tmp_path)]
    said = tool_here("train_joint", *data, succeeds=False)
    assert "has masks and no boxes; name a data set that has them with --box-dataset" in said
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_of_one_task_are_refused(checkpoint, joint, shapes, tmp_path, tool_here):
    data = ["--data-root", str(shapes), "--output", str(tmp_path / "out")]
    said = tool_here("eval_joint", "--dataset", "coco", *data, "--checkpoint", str(checkpoint), succeeds=False)
    assert "is for segmentation, not for joint" in said
    said = tool_here("eval_seg", "--dataset", "voc", *data, "--checkpoint", str(joint), succeeds=False)
    assert "is for joint, not for segmentation" in said


def test_evaluation_and_prediction(joint, shapes, tmp_path, tool_here):
    options = ["--dataset", "coco", "--data-root", str(shapes), "--checkpoint", str(joint), "--workers", "0"]
    said = tool_here("eval_joint", *options, "--split", "test", "--output", str(tmp_path / "eval_test"), "--instances")
    assert "the class mask cut by each box (COCO segm): AP " in said
    assert scores(tmp_path, "test")["coco_segm"].keys() == scores(tmp_path, "test")["coco"].keys()
    assert "mIoU" in said and "COCO: AP" in said and "mean of mIoU and AP" in said
    assert scores(tmp_path, "test")["split"] == "test"
    image = next((shapes / "JPEGImages").glob("val*"))
    shown = ["--checkpoint", str(joint), "--source", str(image), "--output", str(tmp_path), "--json"]
    shown += ["--instances", "true"]
    tool_here("predict", *shown, "--score-threshold", "0.01")
    found = json.loads((tmp_path / f"{image.stem}.json").read_text())
    assert {"classes", "objects", "height", "width"} <= found.keys() and found["objects"]
    mask = cv2.imread(str(tmp_path / f"{image.stem}_mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape[:2] == (found["height"], found["width"])
    instances = cv2.imread(str(tmp_path / f"{image.stem}_instances.png"), cv2.IMREAD_UNCHANGED)
    assert instances.dtype == np.uint16 and instances.shape == mask.shape[:2]
    assert instances.max() <= len(found["objects"])
    assert (tmp_path / f"{image.stem}_joint.png").is_file()


def test_instances_need_the_masks_of_objects(joint, shapes, tmp_path, tool_here):
    options = ["--dataset", "voc", "--data-root", str(shapes), "--checkpoint", str(joint), "--instances"]
    said = tool_here("eval_joint", *options, succeeds=False)
    assert "--instances: no masks of single objects are read from voc; they are from coco and shapes" in said


def test_instances_are_for_joint_networks(checkpoint, shapes, tmp_path, tool_here):
    image = str(next((shapes / "JPEGImages").glob("val*")))
    options = ["--checkpoint", str(checkpoint), "--source", image, "--output", str(tmp_path), "--instances", "true"]
    assert "--instances is for images that a joint network sees" in tool_here("predict", *options, succeeds=False)


def test_two_teachers(tool_here, checkpoint, detector, shapes, tmp_path):
    options, found = [*quick_detection(shapes, tmp_path), "--epochs", "1"], {}
    teachers = ["--teacher-seg", str(checkpoint), "--teacher-det", str(detector), "--distillation", "pixel"]
    for name, more in (("taught", teachers), ("alone", [])):
        tool_here("train_joint", *options, "--name", name, *more)
        found[name] = torch.load(tmp_path / name / "last.ckpt", weights_only=False)["state_dict"]
    assert found["taught"].keys() == found["alone"].keys()
    for part in ("network.head.masks.", "network.head.boxes."):
        assert any(not torch.equal(found["taught"][key], found["alone"][key]) for key in found["alone"] if part in key)
    more = [*options, "--unlabelled", str(shapes / "JPEGImages")]
    said = tool_here("train_joint", *more, *teachers, "--name", "more")
    assert "20 images, 6 classes" in said
    assert "needs a teacher" in tool_here("train_joint", *more, "--name", "alone", succeeds=False)
    said = tool_here("train_joint", *options, "--name", "wrong", "--teacher-seg", str(detector), succeeds=False)
    assert said.endswith("is for detection, and teaches no masks")
