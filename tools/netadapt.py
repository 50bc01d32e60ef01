"""Cut a trained network layer by layer until it is fast enough on a device (NetAdapt, as MobileNetV3 used it).

python tools/netadapt.py --checkpoint best.ckpt --dataset voc --data-root DIR --latency table.json --target 0.7
python tools/netadapt.py --checkpoint best.ckpt --dataset cifar10 --delta 0.03     # by multiply-adds
python tools/netadapt.py --checkpoint best.ckpt --dataset cifar10 --delta 0.03 --resume --beside runs/w075/eval_test
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from search.adaptation_options import Adaptation
from search.search_options import Place, SearchData
from tasks.errors import require_checkpoint
from tools.cli import command


def netadapt(
    config_text: str,
    data: SearchData,
    options: Adaptation,
    place: Place,
    checkpoint: Path,
    latency: Path | None = None,
    interpolate: bool = False,
    beside: list[str] | None = None,
) -> Path:
    """Write a checkpoint for every iteration, each narrower and faster than the one before, and a page on them all.

    A search that was stopped goes on with --resume. At the end stands the command that trains the last network for
    long, without which its accuracy is that of some hundred steps.

    Args:
        config_text: all options as YAML.
        data: what is trained and judged on.
        options: how the network is cut.
        place: where the search goes.
        checkpoint: of a classifier, LR-ASPP or SSDLite, written by training.
        latency: what layers take on the device, written by tools/latency_table.py; by default multiply-adds are counted
            in place of milliseconds.
        interpolate: layers that the latency table lacks, between those with fewer and more channels.
        beside: scores.json of the evaluation tools, or their folders, whose networks are drawn beside the search's own:
            the family of a width multiplier, or iterations that were trained for long. With --resume, a search that is
            finished only draws them.
    """
    require_checkpoint(checkpoint)
    from search.adaptation import adapt

    others = [*map(Path, beside or [])]
    return adapt(checkpoint, latency, interpolate, others, data, options, place, config_text)


if __name__ == "__main__":
    command(netadapt)
