"""Teachers of boxes: with the student's anchors, and with others."""

from dataclasses import replace

import pytest
import torch

from datasets import AugmentDetection, DetectionAugmentation, DetectionDataset, default_colours
from datasets.detection.find import find_detection
from heads import DetectionLoss, box_distillation_loss
from tasks import DetectionSpec, DetectionTask, detection_table
from tasks.detection.distillation import load_box_teacher
from tasks.detection.options import DetectionOptions
from tasks.errors import TaskError
from tasks.wings import load_task
from tests.conftest import quick_detection

NAMES = ["cat", "dog"]


def make(names=NAMES, head="ssdlite", size=(64, 64), seed=0, **options):
    torch.manual_seed(seed)
    table = detection_table("v3-small", width=0.5)
    task = DetectionTask(DetectionSpec(table, head, names, default_colours(len(names)), size, **options))
    for module in task.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        task.network.train()(torch.randn(4, 3, *size))
    return task.eval()


def teacher_of(task, student, folder, **options):
    path = folder / "teacher.ckpt"
    torch.save({"state_dict": task.state_dict(), "mobiledense": task.describe()}, path)
    return load_box_teacher(DetectionOptions(teacher=str(path), **options), student.spec, student.anchors, load_task)


def photos(count=2, size=(64, 64)):
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)


def learn(student, teacher, images):
    outputs = student.network(student.normalise(images))
    return teacher.teach(*outputs, images, student.criterion, student.anchors), outputs


@pytest.mark.parametrize("sigmoid", [False, True])
def test_a_teacher_with_the_students_anchors_teaches_anchor_by_anchor(tmp_path, sigmoid):
    master = make(["dog", "cow", "cat"], seed=1, mean=(0.5, 0.4, 0.3), sigmoid=sigmoid)
    student, images = make(sigmoid=sigmoid), photos()
    teacher = teacher_of(master, student, tmp_path, temperature=2.0)
    assert teacher.same
    with torch.no_grad():
        logits, offsets = master.network(master.normalise(images))
    expected = logits[..., [0, 3, 1]], offsets
    if not sigmoid:  # cows are background to the student
        expected[0][..., 0] = logits[..., [0, 2]].logsumexp(-1)
        assert torch.allclose(expected[0].softmax(-1)[..., 1:], logits.softmax(-1)[..., [3, 1]], atol=1e-6)
    for found, right in zip(teacher.raw(images), expected, strict=True):
        assert torch.allclose(found, right, rtol=1e-3, atol=1e-3)
    losses, outputs = learn(student, teacher, images)
    again = box_distillation_loss(*outputs, *expected, 2.0, sigmoid)
    assert [loss.item() for loss in losses] == pytest.approx([loss.item() for loss in again], rel=1e-2)
    assert all(loss.abs() < 1e-3 for loss in box_distillation_loss(*expected, *expected, 2.0, sigmoid))


@pytest.mark.parametrize("other", [{"head": "ssdlite-torchvision"}, {"size": (96, 80)}, {"sigmoid": True}])
def test_any_other_teaches_what_it_detects(tmp_path, other):
    student, images = make(), photos()
    teacher = teacher_of(make(["dog", "cow", "cat"], seed=1, **other), student, tmp_path)
    assert not teacher.same
    found = torch.zeros_like(teacher.raw(images)[0])
    found[..., 0] = 20.0
    found[0, 7, 2] = 40.0  # one dog in the first image
    teacher.raw = lambda _: (found, torch.zeros(*found.shape[:2], 4))
    (classes, boxes), outputs = learn(student, teacher, images)
    cx, cy, w, h = teacher.anchors.boxes[7].tolist()
    box = torch.tensor([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]).clamp(0, 1).expand(2, 1, 4)
    labels = torch.tensor([[1], [-1]])
    expected = DetectionLoss()(*outputs, student.anchors, box, labels)
    assert (classes.item(), boxes.item()) == pytest.approx(tuple(loss.item() for loss in expected), rel=1e-4)


