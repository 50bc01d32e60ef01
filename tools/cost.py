"""What a network costs: parameters, multiply-adds and activation memory, part by part.

python tools/cost.py --backbone v3-large --head lraspp --size 1025 2049
python tools/cost.py --backbone timm:mobilenetv4_conv_small --head ssdlite --every-layer
python tools/cost.py --backbone v3-small --head lraspp --size 360 480 --classes 11 --latency table.json
python tools/cost.py --all
"""

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from backbones.backbone_options import BackboneOptions
from datasets.ranges import SIDE, check_options
from tasks.errors import TaskError
from tools.cli import command


def cost(
    backbone_options: BackboneOptions,
    backbone: str = "v3-large",
    head: str = "none",
    size: tuple[int, int] = (224, 224),
    classes: int | None = None,
    head_options: dict[str, Any] | None = None,
    auxiliary: float = 0.0,
    every_layer: bool = False,
    latency: Path | None = None,
    all: bool = False,
) -> None:
    """Print what a network costs, as the training tools build it under the same options; nothing is trained.

    Args:
        backbone_options: what the backbone is built with.
        backbone: v1, v2, mnasnet-a1, mnasnet-b1, v3-large, v3-small, timm:NAME, or hf://OWNER/NAME.
        head: none, classifier, or a head of train_seg, train_det or train_joint.
        size: height and width of the image.
        classes: by default 1000 for the classifier, 19 for segmentation, 90 for detection.
        head_options: options of the head, such as --head-options.filters 256.
        auxiliary: as in train_seg: above 0, the auxiliary head's parameters count too; prediction does not run it.
        every_layer: a row for every convolution and linear layer, not for every block.
        latency: a table of tools/latency_table.py, from which the network's latency is told.
        all: the rows that the papers and their code's pages print, beside what we count.
    """
    check_options(size=(size, 1, SIDE[1]), classes=(classes, 1, 10**5), auxiliary=(auxiliary, 0, 100))
    if latency is not None and head == "none":
        raise TaskError(f"--latency {latency}: prices whole networks; give a --head")
    from tasks.costs import build_network, build_spec, print_costs
    from tasks.paper_costs import print_paper_rows

    if all:
        print_paper_rows()
        return
    network = build_network(backbone, head, classes, head_options, backbone_options, size, auxiliary > 0)
    print_costs(network, *size, every_layer)
    if latency is not None:
        from search.latencies import open_table

        spec = build_spec(backbone, head, classes, head_options, backbone_options, size)
        print(f"{open_table(latency, spec).price(spec):.2f} ms")


if __name__ == "__main__":
    command(cost)
