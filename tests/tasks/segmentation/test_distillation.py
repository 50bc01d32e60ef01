"""Teachers of masks: our checkpoints, and networks of segmentation-models-pytorch."""

import pytest
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional as F

from datasets import default_colours
from tasks import SegmentationSpec, SegmentationTask, segmentation_table
from tasks.errors import TaskError
from tasks.segmentation.distillation import load_mask_teacher
from tasks.segmentation.options import SegmentationOptions
from tasks.wings import load_task
from tests.conftest import quick_run

NAMES = ["background", "cat", "dog"]


def student(names=NAMES, teacher=None):
    table = segmentation_table("v3-small", "lraspp", width=0.5)
    return SegmentationTask(
        SegmentationSpec(table, "lraspp", names, default_colours(len(names)), (64, 64)), teacher=teacher
    )


def teacher_of(path, names=NAMES, size=(64, 64), **options):
    return load_mask_teacher(SegmentationOptions(teacher=str(path), **options), names, size, load_task)


@pytest.fixture
def ours(tmp_path):
    """A network with a class more, in another order, with another normalisation."""
    table = segmentation_table("v3-small", "fpn", width=0.5)
    names = ["dog", "cow", "background", "cat"]
    spec = SegmentationSpec(
        table, "fpn", names, default_colours(4), (32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)
    )
    task = SegmentationTask(spec).eval()
    torch.save({"state_dict": task.state_dict(), "mobiledense": task.describe()}, tmp_path / "teacher.ckpt")
    return task, tmp_path / "teacher.ckpt"


def photos(count=2):
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8)


def test_no_teacher():
    assert load_mask_teacher(SegmentationOptions(), NAMES, (64, 64), load_task) is None


def test_our_checkpoint_teaches_by_the_names_of_its_classes(ours):
    task, path = ours
    images = photos()
    with torch.no_grad():
        logits = task.network(task.normalise(images))
    found = teacher_of(path)(images)
    assert torch.allclose(found.softmax(1)[:, 1:], logits.softmax(1)[:, [3, 0]], atol=1e-4)  # cows are background
    assert torch.allclose(teacher_of(path, ["cat", "dog"])(images), logits[:, [3, 0]], atol=1e-4)


def test_the_masks_of_a_joint_network_teach(joint):
    names = load_task(joint, "cpu").spec.names
    images = photos()
    found = teacher_of(joint, names)(images)
    task = load_task(joint, "cpu")
    with torch.no_grad():
        assert torch.allclose(found, task.network(task.normalise(images))[0], rtol=1e-3, atol=1e-2)


def test_a_folder_of_segmentation_models_pytorch(tmp_path):
    network = smp.FPN("resnet18", encoder_weights=None, classes=3).eval()
    network.save_pretrained(tmp_path / "fpn")
    images = photos()
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = network((images / 255 - mean) / std)
    assert torch.allclose(teacher_of(tmp_path / "fpn")(images), expected, atol=1e-4)
    more = smp.FPN("resnet18", encoder_weights=None, classes=3, activation="softmax2d", aux_params={"classes": 2})
    more.load_state_dict(network.state_dict(), strict=False)
    more.save_pretrained(tmp_path / "more")
    assert torch.allclose(teacher_of(tmp_path / "more")(images), expected, atol=1e-4)


@pytest.mark.parametrize(("kind", "usual"), [("pixel", 1.0), ("channel", 4.0)])
def test_the_loss_is_on_the_students_grid_and_needs_no_labels(ours, kind, usual):
    teacher = teacher_of(ours[1], distillation=kind, distillation_weight=3.0)
    assert teacher.temperature == usual
    images, task = photos(), student(teacher=teacher)
    logits = task.network(task.normalise(images))
    small = F.interpolate(teacher(images), logits.shape[2:], mode="bilinear", align_corners=False)
    assert teacher.teach(logits, images).item() == pytest.approx(
        3 * teacher.loss(logits, small, usual).item(), rel=1e-5
    )
    assert teacher.teach(small, images).item() == pytest.approx(0, abs=1e-5)


def test_void_images_move_the_student_by_the_teacher_alone(ours, monkeypatch):
    monkeypatch.setattr(SegmentationTask, "log", lambda *_, **__: None)
    monkeypatch.setattr(SegmentationTask, "global_step", 0)
    batch = {"image": photos(), "mask": torch.full((2, 64, 64), 255, dtype=torch.uint8), "file": ["a", "b"]}
    alone, taught = student(), student(teacher=teacher_of(ours[1]))
    assert alone.training_step(batch, 0) == 0
    taught.training_step(batch, 0).backward()
    assert taught.network.head.last_layers[0].weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in taught.teacher.network.parameters())
    assert not any("teacher" in key for key in taught.state_dict())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda ours, folder: teacher_of(ours[1], ["background", "horse"]), "lacks classes of the data: "),
        (lambda ours, folder: teacher_of(folder / "no.ckpt"), "no.ckpt: no such checkpoint"),
        (lambda ours, folder: teacher_of(folder / "fpn"), "fpn: has 5 classes, and the data 3"),
        (lambda ours, folder: teacher_of(folder / "broken"), "broken: is no network of segmentation-models-pytorch"),
        (
            lambda ours, folder: teacher_of(folder / "fpn", [*NAMES, "x", "y"], (50, 50)),
            "cannot take images of 50 x 50",
        ),
        (lambda ours, folder: SegmentationOptions(unlabelled=folder), "needs a teacher"),
    ],
)
def test_what_cannot_teach_is_one_line(ours, tmp_path, make, told):
    smp.FPN("resnet18", encoder_weights=None, classes=5).save_pretrained(tmp_path / "fpn")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises((TaskError, ValueError)) as caught:
        make(ours, tmp_path)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_detector_teaches_no_masks(detector):
    with pytest.raises(TaskError, match="is for detection, and teaches no masks"):
        teacher_of(detector)


def test_training_with_a_teacher_and_images_without_masks(tool_here, checkpoint, shapes, tmp_path):
    options = quick_run(shapes, tmp_path / "runs")
    name = ["--name", "taught", "--teacher", str(checkpoint), "--distillation", "pixel"]
    more = ["--unlabelled", str(shapes / "JPEGImages")]
    said = tool_here("train_seg", *options, *name, *more)
    assert "20 images, 6 classes" in said
    said = tool_here(
        "train_seg", *options, *name, *more, "--resume", "--epochs", "3", "--temperature", "2", succeeds=False
    )
    assert "--temperature 2.0 (was None)" in said
