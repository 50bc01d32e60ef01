"""What evaluation costs beside the network at full image size: upsampling, arg-max and confusion matrix.

    python benchmarks/eval_speed.py --checkpoint best.ckpt --image street.jpg --size 1024 2048

The image is resized to the size first. Prints, for one thread and two: the network's time, ours for upsampling and
arg-max beside the naive way (resize all classes, arg-max), the confusion matrix, the share (upsampling, arg-max and
matrix over network), the largest tensor of each way, and whether the masks are equal bit for bit.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from datasets import read_image
from heads import arg_max_mask, resize
from tasks import SegmentationTask
from tasks.segmentation.metrics import ConfusionMatrix
from tools.cli import command


class LargestTensor(TorchDispatchMode):
    """Remembers the largest result of any operation, in MiB."""

    def __init__(self) -> None:
        super().__init__()
        self.mebibytes = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.mebibytes = max(self.mebibytes, tensor.numel() * tensor.element_size() / 2**20)
        return result


def milliseconds(action: Callable[[], Any], rounds: int) -> float:
    """Median time of an action after one call of warm-up."""
    action()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def largest(action: Callable[[], Any]) -> float:
    """The largest tensor that an action makes, in MiB."""
    with LargestTensor() as memory:
        action()
    return memory.mebibytes


@torch.inference_mode()
def main(checkpoint: Path, image: Path, size: tuple[int, int] = (1024, 2048), rounds: int = 7) -> None:
    """Print the times and their ratio.

    Args:
        checkpoint: a trained network; untrained logits would tie and say nothing.
        image: what the network sees.
        size: height and width that the image is resized to.
        rounds: medians are over this many.
    """
    task = SegmentationTask.load(checkpoint, "cpu")
    resized = cv2.resize(read_image(image), (size[1], size[0]))
    x = task.normalise(torch.from_numpy(resized).permute(2, 0, 1)[None])
    logits = task.network(x).contiguous()
    mask = arg_max_mask(logits, size)
    truth = mask.long()
    print(f"{size[0]}x{size[1]}, {logits.shape[1]} classes, logits {tuple(logits.shape[2:])}")
    print("threads  network   ours  naive  matrix ms   share  naive's share")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        matrix = ConfusionMatrix(logits.shape[1])
        network = milliseconds(lambda: task.network(x), rounds)
        ours = milliseconds(lambda: arg_max_mask(logits, size), rounds)
        naive = milliseconds(lambda: resize(logits, size).argmax(1), rounds)
        counting = milliseconds(lambda matrix=matrix: matrix.update(mask, truth), rounds)
        shares = [(way + counting) / network for way in (ours, naive)]
        print(
            f"{threads:>7} {network:8.1f} {ours:6.1f} {naive:6.1f} {counting:7.1f}    {shares[0]:6.3f} {shares[1]:8.3f}"
        )
    tensors = [largest(lambda: arg_max_mask(logits, size)), largest(lambda: resize(logits, size).argmax(1))]
    print(f"largest tensor: ours {tensors[0]:.1f} MiB, naive {tensors[1]:.1f} MiB")
    print(f"masks equal bit for bit: {torch.equal(arg_max_mask(logits, size).long(), resize(logits, size).argmax(1))}")


if __name__ == "__main__":
    command(main)
