"""Deployed networks on one thread, from uint8 image to result, against torchvision's way in eager float32.

    python benchmarks/deploy_speed.py --segmenter runs/lraspp_coco/best.ckpt --data-root DIR --files best_int8.tflite
    python benchmarks/deploy_speed.py --detector runs/ssdlite_coco/best.ckpt --data-root DIR --files best_int8.xml

Both are trained v3-large (untrained scores tie, and prove nothing): LR-ASPP on VOC's 21 classes of COCO at 512x512, and
SSDLite (ssdlite-torchvision) on COCO's 80 at 320x320; DIR is a COCO tree. A checkpoint is exported to ONNX and OpenVINO
first, with its decoding in the graph and behind it in NumPy; --files are others of the same network, such as int8 ones.

All sides run in turn on images of the split, and a ratio is the median over rounds of torchvision's time over a side's
own. Beside it stand the agreement with torchvision's results (share of pixels; share of boxes above 0.1 that have a
counterpart of IoU 0.95 and a score within 0.02), the score on the split, and the share of what this machine reaches in
a matrix product of the same precision (of float32 for int8). Images of segmentation are 512x512 beforehand; those of
detection have their own size, and agreement and AP are of images that are 320x320 already, for torchvision resizes
otherwise.

A head that torchvision does not have (--head lraspp) runs on both sides, there as torchvision would run it: batch norms
as layers, NCHW, all classes resized; torchvision's own LR-ASPP with random weights is timed beside it.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from torchvision.ops import box_iou

from backbones.counting import count_costs
from benchmarks.detection_speed import twin
from datasets import read_image, resize_image
from datasets.segmentation.dataset import read_pair
from deploy import export, load
from deploy.latency import machine_peak
from deploy.openvino_file import OpenvinoFormat
from deploy.predictors import PREDICTORS
from tasks import DetectionTask, SegmentationTask
from tasks.detection.detections import Detections
from tasks.detection.metrics import coco_scores
from tasks.segmentation.metrics import ConfusionMatrix
from tasks.torchvision_checkpoints import lraspp_keys
from tasks.wings import WINGS, load_task
from tools.cli import command

Image = NDArray[np.uint8]
FLAGS = ("avx2", "avx512f", "vnni", "bf16", "amx")
KINDS = {"segmentation": ("logits", "mask"), "detection": ("raw", "boxes")}


@dataclass
class Side:
    """One way from an image to its result, and what came of it."""

    name: str
    predict: Callable[[Image], Any]
    precision: str = "float32"
    trained: bool = True
    megabytes: float | None = None


def main(
    segmenter: Path | None = None,
    detector: Path | None = None,
    data_root: Path | None = None,
    split: str = "val",
    files: list[str] | None = None,
    output: Path = Path("deploy_speed"),
    images: int = 8,
    rounds: int = 15,
) -> None:
    """Print times, ratios, agreement and scores.

    Args:
        segmenter: see above; one of the two is given.
        detector: see above.
        data_root: a COCO tree.
        split: of it.
        files: further exported files of the same network.
        output: folder for the exported files; those that are there are taken.
        images: how many are timed, the first ones of the split.
        rounds: the sides run in turn this many times.
    """
    checkpoint = segmenter or detector
    assert checkpoint is not None, "give --segmenter or --detector"
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    task = load_task(checkpoint, "cpu")
    classes = "voc" if len(task.spec.names) == 21 else None
    (split_files,) = WINGS[task.kind].find_files("coco", [split], data_root, classes=classes)
    exported = [path for format in ("onnx", "openvino") for path in exports(checkpoint, task.kind, format, output)]
    sides = [*(peers(task)), *deployed([*exported, *map(Path, files or [])])]
    print_machine()
    if isinstance(task, SegmentationTask):
        samples = [sized(*read_pair(split_files, *pair), task.spec.input_size) for pair in split_files.pairs]
        scored = [image for image, _ in samples]
        timed, score = scored[:images], partial(miou, [mask for _, mask in samples], len(task.spec.names))
        agreement: Callable[[Any, Any], float] = pixels_agreed
    else:
        timed = [read_image(path) for path in split_files.image_paths]
        scored = [resize_image(image, task.spec.input_size) for image in timed]
        score = partial(average_precision, split_files, [image.shape[:2] for image in timed], task.spec.input_size)
        timed, agreement = timed[:images], boxes_agreed
    network = WINGS[task.kind].network
    with torch.device("meta"):
        madds = count_costs(network(task.spec), *task.spec.input_size).madds
    times = turns(sides, timed, rounds)
    peaks = {kind: machine_peak(getattr(torch, kind)) for kind in ("float32", "bfloat16")}
    told = ", ".join(f"{kind} {peak / 1e9:.0f} G" for kind, peak in peaks.items())
    print(f"{checkpoint}: {madds / 1e6:,.0f} M multiply-adds; one thread reaches {told} a second in matrix products")
    print(
        f"{len(timed)} images timed over {rounds} rounds, {len(scored)} scored; shares of the peak are of the whole way"
    )
    print(f"{'':44}      ms  ratio  agreement   score  of peak      MB")
    expected = [sides[0].predict(image) for image in scored]
    for side, mine in zip(sides, times, strict=True):
        ratio = statistics.median(a / b for a, b in zip(times[0], mine, strict=True))
        found = [side.predict(image) for image in scored] if side.trained else None
        agreed = "" if found is None else f"{agreement(expected, found):10.3%} {100 * score(found):7.2f}"
        share = madds / (statistics.median(mine) / 1000) / peaks.get(side.precision, peaks["float32"])
        size = "" if side.megabytes is None else f"{side.megabytes:7.2f}"
        print(f"{side.name:44} {statistics.median(mine):7.2f} {ratio:6.2f} {agreed:18} {share:8.0%} {size}", flush=True)


def exports(checkpoint: Path, kind: str, format: str, folder: Path) -> list[Path]:
    """The checkpoint in a format, once with the decoding behind it and once with it inside."""
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[format]
    paths = [folder / f"{checkpoint.parent.name}_{output_kind}{suffix}" for output_kind in KINDS[kind]]
    for path, output_kind in zip(paths, KINDS[kind], strict=True):
        if not path.is_file():
            export(checkpoint, format, path, output_kind)
    return paths


def deployed(paths: list[Path]) -> list[Side]:
    """Exported files on one thread; those of OpenVINO in bfloat16 too."""
    sides = []
    for path in paths:
        predictor = load(path, threads=1)
        precision, size = predictor.description.precision, path.stat().st_size
        if path.suffix == ".xml":
            size += path.with_suffix(".bin").stat().st_size
        name = f"{path.name}, {precision}"
        sides.append(Side(name, one_of(predictor), precision, megabytes=size / 1e6))
        if path.suffix == ".xml" and precision == "float32":
            run = OpenvinoFormat().start(path, str(path), threads=1, precision="bf16")
            reduced = PREDICTORS[predictor.kind](predictor.description, run)
            sides.append(Side(f"{path.name}, bfloat16", one_of(reduced), "bfloat16", megabytes=size / 1e6))
    return sides


def one_of(predictor: Any) -> Callable[[Image], Any]:
    """`predict` of one image."""
    return lambda image: predictor.predict([image])[0]


def peers(task: Any) -> list[Side]:
    """torchvision's way, which the ratios are against, and ours in torch."""
    own = Side("ours in torch", one_of(load_fold(task)))
    if isinstance(task, DetectionTask):
        return [Side("torchvision, eager", partial(detect, twin(task))), own]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (task.spec.mean, task.spec.std))
    plain = torch.nn.Sequential(task.network).to(memory_format=torch.contiguous_format)[0]
    sides = []
    network: Any = lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=len(task.spec.names)
    ).eval()
    trained = task.spec.head == "lraspp-torchvision"
    if trained:
        network.load_state_dict(torchvisions_state(task))
    else:
        sides = [Side(f"eager as torchvision's, {name}", partial(segment, plain, mean, std, arg)) for name, arg in ARGS]
    title = "torchvision, eager" if trained else "torchvision's own LR-ASPP, random"
    for name, arg in ARGS:
        sides.append(Side(f"{title}, {name}", partial(segment, network, mean, std, arg), trained=trained))
    return [*sides, own]


