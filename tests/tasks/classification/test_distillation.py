"""Teachers: our checkpoints, and networks of timm and torchvision."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from tasks import ClassificationOptions, ClassificationTask
from tasks.classification.distillation import load_teacher

NAMES = ["disc", "square", "triangle", "star", "cross"]


def of(teacher: str, weights: str, temperature: float = 4.0, weight: float = 0.5) -> ClassificationOptions:
    return ClassificationOptions(
        teacher=teacher, teacher_weights=weights, temperature=temperature, distillation_weight=weight
    )


def images(count=2) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)


def test_no_teacher():
    assert load_teacher(ClassificationOptions(), NAMES) is None


def test_our_checkpoint_teaches_classes_in_any_order(classifier):
    photos = images()
    task = ClassificationTask.load(classifier, "cpu")
    with torch.no_grad():
        expected = task.network(task.normalise(photos))
    orders = task.spec.names, task.spec.names[::-1]
    straight, turned = (load_teacher(ClassificationOptions(teacher=str(classifier)), names)(photos) for names in orders)
    assert torch.allclose(straight, expected, atol=1e-5) and torch.allclose(turned, expected.flip(1), atol=1e-5)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_network_with_a_weights_file(tmp_path, library):
    made = timm.create_model("resnet10t", num_classes=5) if library == "timm" else None
    network = made or torchvision.models.squeezenet1_1(num_classes=5)
    torch.save(network.state_dict(), tmp_path / "teacher.pth")
    name = f"{library}:{'resnet10t' if made else 'squeezenet1_1'}"
    teacher, photos = load_teacher(of(name, str(tmp_path / "teacher.pth"), 3.0, 0.7), NAMES), images()
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = network.eval()((photos / 255 - mean) / std)
    assert torch.allclose(teacher(photos), expected, atol=1e-4)
    assert (teacher.temperature, teacher.weight) == (3.0, 0.7)


def test_imagenets_classes_are_wordnets_names(monkeypatch):
    weights = torchvision.models.squeezenet1_1(num_classes=1000).state_dict()
    monkeypatch.setattr("tasks.classification.distillation.fetch_weights", lambda _: weights)
    names = timm.data.ImageNetInfo().label_names()
    teacher = load_teacher(of("torchvision:squeezenet1_1", "imagenet"), sorted(names, reverse=True))
    assert teacher(images()).shape == (2, 1000) and teacher.order[-1] == 0
    with pytest.raises(ValueError) as caught:
        load_teacher(of("torchvision:squeezenet1_1", "imagenet"), NAMES)
    said = str(caught.value)
    assert "other classes, 1000 for the data's 5: only in the teacher: n01440764, " in said and "and 990 more" in said
    assert said.endswith("only in the data: disc, square, triangle, star, cross")


def test_classes_that_differ(classifier):
    with pytest.raises(ValueError) as caught:
        load_teacher(ClassificationOptions(teacher=str(classifier)), [*NAMES[:4], "moon", "sun"])
    assert str(caught.value) == (
        f"--teacher {classifier} has other classes, 5 for the data's 6: "
        "only in the teacher: cross; only in the data: moon, sun"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"teacher": "timm:resnet10", "teacher_weights": "imagenet"}, 'timm has no network "resnet10"; did you mean'),
        ({"teacher": "torchvision:resnet81", "teacher_weights": "x"}, 'no network "resnet81"; did you mean "resnet18"'),
        ({"teacher": "timm:resnet10t"}, "--teacher timm:resnet10t needs --teacher-weights: imagenet, or a file"),
        ({"teacher": "a.ckpt", "teacher_weights": "imagenet"}, "--teacher-weights is for teachers out of timm"),
        ({"teacher_weights": "imagenet"}, "--teacher-weights is for teachers out of timm"),
        ({"temperature": 0.0}, "--temperature 0.0 is not in 0.01 to 1000"),
        ({"distillation_weight": 1.5}, "--distillation-weight 1.5 is not in 0 to 1"),
    ],
)
def test_mistakes(options, said):
    with pytest.raises(ValueError) as caught:
        load_teacher(ClassificationOptions(**options), NAMES)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_weights_file_with_another_number_of_classes(tmp_path):
    torch.save(timm.create_model("resnet10t", num_classes=7).state_dict(), tmp_path / "teacher.pth")
    with pytest.raises(ValueError) as caught:
        load_teacher(of("timm:resnet10t", str(tmp_path / "teacher.pth")), NAMES)
    assert "teacher.pth: does not fit timm:resnet10t with 5 classes: fc.weight is [7, 512] in the file" in str(
        caught.value
    )


def test_timms_published_weights_teach(tmp_path, monkeypatch):
    network = timm.create_model("resnet10t")
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr("backbones.pretrained.fetch", lambda _: tmp_path / "model.safetensors")
    teacher = load_teacher(of("timm:resnet10t", "imagenet"), timm.data.ImageNetInfo().label_names())
    assert torch.equal(teacher.network.fc.weight, network.fc.weight)
    assert teacher.mean == list(network.pretrained_cfg["mean"])


def test_values_that_are_not_finite_teach_nothing(tmp_path):
    state = timm.create_model("resnet10t", num_classes=5).state_dict()
    state["fc.bias"][2] = torch.nan
    torch.save(state, tmp_path / "teacher.pth")
    with pytest.raises(ValueError, match=r"teacher\.pth: fc\.bias holds infinite values or NaN"):
        load_teacher(of("timm:resnet10t", str(tmp_path / "teacher.pth")), NAMES)