def test_gradients_reach_the_student_alone(tmp_path):
    student = make()
    teacher = teacher_of(make(seed=1), student, tmp_path)
    (classes, boxes), _ = learn(student, teacher, photos())
    (classes + boxes).backward()
    assert all(parameter.grad is None for parameter in teacher.network.parameters())
    assert all(parameter.grad is not None for parameter in student.network.parameters())


def test_what_cannot_teach_is_one_line(tmp_path, checkpoint):
    student = make()
    with pytest.raises(TaskError, match="lacks classes of the data: "):
        teacher_of(make(["cat", "horse"]), student, tmp_path)
    with pytest.raises(TaskError, match="is for segmentation, and teaches no boxes"):
        load_box_teacher(DetectionOptions(teacher=str(checkpoint)), student.spec, student.anchors, load_task)
    assert load_box_teacher(DetectionOptions(), student.spec, student.anchors, load_task) is None


def test_the_boxes_of_a_joint_network_teach(joint):
    task = load_task(joint, "cpu")
    student = DetectionTask(replace(task.spec.boxes, mean=(0.1, 0.2, 0.3)))
    teacher = load_box_teacher(DetectionOptions(teacher=str(joint)), student.spec, student.anchors, load_task)
    images = photos(size=task.spec.input_size)
    with torch.no_grad():
        expected = task.network(task.normalise(images))[1:]
    assert teacher.same
    for found, right in zip(teacher.raw(images), expected, strict=True):
        assert torch.allclose(found, right, rtol=1e-3, atol=1e-2)


def test_unlabelled_images_move_the_student_by_the_teacher_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(DetectionTask, "log_dict", lambda *_, **__: None)
    batch = {"image": photos(), "file": ["a", "b"], "tiny": [0, 0], "boxed": torch.zeros(2, dtype=torch.bool)}
    batch |= {"boxes": torch.zeros(2, 1, 4), "labels": torch.full((2, 1), -1)}
    student = make()
    assert student.training_step(batch, 0) == 0
    student.teacher = teacher_of(make(seed=1), student, tmp_path)
    assert student.training_step(batch, 0) > 0
    student.teacher, batch["boxes"], batch["labels"] = (
        None,
        torch.tensor([[[0.1, 0.1, 0.8, 0.9]]] * 2),
        torch.ones(2, 1).long(),
    )
    assert student.training_step(batch, 0) == 0
    assert student.training_step(batch | {"boxed": torch.tensor([True, False])}, 0) > 0


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_what_is_laid_beside_an_unlabelled_image_has_no_boxes_either(shapes, mosaic):
    files = find_detection("coco", "train", shapes)
    files = replace(files, unlabelled=[shapes / "JPEGImages" / "val_0000.jpg"] * 40)
    dataset = DetectionDataset(files, AugmentDetection(DetectionAugmentation(mosaic=mosaic), (64, 64)))
    samples = [dataset[0, index] for index in range(len(dataset))]
    assert len(samples) == len(files.image_paths) + 40
    assert not any(sample["boxed"] for sample in samples[-40:])
    assert sum(sample["boxed"] for sample in samples) == 0 if mosaic else len(files.image_paths)
    assert all(len(sample["boxes"]) == 0 for sample in samples if not sample["boxed"])
    batch = dataset.collate(samples)
    assert batch["boxed"].tolist() == [sample["boxed"] for sample in samples]


def test_training_with_a_teacher(tool_here, detector, shapes, tmp_path):
    options = ["--name", "taught", "--teacher", str(detector), "--unlabelled", str(shapes / "JPEGImages")]
    said = tool_here("train_det", *quick_detection(shapes, tmp_path), *options)
    assert "20 images, 5 classes" in said
    content = torch.load(tmp_path / "taught" / "best.ckpt", weights_only=False)
    assert not any("teacher" in key for key in content["state_dict"])
    with pytest.raises(TaskError, match="needs a teacher"):
        DetectionOptions(unlabelled=tmp_path)
