"""How long a file takes from an image to its result, stage by stage, in a process of its own."""

import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backbones.counting import count_costs
from datasets import CentreCrop, resize_image
from deploy.extras import DeployError
from deploy.latency_peers import peer_stages, peers
from deploy.runtimes import BESIDE, load, parts
from heads import arg_max_mask, decode_detections
from tasks.base import Task
from tasks.hub_checkpoints import local_checkpoint
from tasks.wings import WINGS

Image = NDArray[np.uint8]
STAGES = ("preprocess", "network", "decode")
STATUS = Path("/proc/self/status")  # Linux's
SIDE = 2048  # of the matrices whose product measures the machine


@dataclass(frozen=True)
class Latency:
    """What was measured of one file.

    Attributes:
        file: as given.
        task: its kind.
        runtime: what ran it.
        precision: of the file.
        size: height and width of what the network sees.
        threads: of the runtime, and of what is around it.
        milliseconds: of each of `STAGES` and of "total": median, 10th and 90th percentile.
        megabytes: of the file, and of what must lie beside it.
        peak_memory: MiB by which the process grew at most, over loading the file and running it; None where the system
            does not tell.
        madds: multiply-adds of the network; None where they are not counted.
        parts: of a checkpoint, the median of each part of the network.
        peers: what torchvision has for the task, see `deploy.latency_peers.peers`.
        peak_madds: float32 multiply-adds a second that this machine reaches with so many threads, in a matrix product.
    """

    file: str
    task: str
    runtime: str
    precision: str
    size: tuple[int, int]
    threads: int
    milliseconds: dict[str, tuple[float, float, float]]
    megabytes: float
    peak_memory: float | None
    madds: int | None
    peak_madds: float
    parts: dict[str, float] = field(default_factory=dict)
    peers: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def peak_share(self) -> float | None:
        """Multiply-adds a second of the network over the machine's, which are float32 ones whatever the precision."""
        return None if self.madds is None else self.madds / (self.milliseconds["network"][0] / 1000) / self.peak_madds


def measure_apart(what: str | Path, *arguments: Any) -> Latency:
    """`measure` of a file, or `measure_peer` of a name, in a fresh process that nothing else has set or filled.

    Raises:
        CheckpointError, DeployError: see `deploy.load`; or if the runtime takes the process down.
    """
    function: Callable[..., Latency] = measure if isinstance(what, Path) else measure_peer
    with ProcessPoolExecutor(1, get_context("spawn"), _end_with_parent) as pool:
        try:
            return pool.submit(function, what, *arguments).result()
        except BrokenProcessPool:
            raise DeployError(f"{what}: its runtime ended the process that ran it") from None


