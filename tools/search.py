"""Search for the network that is best at a latency of one's own device, among variations of MobileNetV3's table.

python tools/search.py --dataset cifar10 --latency table.json --target-ms 5 --trials 100
python tools/search.py --dataset voc --data-root DIR --task segmentation --latency table.json --target-ms 40 --resume
python tools/search.py --latency table.json --target-ms 5 --processes 2 --check 8

The latency table is one of tools/latency_table.py, for the same head and size.
"""

import sys
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from backbones.backbone_options import BackboneOptions
from datasets.ranges import check_options
from search.search_options import Controller, Place, Proxy, SearchData
from tools.cli import command


def search(
    config_text: str,
    latency: Path,
    target_ms: float,
    backbone_options: BackboneOptions,
    data: SearchData,
    proxy: Proxy,
    controller: Controller,
    place: Place,
    task: Literal["classification", "segmentation", "detection"] = "classification",
    backbone: Literal["v3-small", "v3-large"] = "v3-small",
    head: str | None = None,
    head_options: dict[str, Any] | None = None,
    interpolate: bool = False,
) -> Path:
    """Train some of V3's variations shortly, and keep the one with the most accuracy for its latency.

    Args:
        config_text: the options as YAML.
        latency: a table of measured layers.
        target_ms: latency to aim at, in milliseconds by the table.
        backbone_options: what V3's table is made with, before it is varied.
        data: what networks are trained on and judged by.
        proxy: the short training of each.
        controller: what is tried.
        place: where the search goes.
        task: what the network is for.
        backbone: whose table is varied, v3-small or v3-large.
        head: as in training, one that the latency table has.
        head_options: likewise.
        interpolate: layers that the latency table lacks, between those with fewer and more channels.
    """
    check_options(target_ms=(target_ms, 1e-6, 1e9))
    from deploy.extras import require

    require("optuna", "search", "a search")
    from search.architecture_search import search_architecture
    from search.latencies import open_table
    from search.proxy import Judge
    from tasks.options import Network

    network = Network(backbone, head, head_options=head_options)
    how = (data, proxy, controller, target_ms)
    judge = Judge(task, network, backbone_options, *how, lambda spec: open_table(latency, spec, interpolate).price)
    return search_architecture(judge, place, config_text)


if __name__ == "__main__":
    command(search)
