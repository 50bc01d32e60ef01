"""What networks cost: any backbone under any head, and the rows that the papers print."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table as Printed
from torch import nn

from backbones import build_backbone, create_table
from backbones.costs import LayerCosts, count_costs, count_layers
from heads import DETECTION_HEADS, SEGMENTATION_HEADS
from tasks.classification import ClassificationNetwork, ClassificationSpec
from tasks.detection import DetectionNetwork, DetectionSpec, detection_table
from tasks.segmentation import SegmentationNetwork, SegmentationSpec, segmentation_table

CLASSES = {"classifier": 1000, **dict.fromkeys(SEGMENTATION_HEADS, 19), **dict.fromkeys(DETECTION_HEADS, 90)}


def build_network(
    backbone: str,
    head: str = "none",
    classes: int | None = None,
    head_options: dict[str, Any] | None = None,
    **options: Any,
) -> nn.Module:
    """A backbone under a head, without values (on the device "meta").

    Args:
        backbone: see `backbones.create_backbone`.
        head: "none", "classifier", or the name of a head for segmentation or detection.
        classes: without background for detection; by default ImageNet's 1000, Cityscapes' 19 or COCO's 90 ids.
        head_options: of the head.
        **options: of the backbone; those that are None are the head's paper's.

    Raises:
        BackboneError, HeadError: for an unknown backbone, head or option; names the nearest one.
    """
    given = {key: value for key, value in options.items() if value is not None}
    names = [str(index) for index in range(classes or CLASSES.get(head, 0))]
    rest: Any = (head, names, [(0, 0, 0)] * len(names), (64, 64), head_options or {})
    with torch.device("meta"):
        if head == "none":
            return build_backbone(create_table(backbone, **given))
        if head == "classifier":
            return ClassificationNetwork(ClassificationSpec(create_table(backbone, **given), *rest))
        if head in DETECTION_HEADS:
            return DetectionNetwork(DetectionSpec(detection_table(backbone, **given), *rest))
        return SegmentationNetwork(SegmentationSpec(segmentation_table(backbone, head, **given), *rest))


@dataclass(frozen=True)
class PaperRow:
    """A row of a paper's table.

    Attributes:
        paper: and where it stands there.
        name: of the row.
        params: printed, in millions.
        madds: printed, in millions.
        size: height and width of the picture.
        norm: whether the printed parameters count batch norm's.
        network: arguments of `build_network`.
        note: why our count is further than 2.5 % from what is printed.
    """

    paper: str
    name: str
    params: float
    madds: float
    size: tuple[int, int]
    norm: bool
    network: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    def count(self) -> tuple[int, int]:
        """Parameters, as the paper counts them, and multiply-adds of our network."""
        costs = count_costs(build_network(**self.network), *self.size)
        return costs.params if self.norm else costs.params_without_norm, costs.madds


def _imagenet(
    paper: str, name: str, backbone: str, params: float, madds: float, classes: int, side: int = 224, **options: Any
) -> PaperRow:
    network = {"backbone": backbone, "head": "classifier", "classes": classes, **options}
    return PaperRow(paper, name, params, madds, (side, side), backbone not in ("v1", "v2"), network)


def _ssdlite(name: str, backbone: str, params: float, madds: float, classes: int = 90, **options: Any) -> PaperRow:
    network = {"backbone": backbone, "head": "ssdlite", "classes": classes, **options}
    return PaperRow("V3, Table 6", name, params, madds, (320, 320), False, network)


def _cityscapes(name: str, backbone: str, head: str, filters: int, params: float, madds: float) -> PaperRow:
    network = {"backbone": backbone, "head": head, "head_options": {"filters": filters}}
    return PaperRow("V3, Table 7", f"{name} {filters}", params, madds, (1025, 2049), True, network)


V1, V2, V3, MNASNET = "V1, Tables 6, 7", "V2, Table 4", "V3, Tables 3, 4", "MnasNet, Table 1"
PAPER_ROWS = (
    _imagenet(V1, "V1 1.0", "v1", 4.2, 569, 1001),
    _imagenet(V1, "V1 0.75", "v1", 2.6, 325, 1001, width=0.75),
    _imagenet(V1, "V1 0.5", "v1", 1.3, 149, 1001, width=0.5),
    replace(_imagenet(V1, "V1 0.25", "v1", 0.5, 41, 1001, width=0.25), note="the paper prints 0.46 M as 0.5"),
    _imagenet(V1, "V1 1.0 at 192", "v1", 4.2, 418, 1001, 192),
    _imagenet(V1, "V1 1.0 at 160", "v1", 4.2, 290, 1001, 160),
    _imagenet(V1, "V1 1.0 at 128", "v1", 4.2, 186, 1001, 128),
    _imagenet(V2, "V2 1.0", "v2", 3.47, 300, 1001),
    _imagenet(V2, "V2 1.4", "v2", 6.06, 582, 1001, width=1.4),
    _imagenet(V2, "V2 0.75", "v2", 2.61, 209, 1001, width=0.75),
    _imagenet(V2, "V2 0.5", "v2", 1.95, 97, 1001, width=0.5),
    _imagenet(V3, "V3-Large 1.0", "v3-large", 5.4, 219, 1001),
    _imagenet(V3, "V3-Large 0.75", "v3-large", 4.0, 155, 1001, width=0.75),
    _imagenet(V3, "V3-Small 1.0", "v3-small", 2.5, 56, 1001),
    _imagenet(V3, "V3-Small 0.75", "v3-small", 2.0, 44, 1001, width=0.75),
    _imagenet("Google's code", "V3-Large minimalistic", "v3-large", 3.9, 209, 1001, minimalistic=True),
    _imagenet(MNASNET, "MnasNet-A1", "mnasnet-a1", 3.9, 312, 1000),
    _ssdlite("V1 SSDLite", "v1", 5.1, 1300, 80),
    _ssdlite("V2 SSDLite", "v2", 4.3, 800, 80),
    _ssdlite("MnasNet SSDLite", "mnasnet-a1", 4.88, 840, round_squeeze=True),
    _ssdlite("V3-Large SSDLite", "v3-large", 4.97, 620, reduced_tail=False),
    _ssdlite("V3-Large SSDLite reduced", "v3-large", 3.22, 510),
    _ssdlite("V3-Small SSDLite", "v3-small", 2.49, 210, reduced_tail=False),
    _ssdlite("V3-Small SSDLite reduced", "v3-small", 1.77, 160),
    _cityscapes("V2 R-ASPP", "v2", "raspp", 256, 2.11, 21290),
    _cityscapes("V2 RF2 LR-ASPP", "v2", "lraspp", 256, 1.02, 12830),
    _cityscapes("V2 RF2 LR-ASPP", "v2", "lraspp", 128, 0.98, 12570),
    _cityscapes("V3-Large R-ASPP", "v3-large", "raspp", 256, 3.60, 18430),
    _cityscapes("V3-Large RF2 LR-ASPP", "v3-large", "lraspp", 256, 1.63, 10330),
    _cityscapes("V3-Large RF2 LR-ASPP", "v3-large", "lraspp", 128, 1.51, 9740),
    replace(
        _cityscapes("V3-Small RF2 LR-ASPP", "v3-small", "lraspp", 128, 0.47, 2900),
        note="the paper's profiler charges element-wise work too",
    ),
    PaperRow(
        "V2, Table 7", "V2 R-ASPP on VOC", 2.11, 2750, (513, 513), True,
        {"backbone": "v2", "head": "raspp", "classes": 21},
    ),
)  # fmt: skip


def print_paper_rows() -> None:
    """Print every row of `PAPER_ROWS`, printed and counted, and how far they are apart."""
    table = _plain("parameters and multiply-adds, M", *("printed", "counted", "apart") * 2)
    paper = ""
    for row in PAPER_ROWS:
        if row.paper != paper:
            table.add_section()
            table.add_row(f"[bold]{row.paper}")
            paper = row.paper
        params, madds = row.count()
        cells = [f"{row.params:g}", f"{params / 1e6:.4f}", f"{params / row.params / 1e4 - 100:+.1f} %"]
        cells += [f"{row.madds:g}", f"{madds / 1e6:.2f}", f"{madds / row.madds / 1e4 - 100:+.1f} %"]
        table.add_row(row.name, *cells)
    Console().print(table)
    for row in PAPER_ROWS:
        if row.note:
            print(f"{row.name}: {row.note}")


def print_costs(network: nn.Module, height: int, width: int, every_layer: bool = False) -> None:
    """Print what the parts of a network cost, and totals as the papers count them.

    Args:
        network: any module that takes one batch of pictures.
        height: of the picture, in pixels.
        width: likewise.
        every_layer: a row for every convolution and linear layer, not for every block.
    """
    layers = count_layers(network, height, width)
    total = count_costs(network, height, width)
    table = _plain(*(["layer", "kind"] if every_layer else ["part"]), "output", "params", "MAdds, M", "MiB", "share")
    for part in [[layer] for layer in layers] if every_layer else _blocks(layers):
        madds = sum(layer.madds for layer in part)
        table.add_row(
            *([part[0].name, part[0].kind] if every_layer else [_block(part[0])]),
            "x".join(map(str, part[-1].output)),
            f"{sum(layer.params for layer in part):,}",
            f"{madds / 1e6:,.2f}",
            f"{sum(map(_bytes, part)) / 2**20:.2f}",
            f"{madds / max(1, total.madds):.1%}",
        )
    Console(width=max(Console().width, 110)).print(table)
    print(
        f"{height}x{width}: {total.madds / 1e6:,.2f} M multiply-adds\n"
        f"parameters {total.params:,} (V3 and MnasNet papers), {total.params_without_norm:,} without batch norm "
        f"(V1, V2, and V3's SSDLite)\n"
        f"activations {sum(map(_bytes, layers)) / 2**20:,.1f} MiB in float32, the largest "
        f"{max(map(_bytes, layers)) / 2**20:,.1f} MiB"
    )


def _plain(*columns: str) -> Printed:
    """A table without lines that fits a narrow terminal; numbers stand to the right."""
    table = Printed(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    return table


def _blocks(layers: Sequence[LayerCosts]) -> list[list[LayerCosts]]:
    """Layers that belong together: those of a block of the backbone, or of a part of the head."""
    parts: list[list[LayerCosts]] = []
    for layer in layers:
        if parts and _block(parts[-1][0]) == _block(layer):
            parts[-1].append(layer)
        else:
            parts.append([layer])
    return parts


def _block(layer: LayerCosts) -> str:
    """Its name up to the first number, or without its last part."""
    words = layer.name.split(".")
    numbered = [index for index, word in enumerate(words) if word.isdigit()]
    return ".".join(words[: numbered[0] + 1] if numbered else words[: max(1, len(words) - 1)])


def _bytes(layer: LayerCosts) -> int:
    return 4 * math.prod(layer.output)