ARGS: list[tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = [
    ("argmax(1)", lambda logits: logits.argmax(1)),
    ("max(1)[1]", lambda logits: logits.max(1)[1]),
]


def load_fold(task: Any) -> Any:
    """A copy that predicts as the evaluation tools do it."""
    copy = type(task)(task.spec)
    copy.load_state_dict(task.state_dict())
    return copy.eval().fold()


def torchvisions_state(task: SegmentationTask) -> dict[str, torch.Tensor]:
    """The weights of `--head lraspp-torchvision` under torchvision's keys."""
    own = task.network.state_dict()
    return {theirs: own[ours] for ours, theirs in lraspp_keys(task.network).items()}


@torch.inference_mode()
def segment(network: Any, mean: Any, std: Any, arg: Callable[[Any], Any], image: Image) -> Image:
    """uint8 [H, W, 3] -> uint8 [H, W], all classes resized."""
    x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 - mean) / std
    logits = network(x.contiguous())
    if isinstance(logits, dict):
        logits = logits["out"]
    else:
        logits = F.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)
    return arg(logits)[0].to(torch.uint8).numpy()


@torch.inference_mode()
def detect(network: Any, image: Image) -> Detections:
    """uint8 [H, W, 3] -> detections in its pixels."""
    (found,) = network([torch.from_numpy(image).permute(2, 0, 1).float() / 255])
    return Detections(found["boxes"].numpy(), found["scores"].numpy(), found["labels"].numpy() - 1)


