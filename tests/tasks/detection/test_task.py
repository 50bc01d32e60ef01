import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from datasets import DetectionDataset, Resize, default_colours, find_detection, limit_detection, read_image
from tasks import (
    CheckpointError,
    DetectionSpec,
    DetectionTask,
    NonFiniteLoss,
    SegmentationTask,
    detection_table,
    load_task,
)
from tasks.detection.detections import read_results
from tasks.detection.metrics import coco_scores
from tasks.detection.thresholds import best_threshold
from tasks.loaders import Loaders
from tasks.run import build_trainer

NAMES = ["disc", "square", "triangle", "star", "cross"]


def spec(**options) -> DetectionSpec:
    return replace(
        DetectionSpec(detection_table("v3-small"), "ssdlite", NAMES, default_colours(6)[1:], (96, 96)), **options
    )


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def lively() -> DetectionTask:
    """Untrained, but with batch norms that have seen something, so that scores and boxes differ."""
    torch.manual_seed(0)
    task = DetectionTask(spec())
    for module in task.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        task.network(torch.randn(8, 3, 96, 96))
    return task.eval()


def same(one, other, tolerance: float = 0.0) -> bool:
    return all(
        getattr(one, name).shape == getattr(other, name).shape
        and np.allclose(getattr(one, name), getattr(other, name), rtol=0, atol=tolerance)
        for name in ("boxes", "scores", "labels")
    )


@pytest.mark.parametrize("size", [(37, 61), (96, 96), (20, 130)])
def test_detections_are_sound(lively, size):
    found = lively.predict([photo(*size)])[0]
    assert len(found.boxes) == len(found.scores) == len(found.labels) > 20
    assert found.boxes.dtype == found.scores.dtype == np.float32 and found.labels.dtype == np.int64
    assert (found.boxes >= 0).all() and (found.boxes <= np.array([size[1], size[0]] * 2)).all()
    assert (found.boxes[:, 2:] >= found.boxes[:, :2]).all()
    assert (np.diff(found.scores) <= 0).all() and found.scores[-1] > 0.001 and found.scores[0] <= 1
    assert set(found.labels) <= set(range(5)) and len(set(found.labels)) > 1


def test_boxes_are_in_the_images_own_pixels(lively):
    image = photo(96, 96)
    enlarged = image.repeat(2, axis=0).repeat(3, axis=1)  # the network sees the same
    small, large = lively.predict([image])[0], lively.predict([enlarged])[0]
    assert np.array_equal(small.scores, large.scores) and np.array_equal(small.labels, large.labels)
    assert np.allclose(small.boxes * [3, 2, 3, 2], large.boxes, atol=1e-4)


def test_images_of_several_sizes_together_or_one_by_one(lively):
    images = [photo(70, 90), photo(128, 50, 1), photo(96, 96, 2)]
    together = lively.predict(images)
    assert all(same(found, lively.predict([image])[0], 1e-3) for image, found in zip(images, together, strict=True))
    assert not same(together[0], together[1], 1e-3)


def test_threshold_and_overlap_leave_fewer_boxes(lively):
    image = photo(96, 96)
    everything = lively.predict([image])[0]
    limit = float(everything.scores[10:12].mean())
    sure = lively.predict([image], score_threshold=limit)[0]
    assert len(sure.scores) == (everything.scores > limit).sum() < len(everything.scores)
    assert np.array_equal(sure.boxes, everything.boxes[: len(sure.boxes)])
    assert len(lively.predict([image], score_threshold=limit, iou_threshold=0.2)[0].boxes) < len(sure.boxes)


def test_spec_round_trip_is_plain_data():
    original = spec(head_options={"small_objects": True}, sigmoid=True, mean=(0.5, 0.5, 0.5), input_size=(96, 64))
    again = DetectionSpec.from_dict(json.loads(json.dumps(original.to_dict())))
    assert again.table == original.table and again.sigmoid and again.head_options == {"small_objects": True}
    one, other = DetectionTask(original), DetectionTask(again)
    assert torch.equal(one.anchors.boxes, other.anchors.boxes) and torch.equal(one.mean, other.mean)
    assert one.state_dict().keys() == other.state_dict().keys()


def test_batch_norm_moves_as_in_torchvisions_ssdlite():
    norms = [module for module in DetectionTask(spec()).modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}


def test_a_saved_task_predicts_the_same(lively, tmp_path):
    content = {"state_dict": lively.state_dict()}
    lively.on_save_checkpoint(content)
    torch.save(content, tmp_path / "task.ckpt")
    image = photo(70, 90)
    assert same(DetectionTask.load(tmp_path / "task.ckpt").predict([image])[0], lively.predict([image])[0])


def test_a_checkpoint_alone_predicts_what_its_run_found(detector, shapes, tmp_path):
    moved = tmp_path / "moved.ckpt"
    shutil.copy(detector, moved)
    task, files = load_task(moved), find_detection("coco", "val", shapes)
    assert isinstance(task, DetectionTask) and task.spec.names == NAMES and task.spec.input_size == (64, 64)
    written = read_results(detector.parent / "eval_val" / "results.json", files)
    found = task.predict([read_image(path) for path in files.image_paths])
    assert sum(len(one.boxes) for one in found) > 100
    assert all(same(one, other, 1e-2) for one, other in zip(found, written, strict=True))


