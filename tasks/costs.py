"""What networks cost: any backbone under any head, as training builds it."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from backbones import BackboneOptions, build_backbone, create_table
from backbones.counting import LayerCosts, count_costs, count_layers
from tasks.base import Spec
from tasks.errors import TaskError
from tasks.options import Network
from tasks.segmentation.options import SegmentationOptions
from tasks.wings import WINGS, wing_of


def build_network(
    backbone: str,
    head: str = "none",
    classes: int | None = None,
    head_options: dict[str, Any] | None = None,
    options: BackboneOptions | None = None,
    size: tuple[int, int] = (224, 224),
    auxiliary: bool = False,
) -> nn.Module:
    """A backbone under a head, as the training tools build it, without values (on the device "meta").

    Args:
        backbone: see `backbones.create_backbone`.
        head: "none", "classifier", or the name of a head for segmentation or detection.
        classes: without background for detection; by default ImageNet's 1000, Cityscapes' 19 or COCO's 90 ids.
        head_options: of the head.
        options: of the backbone; what is left out is the head's paper's.
        size: height and width of the images; a classifier for small ones has another stem.
        auxiliary: whether a segmentation network has its auxiliary head.

    Raises:
        BackboneError, HeadError: for an unknown backbone, head or option; names the nearest one.
        TaskError: for less than one class, or an auxiliary head where there is none.
    """
    if head == "none":
        if auxiliary:
            raise TaskError("--auxiliary is for segmentation heads, not for --head none")
        with torch.device("meta"):
            return build_backbone(create_table(backbone, **(options or BackboneOptions()).given()))
    spec = build_spec(backbone, head, classes, head_options, options, size, auxiliary)
    with torch.device("meta"):
        return wing_of(spec).network(spec)


def build_spec(
    backbone: str,
    head: str,
    classes: int | None = None,
    head_options: dict[str, Any] | None = None,
    options: BackboneOptions | None = None,
    size: tuple[int, int] = (224, 224),
    auxiliary: bool = False,
) -> Spec:
    """The spec of a backbone under a head, whose classes have numbers for names; see `build_network`."""
    if classes is not None and classes < 1:
        raise TaskError(f"--classes {classes} is less than one class")
    # whoever misspells a head is told of segmentation's, of which there are most
    wing = next((wing for wing in WINGS.values() if head in wing.heads), WINGS["segmentation"])
    if auxiliary and wing.task.kind != "segmentation":
        raise TaskError(f"--auxiliary is for segmentation heads, not for --head {head}")
    names = [str(index) for index in range(classes or wing.classes)]
    network = Network(backbone, head=head, head_options=head_options)
    own = SegmentationOptions(auxiliary=1.0) if auxiliary else None
    colours = [(0, 0, 0)] * len(names)
    return wing.make_spec(network, options or BackboneOptions(), names, colours, size, own)


def print_costs(network: nn.Module, height: int, width: int, every_layer: bool = False) -> None:
    """Print what the parts of a network cost, and totals as the papers count them.

    Args:
        network: any module that takes one batch of images.
        height: of the image, in pixels.
        width: likewise.
        every_layer: a row for every convolution and linear layer, not for every block.
    """
    layers = count_layers(network, height, width)
    total = count_costs(network, height, width)
    table = plain_table(
        *(["layer", "kind"] if every_layer else ["part"]), "output", "params", "MAdds, M", "MiB", "share"
    )
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
    wide_console().print(table)
    print(
        f"{height}x{width}: {total.madds / 1e6:,.2f} M multiply-adds\n"
        f"parameters {total.params:,} (V3 and MnasNet papers), {total.params_without_norm:,} without batch norm "
        f"(V1, V2, and V3's SSDLite)\n"
        f"activations {sum(map(_bytes, layers)) / 2**20:,.1f} MiB in float32, the largest "
        f"{max(map(_bytes, layers)) / 2**20:,.1f} MiB"
    )


def wide_console() -> Console:
    """A table is no use folded, so a narrow terminal folds its lines itself."""
    return Console(width=max(Console().width, 110))


def plain_table(*columns: str) -> Table:
    """A table without lines that fits a narrow terminal; numbers stand to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
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