def turns(sides: list[Side], images: list[Image], rounds: int) -> list[list[float]]:
    """Milliseconds an image of each side in each round, run in turn after one round of warm-up."""
    times: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for side, found in zip(sides, times, strict=True):
            started = time.perf_counter()
            for image in images:
                side.predict(image)
            if number:
                found.append(1000 * (time.perf_counter() - started) / len(images))
    return times


def sized(image: Image, mask: Image, size: tuple[int, int]) -> tuple[Image, Image]:
    """An image and its mask, both resized."""
    return resize_image(image, size), cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[return-value]


def pixels_agreed(expected: list[Image], found: list[Image]) -> float:
    """Share of pixels of the same class."""
    return float(np.mean([(one == other).mean() for one, other in zip(expected, found, strict=True)]))


def boxes_agreed(expected: list[Detections], found: list[Detections], least: float = 0.1) -> float:
    """Share of boxes of either side that have a counterpart in the other."""
    agreed = total = 0
    for pair in zip(expected, found, strict=True):
        for one, other in (pair, pair[::-1]):
            chosen = one.scores > least
            total += int(chosen.sum())
            if not chosen.any() or not len(other.scores):
                continue
            iou = box_iou(torch.as_tensor(one.boxes[chosen]), torch.as_tensor(other.boxes)).numpy()
            near = np.abs(one.scores[chosen][:, None] - other.scores) < 0.02
            agreed += int(((iou > 0.95) & near & (one.labels[chosen][:, None] == other.labels)).any(1).sum())
    return agreed / max(1, total)


def miou(truth: list[Image], classes: int, found: list[Image]) -> float:
    """Mean IoU of masks."""
    matrix = ConfusionMatrix(classes)
    for mask, expected in zip(found, truth, strict=True):
        matrix.update(torch.from_numpy(mask), torch.from_numpy(expected))
    return matrix.scores().miou


def average_precision(files: Any, sizes: list[Any], seen: tuple[int, int], found: list[Detections]) -> float:
    """COCO's AP of detections in images that were resized to `seen`."""
    scaled = []
    for one, (height, width) in zip(found, sizes, strict=True):
        scale = np.array([width / seen[1], height / seen[0]] * 2, dtype=np.float32)
        scaled.append(Detections(one.boxes * scale, one.scores, one.labels))
    return float(coco_scores(files, scaled, "faster").stats[0])


def print_machine() -> None:
    """The processor, and those of its flags that fast networks live on."""
    info = Path("/proc/cpuinfo")
    lines = dict(
        line.split(":", 1) for line in (info.read_text() if info.is_file() else "").splitlines() if ":" in line
    )
    entries = {key.strip(): value.strip() for key, value in lines.items()}
    flags = [flag for flag in entries.get("flags", "").split() if any(name in flag for name in FLAGS)]
    print(f"{entries.get('model name', 'processor')}: {' '.join(flags) or 'flags unknown'}; torch {torch.__version__}")


if __name__ == "__main__":
    command(main)