def test_checkpoints_of_the_other_task_and_garbage_are_named(checkpoint, detector, tmp_path):
    assert isinstance(load_task(checkpoint), SegmentationTask)
    with pytest.raises(CheckpointError, match="for segmentation, not for detection"):
        DetectionTask.load(checkpoint)
    with pytest.raises(CheckpointError, match="for detection, not for segmentation"):
        SegmentationTask.load(detector)
    (tmp_path / "text.ckpt").write_text("text" * 100)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "plain.pth")
    for name, said in (("text.ckpt", "not a readable"), ("plain.pth", "not written by this"), ("no.ckpt", "no such")):
        with pytest.raises(CheckpointError, match=f"{name}: {said}"):
            load_task(tmp_path / name)


def shapes_batch(shapes, count: int = 4):
    files = limit_detection(find_detection("coco", "train", shapes), count)
    dataset = DetectionDataset(files, Resize((96, 96)))
    return files, DetectionDataset.collate([dataset[index] for index in range(count)])


def learn(task: DetectionTask, batch: dict, steps: int) -> list[float]:
    """The losses of some steps on one batch, whose statistics the batch norms take over."""
    losses = []
    for module in task.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.2
    optimizer = torch.optim.AdamW(task.parameters(), 2e-3)
    for _ in range(steps):
        loss = task.train().training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    task.eval()
    return losses


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("sigmoid", [False, True], ids=["cross_entropy", "focal"])
def test_steps_lower_the_loss(shapes, sigmoid):
    task = DetectionTask(spec(sigmoid=sigmoid))
    assert task.criterion.name == ("focal" if sigmoid else "cross_entropy")
    losses = learn(task, shapes_batch(shapes)[1], 8)
    assert np.mean(losses[-2:]) < 0.8 * losses[0]


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("size", [(416, 416), (512, 512), (320, 512), (301, 533)])
def test_a_network_of_any_size_learns_and_predicts(shapes, size):
    task = DetectionTask(spec(table=detection_table("v3-small", width=0.25), input_size=size))
    dataset = DetectionDataset(limit_detection(find_detection("coco", "train", shapes), 2), Resize(size))
    batch = DetectionDataset.collate([dataset[0], dataset[1]])
    losses = learn(task, batch, 4)
    assert losses[-1] < losses[0]
    (found,) = task.predict([photo(70, 110)])
    assert (found.boxes >= 0).all() and (found.boxes <= [110, 70, 110, 70]).all() and len(found.boxes) > 20


@pytest.fixture(scope="module")
def learnt(shapes) -> DetectionTask:
    """A task that has seen the first four training images eighty times."""
    torch.manual_seed(0)
    task = DetectionTask(spec())
    learn(task, shapes_batch(shapes)[1], 80)
    return task


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_images_learnt_by_heart_are_found_again(learnt, lively, shapes):
    files = shapes_batch(shapes)[0]
    images = [read_image(path) for path in files.image_paths]
    before, after = (coco_scores(files, task.predict(images)).stats[1] for task in (lively, learnt))
    assert before < 0.1 and after > 0.8


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("batches, count", [(1.0, 16), (1, 8)])
def test_validation_evaluates_the_images_it_is_given(learnt, shapes, tmp_path, batches, count):
    files = find_detection("coco", "train", shapes)
    options = {"accelerator": "cpu", "enable_progress_bar": False, "limit_val_batches": batches}
    dataset = DetectionDataset(files, Resize((96, 96)))
    loaders = Loaders(dataset, dataset, batch_size=8, workers=0, seed=0)
    found = build_trainer(tmp_path, "val/ap", 1, options=options).validate(learnt, datamodule=loaders, verbose=False)[0]
    images = [read_image(path) for path in files.image_paths[:count]]
    seen, boxes = limit_detection(files, count), learnt.predict(images)
    expected = coco_scores(seen, boxes).stats[:2]
    assert learnt.spec.score_threshold == best_threshold(seen, boxes) is not None
    kept = DetectionTask(spec(score_threshold=0.99))
    kept.keeps_threshold = True  # as validation is on images that were trained on, see deploy.qat
    build_trainer(tmp_path, "val/ap", 1, options=options).validate(kept, datamodule=loaders, verbose=False)
    assert kept.spec.score_threshold == 0.99
    assert [found["val/ap"], found["val/ap50"]] == pytest.approx(expected.tolist(), abs=1e-4)
    assert expected[0] > 0.05 and learnt.found == {}


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_box_weight_scales_the_box_loss(shapes):
    batch = shapes_batch(shapes)[1]
    tasks = [DetectionTask(spec(), box_weight=weight).eval() for weight in (0.0, 1.0, 3.0)]
    for task in tasks:
        task.load_state_dict(tasks[0].state_dict())
    none, once, thrice = (task.training_step(batch, 0).item() for task in tasks)
    assert once - none > 0.1
    assert thrice - none == pytest.approx(3 * (once - none), rel=1e-4)


class FakeTrainer:
    global_step = 7
    barebones = False


@pytest.mark.parametrize("part", ["class_branches", "box_branches"])
def test_non_finite_loss_names_the_files(shapes, part):
    task, (files, batch) = DetectionTask(spec()), shapes_batch(shapes)
    task.trainer = FakeTrainer()
    with torch.no_grad():
        getattr(task.network.head, part)[0][1].bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match=r"nan at step 7") as raised:
        task.training_step(batch, 0)
    assert all(str(path) in str(raised.value) for path in files.image_paths)
