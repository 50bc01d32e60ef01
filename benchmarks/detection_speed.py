"""SSDLite on one thread and two: ours against torchvision's ssdlite320_mobilenet_v3_large, the same weights in both.

    python benchmarks/detection_speed.py --checkpoint best.ckpt --source DIR

The checkpoint is a trained v3-large with ssdlite-torchvision at 320x320 (untrained scores tie, and prove nothing), DIR
holds images. Prints milliseconds of both sides and their ratio, medians over rounds in turn, for: an image to boxes;
decoding alone at three score thresholds; matching and loss at batch 32 with 1 to 60 boxes; a training step. Detections
of both sides are compared too.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from torch import Tensor
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from datasets import read_image, resize_image
from heads import DetectionLoss, decode_detections
from tasks import DetectionTask
from tasks.detection.weights import from_torchvision
from tasks.sources import find_sources
from tools.cli import command

SIZE = (320, 320)


def turns(sides: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Median milliseconds of each side, run in turn after one call of warm-up, and the median ratio first / second."""
    times: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for side, found in zip(sides, times, strict=True):
            started = time.perf_counter()
            side()
            if number:
                found.append(1000 * (time.perf_counter() - started))
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    return [*(statistics.median(found) for found in times), ratio]


def twin(task: DetectionTask) -> torch.nn.Module:
    """torchvision's network with a task's weights and normalisation."""
    normalisation = {"image_mean": list(task.spec.mean), "image_std": list(task.spec.std)}
    theirs = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=len(task.spec.names) + 1, **normalisation
    ).eval()
    keys = list(theirs.state_dict())
    marked = {key: torch.tensor(float(number)) for number, key in enumerate(keys)}
    back = {int(value): ours for ours, value in from_torchvision(task.network, marked).items()}
    own = task.network.state_dict()
    theirs.load_state_dict({key: own[back[number]] for number, key in enumerate(keys)})
    return theirs


