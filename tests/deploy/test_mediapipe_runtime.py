"""MediaPipe Tasks run our files as the checkpoints predict: networks that learned a few Shapes by heart."""

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("mediapipe")
pytest.importorskip("litert_torch")

import tasks  # noqa: F401 which finds datasets
from datasets import read_image, resize_image, write_shapes
from datasets.segmentation.masks import read_mask
from deploy import DeployError, export, load
from tasks.wings import load_task
from tests.conftest import class_folders
from tests.tools.command import tool

pytestmark = pytest.mark.slow
SIZE = 128


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A dozen images."""
    root = tmp_path_factory.mktemp("few") / "shapes"
    write_shapes(root, splits={"train": 12, "val": 2, "test": 1})
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """For all runs and files."""
    return tmp_path_factory.mktemp("runs")


def train(kind, folder, data, *options):
    """The best checkpoint of a run that learns its images by heart."""
    plain = ["--flip", "0", "--ema", "0", "--width", "0.5", "--workers", "0", "--lr", "0.002", "--warmup-steps", "10"]
    quiet = ["--val-split", "train", "--trainer.enable_progress_bar", "false", "--name", kind, "--output", str(folder)]
    tool(f"train_{kind}", "--data-root", str(data), *plain, *quiet, *options)
    return folder / kind / "best.ckpt"


def images(few):
    """Training images as a network of that size sees them, every pixel sixteen by sixteen.

    MediaPipe resizes otherwise than training does, but makes the same of these; and its whole pixels are small here.
    """
    found = [resize_image(read_image(path), (SIZE, SIZE)) for path in sorted((few / "JPEGImages").glob("train*"))]
    return found, [image.repeat(16, 0).repeat(16, 1) for image in found]


@pytest.fixture(scope="module")
def detector(few, folder):
    """SSDLite."""
    options = ["--dataset", "coco", "--size", "128", "128", "--epochs", "100", "--batch-size", "6", "--iou-crop", "0"]
    rarely = ["--trainer.check_val_every_n_epoch", "100", "--expand", "0", "--mosaic", "0", "--colour", "0"]
    return train("det", folder, few, *options, *rarely)


def iou(one, other):
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = (high - low).clip(0).prod()
    return shared / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared)


@pytest.mark.parametrize(
    "kind, input", [("boxes", "float32"), ("boxes", "uint8"), ("plain", "float32"), ("raw", "float32")]
)
def test_object_detector_finds_the_same_boxes(kind, input, detector, few, folder):
    path = export(detector, "litert", folder / f"{kind}_{input}.tflite", kind, input=input, target="mediapipe")
    given = images(few)[1]
    compared = 0
    for found, expected in zip(
        load(path, runtime="mediapipe").predict(given), load_task(detector, "cpu").predict(given), strict=True
    ):
        sure = expected.boxes[expected.scores > 0.3]
        # of a raw detector MediaPipe leaves no two boxes that share 0.3, whatever their classes
        alone = [
            place
            for place, box in enumerate(sure)
            if kind != "raw" or all(iou(box, other) < 0.25 for other in expected.boxes[:place])
        ]
        if kind != "raw":
            assert (found.scores > 0.32).sum() <= len(sure) <= (found.scores > 0.28).sum()
        for place in alone:
            near = [n for n, box in enumerate(found.boxes) if iou(box, sure[place]) > 0.95]
            same = [n for n in near if found.labels[n] == expected.labels[place]]
            assert min(abs(found.scores[n] - expected.scores[place]) for n in same) < 0.02
            compared += 1
    assert compared >= 12
    with pytest.raises(DeployError, match=r"iou_threshold 0\.4: the file has"):
        load(path, runtime="mediapipe").predict(given, iou_threshold=0.4)


def miou(masks, truths, classes):
    table = np.zeros((classes, classes), dtype=np.int64)
    for mask, truth in zip(masks, truths, strict=True):
        valid = truth < classes
        np.add.at(table, (truth[valid], mask[valid]), 1)
    union = table.sum(0) + table.sum(1) - table.diagonal()
    return (table.diagonal()[union > 0] / union[union > 0]).mean()


def test_image_segmenter_has_the_same_miou(few, folder):
    options = ["--dataset", "voc", "--crop", str(SIZE), str(SIZE), "--epochs", "60", "--batch-size", "6"]
    rarely = ["--colour", "0", "--scale", "1", "1", "--trainer.check_val_every_n_epoch", "60"]
    checkpoint = train("seg", folder, few, *options, *rarely)
    path = export(checkpoint, "litert", folder / "seg.tflite", target="mediapipe")
    given, task = images(few)[0], load_task(checkpoint, "cpu")
    masks = [read_mask(path) for path in sorted((few / "SegmentationClass").glob("train*"))]
    truths = [cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST_EXACT) for mask in masks]
    predictors = load(path, runtime="mediapipe"), task
    found, expected = (miou(predictor.predict(given), truths, len(task.spec.names)) for predictor in predictors)
    assert expected > 0.5
    assert abs(found - expected) < 0.01
    with pytest.raises(DeployError, match="several scales, flips and windows"):
        load(path, runtime="mediapipe").predict(given, tta_flip=True)


def test_image_classifier_has_the_same_probabilities(few, folder):
    tree = class_folders(few, folder / "tree")
    options = ["--dataset", "folder", "--size", "32", "32", "--epochs", "20", "--batch-size", "8"]
    checkpoint = train("cls", folder, tree, *options)
    whole = torch.load(checkpoint, weights_only=False)
    whole["mobiledense"]["crop_ratio"] = 1.0  # so that pixels of the crop are whole blocks of the image's
    torch.save(whole, checkpoint)
    path = export(checkpoint, "litert", folder / "cls.tflite", target="mediapipe")
    small = [resize_image(read_image(path), (32, 48)) for path in sorted(tree.glob("train/*/*"))[:12]]
    given = [image.repeat(4, 0).repeat(4, 1) for image in small]  # wider than high: the middle is what counts
    found, expected = load(path, runtime="mediapipe").predict(given), load_task(checkpoint, "cpu").predict(given)
    assert found.shape == expected.shape
    (result,) = load(path, runtime="mediapipe")(given[0])
    assert np.array_equal(result.probabilities, found[0]) and result.names == load_task(checkpoint, "cpu").spec.names
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert expected.max(1).mean() > 0.5
