"""One checkpoint at several output strides, and the same masks by eval_seg and predict."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets import SegmentationDataset, find_segmentation, read_image
from tasks import (
    DetectionSpec,
    DetectionTask,
    SegmentationSpec,
    SegmentationTask,
    TaskError,
    detection_table,
    segmentation_table,
)
from tasks.commands import WINGS, evaluate, predict
from tasks.options import Evaluation, EvaluationData, Prediction
from tasks.segmentation.metrics import ConfusionMatrix
from tasks.sources import find_sources
from tests.tasks.segmentation.test_sliding_window import noise

NAMES = ["background", "disc", "cross", "triangle", "star"]


def random_task(
    backbone: str = "v3-small", head: str = "lraspp", names: list[str] = NAMES, **options
) -> SegmentationTask:
    """With statistics of batch norm that folding rounds differently."""
    table = segmentation_table(backbone, head, **options)
    task = SegmentationTask(SegmentationSpec(table, head, names, [(0, 90, 0)] * len(names), (64, 64))).eval()
    for module in task.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.02, 0.2)
    return task


def save(task: SegmentationTask | DetectionTask, path: Path) -> Path:
    torch.save({"mobiledense": task.describe(), "state_dict": task.state_dict()}, path)
    return path


@pytest.mark.parametrize(("backbone", "options"), [("v2", {}), ("v3-small", {"minimalistic": True})])
def test_filters_see_the_same_pixels_at_more_places(backbone, options):
    """Without squeeze-and-excitation, whose means are over all places, every other place has the very features."""
    task = random_task(backbone, width=0.35, output_stride=32, **options)
    images = torch.randn(1, 3, 64, 96)
    features = {}
    for stride in (32, 16, 8):
        dense = task.at_output_stride(stride)
        assert dense.spec.table.output_stride == stride and not dense.training
        for key, value in dense.state_dict().items():
            assert value.equal(task.state_dict()[key])
        with torch.no_grad():
            features[stride] = dense.network.backbone(images)["c5"]
        assert features[stride].shape[2:] == (64 // stride, 96 // stride)
    for stride in (16, 8):
        apart = features[stride][..., :: 32 // stride, :: 32 // stride] - features[32]
        assert apart.abs().max() < 1e-3 * features[32].abs().max()


@pytest.mark.parametrize(
    ("backbone", "head", "stride", "said"),
    [
        ("timm:ghostnet_100", "lraspp", 8, r"timm:ghostnet_100 with lraspp cannot be built so \(timm cannot build gho"),
        ("v3-small", "fpn", 8, r"--output-stride 8: mobilenet_v3_small with fpn cannot be built so \("),
        ("v3-small", "pan", 8, r"PAN support output stride 16 or 32"),
        ("v3-small", "lraspp", 4, "output stride 4 is not one of 8, 16, 32"),
    ],
)
def test_what_cannot_be_is_one_line(backbone, head, stride, said):
    with pytest.raises(TaskError, match=said) as raised:
        random_task(backbone, head).at_output_stride(stride)
    assert "\n" not in str(raised.value)


def test_a_network_that_has_no_such_stride():
    with pytest.raises(
        TaskError, match="--output-stride 16: mobilenet_v3_small with lraspp has no stride above 8; leave the opt"
    ):
        random_task(small_images=True).at_output_stride(16)


def test_timms_networks_that_can():
    task = random_task("timm:mobilenetv4_conv_small")
    dense = task.at_output_stride(8)
    assert dense.network.backbone.strides["c5"] == 8
    assert not np.array_equal(dense.predict([noise(64, 96)])[0], task.predict([noise(64, 96)])[0])


def test_other_tasks_have_none(tmp_path, tool_here):
    spec = DetectionSpec(detection_table("v3-small", width=0.35), "ssdlite", ["a"], [(0, 0, 0)], (64, 64))
    saved = save(DetectionTask(spec), tmp_path / "a.ckpt")
    Image.fromarray(noise(64, 64)).save(tmp_path / "a.png")
    options = ["--checkpoint", str(saved), "--source", str(tmp_path / "a.png"), "--output", str(tmp_path / "out")]
    said = tool_here("predict", *options, "--output-stride", "8", succeeds=False)
    assert "--output-stride 8: is for segmentation, and this is a checkpoint for detection" in said


@pytest.mark.parametrize("stride", [None, 8])
def test_eval_seg_and_predict_give_the_same_masks(shapes, tmp_path, monkeypatch, stride):
    files = find_segmentation("voc", "val", shapes)
    saved = save(random_task(names=files.names), tmp_path / "a.ckpt")
    evaluated = []
    load = SegmentationTask.predict

    def watched(task, images, **options):
        found = load(task, images, **options)
        evaluated.extend(zip(images, found, strict=True))
        return found

    monkeypatch.setattr(SegmentationTask, "predict", watched)
    data = EvaluationData("voc", shapes, "val", check_data=False)
    where = Evaluation(drawn=0, workers=0, device="cpu", output=tmp_path / "eval")
    evaluate("segmentation", saved, data, where, output_stride=stride)
    masks = [mask for _, mask in evaluated]
    assert len(masks) == len(files.pairs) and len(np.unique(masks[0])) > 1
    output = tmp_path / "out"
    sources = find_sources(str(files.pairs[0][0].parent / "val*"), output)
    predict(saved, sources, output, Prediction(output_stride=stride), None, "cpu")
    written = [np.array(Image.open(tmp_path / "out" / f"{image.stem}_mask.png")) for image, _ in files.pairs]
    assert all(np.array_equal(*pair) for pair in zip(masks, written, strict=True))
    matrix = ConfusionMatrix(len(files.names))
    for mask, sample in zip(written, (SegmentationDataset(files)[index] for index in range(len(written))), strict=True):
        matrix.update(torch.from_numpy(mask), torch.from_numpy(sample["mask"]))
    scores = json.loads((tmp_path / "eval" / "scores.json").read_text())
    assert scores["confusion_matrix"] == matrix.scores().matrix.tolist()
    assert scores["output_stride"] == (stride or 16)
    own = WINGS["segmentation"].task.load(saved, "cpu")
    unlike = own.at_output_stride(8 if stride is None else 16).fold().predict([read_image(files.pairs[0][0])])[0]
    assert not np.array_equal(unlike, masks[0])