def random_targets(classes: int, batch: int, least: int, most: int) -> tuple[Tensor, Tensor]:
    """Padded boxes and labels of `batch` images, with evenly drawn numbers of boxes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.full((batch, most), -1)
    boxes = torch.zeros(batch, most, 4)
    for index in range(batch):
        count = int(torch.randint(least, most + 1, (1,), generator=generator))
        low = torch.rand(count, 2, generator=generator) * 0.8
        sides = 0.03 + torch.rand(count, 2, generator=generator) ** 2 * 0.5
        boxes[index, :count] = torch.cat([low, (low + sides).clamp(max=1)], 1)
        labels[index, :count] = torch.randint(0, classes, (count,), generator=generator)
    return boxes, labels


def main(checkpoint: Path, source: str, images: int = 8, rounds: int = 15, batch: int = 32) -> None:
    """Print the times and their ratios.

    Args:
        checkpoint: see above.
        source: a folder or glob of images.
        images: how many of them.
        rounds: the sides run in turn this many times.
        batch: images of a training step.
    """
    ours = DetectionTask.load(checkpoint, "cpu")
    theirs = twin(ours)
    ours.fold()
    arrays = [read_image(path) for path in find_sources(source, Path("none")).image_paths[:images]]
    tensors = [torch.from_numpy(image).permute(2, 0, 1).float() / 255 for image in arrays]
    classes = len(ours.spec.names)
    print(f"{len(arrays)} images, {classes} classes; milliseconds\n{'':32} threads torchvision     ours  ratio")

    def report(name: str, threads: int, found: list[float]) -> None:
        print(f"{name:<32} {threads:>7} {found[0]:11.2f} {found[1]:8.2f} {found[2]:6.2f}", flush=True)

    for threads in (1, 2):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            sides = [lambda: [theirs([x]) for x in tensors], lambda: [ours.predict([image]) for image in arrays]]
            report(f"image to boxes, x{len(arrays)}", threads, turns(sides, rounds))
            raw = [ours.network(ours.normalise(resized(image))) for image in arrays]
            boxes = ImageList(torch.zeros(1, 3, *SIZE), [SIZE])
            maps = list(theirs.backbone(boxes.tensors).values())
            anchors = theirs.anchor_generator(boxes, maps)
            for threshold in (0.003, 0.001, 0.0001):
                decoding(theirs, ours, raw, anchors, threshold, threads, rounds, report)
        training(theirs, ours, batch, threads, rounds, report)


def resized(image: Any) -> Tensor:
    """An image as the network takes it, uint8 [1, 3, 320, 320]."""
    return torch.from_numpy(resize_image(image, SIZE)).permute(2, 0, 1)[None]


def decoding(
    theirs: Any,
    ours: DetectionTask,
    raw: list[Any],
    anchors: Any,
    threshold: float,
    threads: int,
    rounds: int,
    report: Any,
) -> None:
    """Decoding alone, on the same scores; and whether the detections are the same."""
    theirs.score_thresh = threshold
    above = statistics.mean(int((logits.softmax(-1)[..., 1:] > threshold).sum()) for logits, _ in raw)
    outputs = [{"cls_logits": logits, "bbox_regression": offsets} for logits, offsets in raw]
    sides = [
        lambda: [theirs.postprocess_detections(dict(one), anchors, [SIZE]) for one in outputs],
        lambda: [decode_detections(*one, ours.anchors.boxes, score_threshold=threshold) for one in raw],
    ]
    report(f"decoding, {above:,.0f} candidates", threads, turns(sides, rounds))
    theirs.score_thresh = threshold
    same = 0
    for (expected,), found in zip(sides[0](), sides[1](), strict=True):
        count = int(found.counts[0])
        same += (
            count == len(expected["scores"])
            and torch.allclose(found.scores[0, :count], expected["scores"], atol=1e-6)
            and torch.allclose(found.boxes[0, :count] * SIZE[0], expected["boxes"], atol=1e-2)
        )
    print(f"{'':32} same detections in {same} of {len(raw)} images")


def training(theirs: Any, ours: DetectionTask, batch: int, threads: int, rounds: int, report: Any) -> None:
    """Matching and loss alone, and a whole step: forward, match, loss, backward."""
    classes = len(ours.spec.names)
    boxes, labels = random_targets(classes, batch, 1, 60)
    images = torch.rand(batch, 3, *SIZE)
    rows = zip(boxes, labels, strict=True)
    wanted = [{"boxes": box[label >= 0] * SIZE[0], "labels": label[label >= 0] + 1} for box, label in rows]
    logits = torch.randn(batch, len(ours.anchors), classes + 1, requires_grad=True)
    offsets = torch.randn(batch, len(ours.anchors), 4, requires_grad=True)
    scaled = theirs.anchor_generator(ImageList(images, [SIZE] * batch), list(theirs.backbone(images[:1]).values()))
    criterion = DetectionLoss()

    def match_theirs() -> Any:
        matched = [
            theirs.proposal_matcher(box_iou(one["boxes"], anchor)) for one, anchor in zip(wanted, scaled, strict=True)
        ]
        return theirs.compute_loss(wanted, {"cls_logits": logits, "bbox_regression": offsets}, scaled, matched)

    def match_ours() -> Any:
        return criterion(logits, offsets, ours.anchors, boxes, labels)

    report("matching and loss", threads, turns([match_theirs, match_ours], rounds))
    theirs.train()
    ours.train()
    listed = list(images)

    def step_theirs() -> None:
        theirs.zero_grad()
        sum(theirs(listed, wanted).values()).backward()

    def step_ours() -> None:
        ours.network.zero_grad()
        x = images.to(memory_format=torch.channels_last)
        sum(criterion(*ours.network(x), ours.anchors, boxes, labels)).backward()

    report(f"training step, batch {batch}", threads, turns([step_theirs, step_ours], max(3, rounds // 4)))
    theirs.eval()
    ours.eval()


if __name__ == "__main__":
    command(main)
