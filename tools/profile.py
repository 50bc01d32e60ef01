"""What a network costs: parameters, multiply-adds and activation memory, part by part.

python tools/profile.py --backbone v3-large --head lraspp --size 1025x2049
python tools/profile.py --backbone timm:mobilenetv4_conv_small --head ssdlite --every-layer
python tools/profile.py --all
"""

import re
import sys
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets import SIDE, check_options
from tasks import TaskError
from tasks.costs import build_network, print_costs, print_paper_rows
from tools.cli import command


def profile(
    backbone: str = "v3-large",
    head: str = "none",
    size: str = "224x224",
    classes: int | None = None,
    width: float | None = None,
    output_stride: Literal[8, 16, 32] | None = None,
    rf2: bool | None = None,
    reduced_tail: bool | None = None,
    minimalistic: bool | None = None,
    small_pictures: bool | None = None,
    head_options: dict[str, Any] | None = None,
    every_layer: bool = False,
    all: bool = False,
) -> None:
    """Print what a network costs; nothing is trained or downloaded.

    Args:
        backbone: v1, v2, mnasnet-a1, mnasnet-b1, v3-large, v3-small, or timm:NAME.
        head: none, classifier, or a head of train_seg or train_det.
        size: height and width of the picture, such as 1025x2049, or one side of a square.
        classes: by default 1000 for the classifier, 19 for segmentation, 90 for detection.
        width: multiplier of the backbone's widths.
        output_stride: of the backbone; by default the head's paper's.
        rf2: halve the last stage; by default as in the head's paper.
        reduced_tail: halve the outputs of V3's last stage; by default as in the head's paper.
        minimalistic: V3 without squeeze-and-excitation, hard-swish and 5x5 kernels.
        small_pictures: the stem for pictures of 32x32.
        head_options: options of the head, such as --head-options.filters 256.
        every_layer: a row for every convolution and linear layer, not for every block.
        all: every row that the papers print, beside what we count.
    """
    if all:
        print_paper_rows()
        return
    sides = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", size)
    if not sides:
        raise TaskError(f'--size "{size}" is not HEIGHTxWIDTH, such as 1025x2049')
    check_options(size=([int(side) for side in sides.groups() if side], 1, SIDE[1]), classes=(classes, 1, 10**5))
    options = {
        "width": width,
        "output_stride": output_stride,
        "rf2": rf2,
        "reduced_tail": reduced_tail,
        "minimalistic": minimalistic,
        "small_pictures": small_pictures,
    }
    network = build_network(backbone, head, classes, head_options, **options)
    print_costs(network, int(sides[1]), int(sides[2] or sides[1]), every_layer)


if __name__ == "__main__":
    command(profile)
