"""The joint network: each part is its single-task twin, and labels that are missing move nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from backbones import BackboneOptions
from datasets import AugmentDetection, DetectionAugmentation, JointDataset, default_colours
from datasets.joint.find import find_joint
from tasks import DetectionTask, SegmentationTask, TaskError
from tasks.joint.drawing import show_joint
from tasks.joint.network import JointSpec
from tasks.joint.options import JointOptions
from tasks.joint.task import parts
from tasks.joint.wing import JointWing
from tasks.options import Network, Optimization, Prediction

NAMES = ["background", "disc", "square", "triangle", "star", "cross"]
HEADS = {"masks": "head.masks.", "boxes": "head.boxes."}


def make(seed=0, head=None, **options):
    """An untrained task whose batch norms have seen something."""
    torch.manual_seed(seed)
    wing, options = JointWing(), JointOptions(size=(96, 96), **options)
    spec = wing.make_spec(Network(head=head), BackboneOptions(), NAMES, default_colours(6), (96, 96), options)
    spec = replace(spec, box_names=NAMES[1:], box_colours=default_colours(6)[1:])
    task = wing.make_task(spec, Optimization(), options)
    for module in task.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        task.network.train()(torch.randn(8, 3, 96, 96))
    return task.eval()


@pytest.fixture(scope="module")
def task():
    return make()


def photo(height=70, width=90, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def twin(task, kind, part):
    """A task of one kind with the weights of a part."""
    single = kind(getattr(task.spec, part))
    own = {key.replace(HEADS[part], "head."): tensor for key, tensor in task.network.state_dict().items()}
    single.network.load_state_dict({key: own[key] for key in single.network.state_dict()})
    return single.eval()


def test_each_part_is_its_twin(task):
    image = photo(96, 96)
    (mask, boxes), (alone,) = task.predict([image])[0], twin(task, SegmentationTask, "masks").predict([image])
    assert np.array_equal(mask, alone) and len(np.unique(mask)) > 1
    (expected,) = twin(task, DetectionTask, "boxes").predict([image])
    for name in ("boxes", "scores", "labels"):
        assert np.array_equal(getattr(boxes, name), getattr(expected, name))
    segmenter, detector = parts(task)
    assert np.array_equal(segmenter.predict([image])[0], mask) and segmenter.spec.names == NAMES
    assert np.array_equal(detector.predict([image], score_threshold=0.2)[0].boxes, boxes.boxes[boxes.scores > 0.2])


def test_masks_may_have_a_last_stage_of_their_own():
    task = make(sharing="stage4")
    whole = task.network.state_dict()
    single = SegmentationTask(task.spec.masks)
    first = len(task.network.backbone.blocks) - len(task.network.head.branch.blocks)
    for key in single.network.state_dict():
        words = key.split(".")
        name = key.replace("head.", "head.masks.")
        if words[:2] == ["backbone", "last"]:
            name = key.replace("backbone.", "head.branch.")
        if words[:2] == ["backbone", "blocks"] and int(words[2]) >= first:
            name = ".".join(["head.branch.blocks", str(int(words[2]) - first), *words[3:]])
        single.network.state_dict()[key].copy_(whole[name])
    assert task.spec.masks.table.output_stride == 16 and task.spec.boxes.table.output_stride == 32
    image = photo(96, 96)
    assert np.array_equal(task.predict([image])[0].mask, single.eval().predict([image])[0])
    again = JointSpec.from_dict(task.spec.to_dict())
    assert again == task.spec and again.branch.rows == task.spec.branch.rows


def test_images_of_several_sizes(task):
    images = [photo(70, 90), photo(128, 50, 1)]
    for image, (mask, boxes) in zip(images, task.predict(images), strict=True):
        assert mask.shape == image.shape[:2] and mask.dtype == np.uint8
        assert (boxes.boxes <= np.array(image.shape[1::-1] * 2)).all() and len(boxes.scores)


def batch_of(shapes, masked, boxed):
    files = find_joint("coco", "train", shapes)
    plain = DetectionAugmentation(iou_crop=0.0, expand=0.0, flip=0.0, colour=0.0)
    dataset = JointDataset(files, AugmentDetection(plain, (96, 96)))
    samples = [dataset[index] for index in range(len(masked))]
    for sample, mask, box in zip(samples, masked, boxed, strict=True):
        sample["mask"] = sample["mask"] if mask else np.full_like(sample["mask"], 255)
        sample["boxed"] = box
    return dataset.collate(samples)


def gradients(task, batch, monkeypatch):
    monkeypatch.setattr(task, "log_dict", lambda *_, **__: None)
    task.zero_grad()
    task.training_step(batch, 0).backward()
    return {key: None if p.grad is None else p.grad.clone() for key, p in task.network.named_parameters()}


def test_an_image_without_a_label_moves_no_weight_of_its_head(task, shapes, monkeypatch):
    none = gradients(task, batch_of(shapes, [0, 0, 0], [1, 1, 1]), monkeypatch)
    assert not any(grad.any() for key, grad in none.items() if key.startswith("head.masks."))
    assert any(grad.any() for key, grad in none.items() if key.startswith("head.boxes."))
    none = gradients(task, batch_of(shapes, [1, 1, 1], [0, 0, 0]), monkeypatch)
    assert not any(grad.any() for key, grad in none.items() if key.startswith("head.boxes."))
    assert any(grad.any() for key, grad in none.items() if key.startswith("head.masks."))
    # and what the labelled ones move is the same with and without it, as batch norms stand still here
    for head, first, second in (
        ("masks", ([1, 1, 0], [1] * 3), ([1, 1], [1] * 2)),
        ("boxes", ([1] * 3, [1, 1, 0]), ([1] * 2, [1] * 2)),
    ):
        one, other = (gradients(task, batch_of(shapes, *labels), monkeypatch) for labels in (first, second))
        for key in one:
            if key.startswith(HEADS[head]):
                torch.testing.assert_close(one[key], other[key], rtol=1e-3, atol=1e-5)


def test_focal_loss_counts_no_image_whose_boxes_are_unknown(shapes, monkeypatch):
    task = make(loss="focal")
    none = gradients(task, batch_of(shapes, [1, 1], [0, 0]), monkeypatch)
    assert not any(grad.any() for key, grad in none.items() if key.startswith("head.boxes."))


def test_weights_of_losses(task, shapes, monkeypatch):
    batch = batch_of(shapes, [1, 1], [1, 1])
    logged = {}
    monkeypatch.setattr(task, "log_dict", lambda values, **_: logged.update(values))
    monkeypatch.setattr(task, "weights", (2.0, 1.0, 0.5))
    loss = task.training_step(batch, 0)
    expected = 2 * logged["train/mask_loss"] + logged["train/class_loss"] + 0.5 * logged["train/box_loss"]
    torch.testing.assert_close(loss, expected)
    learned = make(weighting="learned")
    moved = gradients(learned, batch, monkeypatch)["uncertainty"]
    assert moved.shape == (3,) and moved.all()
    assert any(p is learned.network.uncertainty for group in learned_groups(learned) for p in group["params"])


def learned_groups(task):
    from tasks.optim import parameter_groups

    return parameter_groups(task.network, 0.01)


def test_drawing_looks_once(task):
    shown = show_joint(task, Prediction(score_threshold=0.01))(photo())
    assert shown.mask.shape == (70, 90) and shown.drawing.shape[1:] == (90, 3)
    assert {*shown.description} == {"classes", "objects"} and shown.description["objects"]
    with pytest.raises(TaskError, match="a joint network takes --tile"):
        show_joint(task, Prediction(tta_flip=True))


def test_heads_are_named_together():
    task = make(head="raspp+ssdlite-torchvision")
    assert type(task.network.head.masks).__name__ == "RASPP" and task.network.head.boxes.first == 6


@pytest.mark.parametrize("size", [(96, 96), (64, 80)])
def test_validation_leaves_masks_on_their_device(task, size, monkeypatch):
    def refuse(*_):
        raise TypeError("a tensor on another device is no array")

    mask = np.zeros((2, *size), dtype=np.uint8)
    mask.flags.writeable = False  # as those are that are kept in memory
    batch = {"image": torch.zeros(2, 3, 96, 96, dtype=torch.uint8), "size": [size] * 2, "file": ["a", "b"]}
    batch |= {
        "boxed": torch.tensor([True, False]),
        "mask": torch.from_numpy(mask.copy()) if size == (96, 96) else [*mask],
    }
    task.matrix.reset()
    with monkeypatch.context() as context, torch.no_grad():
        context.setattr(torch.Tensor, "__array__", refuse)
        task.validation_step(batch, 0)
    assert int(task.matrix.confmat.sum()) == mask.size and [*task.found] == ["a"]
    task.found = {}
    task.matrix.reset()