def _end_with_parent() -> None:
    """Have this process end when the one that began it does, even if that one is killed."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def measure(path: Path, image: Image, threads: int, rounds: int) -> Latency:
    """Run a file on one image again and again.

    Args:
        path: see `deploy.load`; a checkpoint runs in torch at the size of training.
        image: uint8 [H, W, 3].
        threads: of the runtime, torch and OpenCV.
        rounds: how often, after a fifth as often to warm up.
    """
    file, path = path, local_checkpoint(path, BESIDE)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    before = _start_of_memory()
    predictor = load(path, "cpu", threads=threads)
    if isinstance(predictor, Task):
        stages, runtime, precision, size = _stages(predictor), "torch", "float32", predictor.spec.input_size
    else:
        stages = predictor.prepare, predictor.run, predictor.decode
        runtime, precision, size = path.suffix, predictor.description.precision, predictor.size
    spread, after = _spread(stages, image, rounds), _memory("VmHWM")
    network = WINGS[predictor.kind].network
    with torch.device("meta"):
        madds = count_costs(network(predictor.spec), *size).madds
    return Latency(
        file=str(file),
        task=predictor.kind,
        runtime=runtime,
        precision=precision,
        size=(size[0], size[1]),
        threads=threads,
        milliseconds=spread,
        megabytes=sum(part.stat().st_size for part in parts(path)) / 1e6,
        peak_memory=_grown(before, after),
        madds=madds,
        peak_madds=machine_peak(),
        parts=time_parts(predictor, image, rounds) if isinstance(predictor, Task) else {},
        peers=peers(predictor.kind, predictor.spec),
    )


def measure_peer(
    name: str, kind: str, classes: int, size: tuple[int, int], image: Image, threads: int, rounds: int
) -> Latency:
    """Run a network of torchvision's, eager and in float32, on one image again and again.

    Args:
        name: see `deploy.latency_peers.peers`.
        kind: of its task.
        classes: as many as the network has that it stands beside.
        size: of what it sees, height and width.
        image: see `measure`.
        threads: of torch.
        rounds: see `measure`.
    """
    torch.set_num_threads(threads)
    before = _start_of_memory()
    network, stages = peer_stages(name, classes, size)
    spread, after = _spread(stages, image, rounds), _memory("VmHWM")
    return Latency(
        file=f"torchvision's {name}, {size[0]}x{size[1]}",
        task=kind,
        runtime="torch",
        precision="float32",
        size=size,
        threads=threads,
        milliseconds=spread,
        megabytes=sum(value.nbytes for value in network.state_dict().values()) / 1e6,
        peak_memory=_grown(before, after),
        madds=None,
        peak_madds=machine_peak(),
    )


def _spread(stages: tuple[Callable[..., Any], ...], image: Image, rounds: int) -> dict[str, Any]:
    """Median, 10th and 90th percentile of each stage and of all, after a fifth of the rounds to warm up."""
    times = [time_stages(stages, image) for _ in range(rounds + max(3, rounds // 5))][-rounds:]
    spread = np.percentile(times, (50, 10, 90), axis=0).T.tolist()
    return {name: tuple(one) for name, one in zip((*STAGES, "total"), spread, strict=True)}


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else (after - before) / 1024


def time_stages(stages: tuple[Callable[..., Any], ...], image: Image) -> list[float]:
    """Milliseconds of preparing an image, running the network and decoding its outputs, and of all three."""
    prepare, run, decode = stages
    height, width = image.shape[:2]
    times = [time.perf_counter()]
    prepared = prepare(image)
    times.append(time.perf_counter())
    found = run(prepared)
    times.append(time.perf_counter())
    decode(found, (height, width))
    times.append(time.perf_counter())
    return [1000 * step for step in (*np.diff(times), times[-1] - times[0])]


def _stages(task: Any) -> tuple[Callable[..., Any], ...]:
    """The stages of a checkpoint in torch, for one image stretched to the size of training."""
    spec = task.spec
    prepares: dict[str, Callable[[Image], Image]] = {
        "classification": lambda image: CentreCrop(spec.input_size, spec.crop_ratio)(image)
    }
    decodes: dict[str, Callable[[Any, tuple[int, int]], Any]] = {
        "classification": lambda raw, _: raw.softmax(1).numpy(),
        "segmentation": lambda raw, size: arg_max_mask(raw, size)[0].numpy(),
        "detection": lambda raw, _: decode_detections(raw[0], raw[1], task.anchors.boxes, spec.sigmoid),
    }
    decodes["joint"] = lambda raw, size: (decodes["segmentation"](raw[0], size), decodes["detection"](raw[1:], size))
    prepare = prepares.get(task.kind, lambda image: resize_image(image, spec.input_size))

    @torch.inference_mode()
    def run(image: Image) -> Any:
        return task.network(task.normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))

    return prepare, run, torch.inference_mode()(decodes[task.kind])


def time_parts(task: Any, image: Image, rounds: int) -> dict[str, float]:
    """Milliseconds of a network's backbone and head in torch, of a joint one's heads apart; medians."""
    network = task.network
    parts = {"backbone": network.backbone, "head": network.head}
    if task.kind == "joint":
        del parts["head"]
        parts |= dict(network.head.named_children())
    times: dict[str, list[float]] = {name: [] for name in parts}
    for name, part in parts.items():
        part.register_forward_pre_hook(lambda *_, times=times[name]: times.append(-time.perf_counter()))
        part.register_forward_hook(lambda *_, times=times[name]: times.append(times.pop() + time.perf_counter()))
    prepare, run, _ = _stages(task)
    prepared = prepare(image)
    for _ in range(rounds):
        run(prepared)
    return {name: 1000 * float(np.median(found)) for name, found in times.items()}


def machine_peak(kind: torch.dtype = torch.float32, rounds: int = 8) -> float:
    """Multiply-adds a second of a large matrix product, the best of some, with torch's number of threads."""
    one, other = torch.rand(2, SIDE, SIDE).to(kind)
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - started)
    return float(SIDE**3 / min(times))


def _start_of_memory() -> float | None:
    """KiB of this process now, from which on its largest size is counted."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> float | None:
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text()) if STATUS.is_file() else None
    return float(found[1]) if found else None
