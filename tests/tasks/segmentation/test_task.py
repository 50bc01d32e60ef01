from dataclasses import replace

import numpy as np
import pytest
import torch

from heads import resize
from tasks import NonFiniteLoss, SegmentationSpec, SegmentationTask, segmentation_scores, segmentation_table
from tasks.segmentation.metrics import ConfusionMatrix

NAMES = ["ground", "disc", "square"]
COLOURS = [(0, 0, 0), (200, 0, 0), (0, 200, 0)]


def spec(head: str = "lraspp", **options) -> SegmentationSpec:
    return SegmentationSpec(segmentation_table("v3-small", head), head, NAMES, COLOURS, (64, 64), **options)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def randomised(task: SegmentationTask) -> SegmentationTask:
    """Untrained batch norms make all logits tiny; give them statistics that spread the values."""
    for module in task.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.01, 0.1)
    return task.eval()


def batch() -> dict:
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    mask = torch.randint(0, 3, (2, 64, 64), dtype=torch.uint8)
    return {"image": image, "mask": mask, "file": ["a.jpg", "b.jpg"], "size": [(64, 64)] * 2}


def test_spec_round_trip_is_plain_data():
    import json

    original = spec(head_options={"filters": 64}, auxiliary=True)
    again = SegmentationSpec.from_dict(json.loads(json.dumps(original.to_dict())))
    assert again.table == original.table
    assert again.head_options == {"filters": 64} and again.auxiliary
    assert SegmentationTask(again).network.head.gate.out_channels == 64


def test_head_decides_the_backbones_options_unless_they_are_given():
    assert segmentation_table("v3-large", "lraspp").last == 480
    assert segmentation_table("v3-large", "lraspp", rf2=False).last == 960
    assert segmentation_table("v3-large", "unet").output_stride == 32
    assert segmentation_table("v3-large", "unet", output_stride=8).output_stride == 8
    with pytest.raises(ValueError, match="v3-large"):
        segmentation_table("v3-lareg", "lraspp")


@pytest.mark.parametrize("size", [(37, 61), (64, 64), (20, 20)])
def test_masks_have_the_images_own_size(size):
    mask = SegmentationTask(spec()).eval().predict([photo(*size)])[0]
    assert mask.shape == size and mask.dtype == np.uint8 and mask.max() < 3


def test_prediction_is_resize_and_arg_max_of_the_network():
    task, image = randomised(SegmentationTask(spec())), photo(70, 90)
    with torch.inference_mode():
        logits = task.network(task.normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))
    expected = resize(logits.contiguous(), (70, 90)).argmax(1)[0].numpy()
    mask = task.predict([image])[0]
    assert np.array_equal(mask, expected)
    assert len(np.unique(mask)) > 1


def test_flip_makes_prediction_symmetric():
    task, image = randomised(SegmentationTask(spec())), photo(64, 64)
    straight = task.predict([image], tta_flip=True)[0]
    mirrored = task.predict([np.ascontiguousarray(image[:, ::-1])], tta_flip=True)[0]
    assert (straight == mirrored[:, ::-1]).mean() > 0.99
    assert (task.predict([image])[0] != straight).any()


def test_a_window_as_large_as_the_image_changes_nothing():
    task, image = randomised(SegmentationTask(spec())), photo(64, 96)
    assert np.array_equal(task.predict([image], window=(64, 96))[0], task.predict([image])[0])


def test_sliding_window_covers_the_image():
    task, image = randomised(SegmentationTask(spec())), photo(150, 203)
    mask = task.predict([image], window=(64, 64))[0]
    assert mask.shape == (150, 203)
    assert (mask == task.predict([image])[0]).mean() > 0.5


def test_non_finite_loss_names_the_files():
    task = SegmentationTask(spec())
    task.trainer = FakeTrainer()
    with torch.no_grad():
        task.network.head.classify_low.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match=r"nan(?s:.*)a\.jpg(?s:.*)b\.jpg"):
        task.training_step(batch(), 0)


class FakeTrainer:
    log_every_n_steps = 1
    global_step = 0
    barebones = False
    _results = None


def test_auxiliary_head_trains_stride_16():
    task = SegmentationTask(spec(auxiliary=True))
    features = task.network.backbone(torch.randn(2, 3, 64, 64))
    assert task.network.auxiliary(features["c4"]).shape == (2, 3, 4, 4)


def test_scores_of_a_matrix_by_hand():
    scores = segmentation_scores(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert scores.iou[:2] == pytest.approx([3 / 6, 4 / 7])
    assert np.isnan(scores.iou[2])
    assert scores.miou == pytest.approx((3 / 6 + 4 / 7) / 2)
    assert scores.pixel_accuracy == pytest.approx(7 / 10)


def test_confusion_matrix_ignores_void():
    matrix = ConfusionMatrix(3)
    truth = torch.tensor([[[0, 1, 2, 255]]], dtype=torch.uint8)
    matrix.update(torch.tensor([[[0, 1, 1, 2]]], dtype=torch.uint8), truth)
    assert matrix.scores().matrix.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("classes", [1, 2, 11, 200])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64])
def test_confusion_matrix_counts_every_pixel(classes, kind):
    random = np.random.default_rng(classes)
    truth, predicted = (random.integers(0, classes, (2, 9, 7)) for _ in range(2))
    truth[random.random(truth.shape) < 0.2] = 255
    expected = np.zeros((classes, classes), dtype=int)
    for true, found in zip(truth.ravel(), predicted.ravel(), strict=True):
        if true != 255:
            expected[true, found] += 1
    matrix = ConfusionMatrix(classes)
    for _ in range(2):
        matrix.update(torch.from_numpy(predicted).to(kind), torch.from_numpy(truth).to(kind))
    assert (matrix.scores().matrix == 2 * expected).all()


def test_normalisation_is_imagenets():
    task = SegmentationTask(replace(spec(), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)))
    white = task.normalise(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))
    assert torch.allclose(white, torch.full((1, 3, 2, 2), 2.0))
