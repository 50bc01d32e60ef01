from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from backbones import TABLES, create_backbone, load_weights
from tasks import ClassificationSpec, ClassificationTask, NonFiniteLoss, classification_table, load_task
from tasks.teacher import Teacher

NAMES = ["ant", "bee", "cow"]
COLOURS = [(0, 0, 0), (200, 0, 0), (0, 200, 0)]


def spec(backbone: str = "v3-small", **options) -> ClassificationSpec:
    table = classification_table(backbone, (32, 32))
    return ClassificationSpec(table, "classifier", NAMES, COLOURS, (32, 32), **options)


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def batch(count: int = 4) -> dict:
    label = torch.arange(count) % 3
    image = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    target = F.one_hot(label, 3).float()
    return {"image": image, "label": label, "target": target, "file": [f"{number}.jpg" for number in range(count)]}


def training(task: ClassificationTask) -> ClassificationTask:
    task.log = lambda *_, **__: None
    task.network.head.dropout.p = 0.0
    return task.train()


@pytest.mark.parametrize("backbone", TABLES)
def test_every_backbone_predicts_probabilities(backbone):
    found = ClassificationTask(spec(backbone)).eval().predict([image(32, 32), image(50, 41), image(20, 200)])
    assert found.shape == (3, 3) and found.dtype == np.float32
    assert np.allclose(found.sum(1), 1, atol=1e-5) and (found >= 0).all()


def test_prediction_looks_at_the_middle():
    task, whole = ClassificationTask(spec(crop_ratio=0.5)).eval(), image(64, 64)
    middle = replace(spec(), crop_ratio=1.0)
    alone = ClassificationTask(middle).eval()
    alone.load_state_dict(task.state_dict())
    assert np.allclose(task.predict([whole]), alone.predict([whole[16:48, 16:48]]), atol=1e-6)


def test_spec_round_trip_is_plain_data():
    import json

    original = spec(head_options={"dropout": 0.5}, crop_ratio=0.875)
    again = ClassificationSpec.from_dict(json.loads(json.dumps(original.to_dict())))
    assert again.table == original.table and again.table.small_images and again.crop_ratio == 0.875
    assert ClassificationTask(again).network.head.dropout.p == 0.5


def test_the_table_of_a_size():
    assert classification_table("v3-large", (28, 28), width=None).small_images
    assert not classification_table("v3-large", (28, 65)).small_images
    assert not classification_table("v3-large", (28, 28), small_images=False).small_images
    assert classification_table("v3-large", (224, 224), small_images=True).small_images
    assert classification_table("v3-large", (28, 28)).norm_momentum == 0.1
    assert classification_table("timm:mobilenetv4_conv_small", (28, 28)).norm_momentum == 0.1
    with pytest.raises(ValueError, match="v3-large"):
        classification_table("v3-lareg", (32, 32))


@pytest.mark.parametrize("smoothing", [-0.1, 1.1])
def test_label_smoothing_has_its_range(smoothing):
    with pytest.raises(ValueError, match=r"--label-smoothing .* is not in 0 to 1"):
        ClassificationTask(spec(), label_smoothing=smoothing)


# the loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_takes_soft_targets(smoothing):
    task, samples = training(ClassificationTask(spec(), label_smoothing=smoothing)), batch()
    samples["target"] = torch.tensor([[0.7, 0.3, 0.0]]).expand(4, 3)
    with torch.no_grad():
        loss = task.training_step(samples, 0)
        logits = task.network(task.normalise(samples["image"]))
    soft = samples["target"] * (1 - smoothing) + smoothing / 3
    assert loss == pytest.approx(-(soft * logits.log_softmax(1)).sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_teacher_has_its_share_of_the_loss(weight):
    teacher_task, samples = ClassificationTask(spec()).eval(), batch()
    teacher = Teacher(teacher_task.network, (0.5,) * 3, (0.5,) * 3, [0, 1, 2], 2.0, weight)
    task = training(ClassificationTask(spec(), teacher=teacher))
    with torch.no_grad():
        loss = task.training_step(samples, 0)
        logits = task.network(task.normalise(samples["image"]))
        taught = teacher_task.network(samples["image"].float() / 127.5 - 1)
    divergence = (taught / 2).softmax(1) * ((taught / 2).log_softmax(1) - (logits / 2).log_softmax(1))
    expected = (1 - weight) * F.cross_entropy(logits, samples["label"]) + weight * 4 * divergence.sum(1).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-4)


def test_a_teacher_is_no_part_of_the_task():
    plain, taught = ClassificationTask(spec()), ClassificationTask(spec())
    taught.teacher = Teacher(ClassificationTask(spec()).network, (0,) * 3, (1,) * 3, [0, 1, 2], 1.0, 0.5)
    assert taught.state_dict().keys() == plain.state_dict().keys()
    assert len(list(taught.parameters())) == len(list(plain.parameters()))
    assert not any(parameter.requires_grad for parameter in taught.teacher.network.parameters())


def test_a_few_steps_learn_a_batch():
    task, samples = training(ClassificationTask(spec())), batch(6)
    optimizer = torch.optim.Adam(task.network.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        losses.append(task.training_step(samples, 0))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_non_finite_loss_names_the_files():
    task = training(ClassificationTask(spec()))
    with torch.no_grad():
        task.network.head.classify.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match=r"nan(?s:.*)0\.jpg(?s:.*)3\.jpg"):
        task.training_step(batch(), 0)


# its weights elsewhere


def test_weights_go_into_the_dense_backbone_whatever_the_stem(classifier):
    backbone = create_backbone("v3-small", output_stride=16)
    report = load_weights(backbone, classifier)
    task = load_task(classifier)
    assert isinstance(task, ClassificationTask) and task.spec.table.small_images
    assert not report.missing and not report.mismatched
    ours, theirs = backbone.state_dict(), task.network.backbone.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert backbone.strides["stem"] == 2 and task.network.backbone.strides["stem"] == 1
    assert {key.removeprefix("network.").split(".")[0] for key in report.unused} == {"head"}
    assert "not used: network.head." in str(report)


def test_another_architecture_is_told(classifier):
    with pytest.raises(ValueError, match="mobilenet_v3_small") as caught:
        load_weights(create_backbone("v1"), classifier)
    assert "\n" not in str(caught.value)
