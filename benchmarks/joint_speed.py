"""One network for masks and boxes against one for masks and one for boxes: from image to result, in turn.

    python benchmarks/joint_speed.py --joint joint.ckpt --segmenter seg.ckpt --detector det.ckpt --data-root DIR

Each is a checkpoint or an exported file; DIR is a Shapes tree, whose validation images are seen, stretched to 160x160
as a joint network and a detector stretch them. A ratio is the median over rounds of one network's time over another's.
"""

import statistics
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2
import torch

from benchmarks.deploy_speed import Side, one_of, print_machine, turns
from datasets import find_detection, read_image, resize_image
from tasks.base import Task
from tools.cli import command

SIZE = (160, 160)


def main(
    joint: Path, segmenter: Path, detector: Path, data_root: Path, images: int = 20, rounds: int = 30, threads: int = 1
) -> None:
    """Print times, ratios and numbers of parameters.

    Args:
        joint: see above.
        segmenter: see above.
        detector: see above.
        data_root: see above.
        images: how many are timed, the first ones.
        rounds: the networks run in turn this many times.
        threads: of each.
    """
    from deploy import load

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    sides, parameters = [], {}
    for path in (joint, segmenter, detector):
        predictor = load(path, "cpu", threads=threads)
        sides.append(Side(str(path), one_of(predictor)))
        if isinstance(predictor, Task):
            parameters[str(path)] = sum(value.numel() for value in predictor.network.parameters())
    split = find_detection("shapes", "val", data_root)
    print_machine()
    times = turns(sides, [resize_image(read_image(path), SIZE) for path in split.image_paths[:images]], rounds)
    for side, mine in zip(sides, times, strict=True):
        size = f", {parameters[side.name]:,} parameters" if side.name in parameters else ""
        print(f"{side.name}: {statistics.median(mine):.2f} ms{size}")
    rows = [*zip(*times, strict=True)]
    dearer = statistics.median(both / max(masks, boxes) for both, masks, boxes in rows)
    together = statistics.median(both / (masks + boxes) for both, masks, boxes in rows)
    print(f"joint over the dearer of the two {dearer:.2f}, over both together {together:.2f}")


if __name__ == "__main__":
    command(main)
