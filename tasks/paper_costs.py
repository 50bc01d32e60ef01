"""The rows that the papers and their code's pages print, beside what our networks count to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import nn

from backbones import BackboneOptions
from backbones.counting import count_costs, count_profiled
from heads import SEGMENTATION_HEADS
from tasks.costs import build_network, plain_table, wide_console


@dataclass(frozen=True)
class PaperRow:
    """A row of a paper's table.

    Attributes:
        paper: and where it stands there.
        name: of the row.
        params: printed, in millions, or None.
        madds: printed, in millions, or None.
        size: height and width of the image.
        norm: whether the printed parameters count batch norm's.
        network: arguments of `build_network`.
        note: why our count is further than 2.5 % from what is printed.
        scales: of the image that the multiply-adds are summed over.
        mirrored: whether the network sees each of them twice.
    """

    paper: str
    name: str
    params: float | None
    madds: float | None
    size: tuple[int, int]
    norm: bool
    network: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    scales: tuple[float, ...] = (1.0,)
    mirrored: bool = False

    @cached_property
    def counted(self) -> tuple[int, int]:
        """Parameters, as the paper counts them, and multiply-adds of our network."""
        costs = [count_costs(self._built, *size) for size in self._sizes]
        params = costs[0].params if self.norm else costs[0].params_without_norm
        return params, (1 + self.mirrored) * sum(cost.madds for cost in costs)

    @cached_property
    def profiled(self) -> int:
        """Multiply-adds and what the profiler charges beside them, see `count_profiled`.

        For segmentation, that is also the scaling and padding of the image, 4 a value, and the final arg-max, 1 a
        class and pixel.
        """
        of_network = sum(count_profiled(self._built, *size) for size in self._sizes)
        pixels = sum(height * width for height, width in self._sizes)
        around = 12 + self.network["classes"] if self.network["head"] in SEGMENTATION_HEADS else 0
        return self.counted[1] + (1 + self.mirrored) * (of_network + around * pixels // 2)

    @cached_property
    def _built(self) -> nn.Module:
        return build_network(**self.network, size=self.size)

    @property
    def _sizes(self) -> list[tuple[int, int]]:
        height, width = (side - 1 for side in self.size)
        return [(int(height * scale) + 1, int(width * scale) + 1) for scale in self.scales]

    def apart(self) -> tuple[float | None, float | None]:
        """How far our parameters and multiply-adds are from the printed ones, in shares of these."""
        pairs = zip(self.counted, (self.params, self.madds), strict=True)
        first, second = (None if printed is None else ours / printed / 1e6 - 1 for ours, printed in pairs)
        return first, second


Printed = float | None
V1 = "V1 paper, Tables 6 and 7"
V2, V2_PAGE = "V2 paper, Table 4", "V2, Google's page of networks"
V3, V3_WIDTHS, V3_PAGE = "V3 paper, Tables 3 and 4", "V3 paper, Table 9", "V3, Google's page of networks"
MNASNET, MNASNET_PAGE = "MnasNet paper, Table 1", "MnasNet, Google's page"
SSDLITE, TABLE_7, TABLE_8 = "V3 paper, Table 6", "V3 paper, Table 7", "V3 paper, Table 8"
ZOO = "DeepLab, Google's page of networks"

PROFILER = "the paper's profiler charges element-wise work too"
FLOORED = "the page rounds down"
NOTES = {
    (V1, "V1 0.25"): "the paper prints 0.46 M as 0.5",
    (V2, "V2 1.4"): "Google's page prints 6.06 M for the same network",
    (V2_PAGE, "V2 0.5 at 96"): FLOORED,
    (V2_PAGE, "V2 0.35 at 160"): FLOORED,
    (V2_PAGE, "V2 0.35 at 96"): FLOORED,
    (V3, "V2 0.35"): "1.66 M are printed as 1.6",
    (V3_WIDTHS, "V3-Large 0.5"): "2.69 M are printed as 2.6",
    (V3_WIDTHS, "V3-Large 0.35"): "2.13 M are printed as 2.2",
    (V3_WIDTHS, "V3-Small 1.25"): "3.6 M are those of a hidden layer of 1280 in place of 1024",
    (V3_WIDTHS, "V3-Small 0.35"): "12.8 M are printed as 12, and 1.36 M as 1.4",
    (V3_PAGE, "V3-Small minimalistic"): "65 M are those of a draft with later strides and 5x5 kernels",
    (MNASNET_PAGE, "MnasNet-A1 0.35"): "1.747 M are printed as 1.7",
    (SSDLITE, "V2 0.35"): "0.167 B are printed as 0.16",
    (TABLE_7, "V2 0.35 RF2 LR-ASPP 128"): "0.164 M without the layers of the class logits, which V3's rows count",
    (TABLE_7, "V3-Small RF2 LR-ASPP 128"): PROFILER,
    **{(TABLE_8, f"V3-Small at {place}"): PROFILER for place in ("16", "16, half size", "32", "32, half size")},
    (TABLE_8, "V3-Large at 32, half size"): PROFILER,
    (ZOO, "V2 0.5 R-ASPP at 16"): "the page does not say how it counts; its rows at stride 8 agree",
}


def _row(
    paper: str,
    name: str,
    params: Printed,
    madds: Printed,
    size: tuple[int, int],
    norm: bool,
    backbone: str,
    head: str,
    classes: int | None = None,
    head_options: dict[str, Any] | None = None,
    scales: tuple[float, ...] = (1.0,),
    mirrored: bool = False,
    **options: Any,
) -> PaperRow:
    network = {"backbone": backbone, "options": BackboneOptions(**options), "head": head, "classes": classes}
    network["head_options"] = head_options
    return PaperRow(paper, name, params, madds, size, norm, network, NOTES.get((paper, name), ""), scales, mirrored)


def _imagenet(
    paper: str, name: str, backbone: str, params: float, madds: float, side: int = 224, **options: Any
) -> PaperRow:
    """V1 and V2 leave out batch norm's parameters, and all but MnasNet have a class for background."""
    classes = 1000 if backbone.startswith("mnasnet") else 1001
    norm = backbone not in ("v1", "v2")
    return _row(paper, name, params, madds, (side, side), norm, backbone, "classifier", classes, **options)


def _widths(paper: str, name: str, backbone: str, rows: Sequence[tuple[float, int, float, float]]) -> list[PaperRow]:
    """Rows of a width multiplier, a side, parameters and multiply-adds."""
    return [
        _imagenet(
            paper, f"{name} {width:g}" + (f" at {side}" if side != 224 else ""), backbone, params, madds, side,
            width=width,
        )
        for width, side, params, madds in rows
    ]  # fmt: skip


def _ssdlite(name: str, backbone: str, params: float, madds: float, classes: int = 90, **options: Any) -> PaperRow:
    return _row(SSDLITE, name, params, madds, (320, 320), False, backbone, "ssdlite", classes, **options)


def _cityscapes(
    name: str, backbone: str, head: str, filters: int, params: float, madds: float, **options: Any
) -> PaperRow:
    size, wide = (1025, 2049), {"filters": filters}
    return _row(TABLE_7, f"{name} {filters}", params, madds, size, True, backbone, head, 19, wide, **options)


def _strides(name: str, backbone: str, output_stride: int, whole: float, half: float) -> list[PaperRow]:
    """Two rows of Table 8, which has LR-ASPP with 128 filters at the whole size of Cityscapes and at half of it."""
    sizes = (("", whole, (1025, 2049)), (", half size", half, (513, 1025)))
    return [
        _row(
            TABLE_8, f"{name} at {output_stride}{text}", None, madds, size, True, backbone, "lraspp", 19,
            output_stride=output_stride,
        )
        for text, madds, size in sizes
    ]  # fmt: skip


def _zoo(name: str, madds: float, **how: Any) -> PaperRow:
    return _row(ZOO, name, None, madds, (513, 513), True, "v2", "raspp", 21, **how)


PAPER_ROWS = (
    *_widths(V1, "V1", "v1", (
        (1, 224, 4.2, 569), (0.75, 224, 2.6, 325), (0.5, 224, 1.3, 149), (0.25, 224, 0.5, 41),
        (1, 192, 4.2, 418), (1, 160, 4.2, 290), (1, 128, 4.2, 186),
    )),
    _imagenet("V1 paper, Table 9", "V1 0.5 at 160", "v1", 1.32, 76, 160, width=0.5),
    *_widths(V2, "V2", "v2", ((1, 224, 3.4, 300), (1.4, 224, 6.9, 585))),
    *_widths(V2_PAGE, "V2", "v2", (
        (1.4, 224, 6.06, 582), (1.3, 224, 5.34, 509),
        (1, 224, 3.47, 300), (1, 192, 3.47, 221), (1, 160, 3.47, 154), (1, 128, 3.47, 99), (1, 96, 3.47, 56),
        (0.75, 224, 2.61, 209), (0.75, 192, 2.61, 153), (0.75, 160, 2.61, 107), (0.75, 128, 2.61, 69),
        (0.75, 96, 2.61, 39),
        (0.5, 224, 1.95, 97), (0.5, 192, 1.95, 71), (0.5, 160, 1.95, 50), (0.5, 128, 1.95, 32), (0.5, 96, 1.95, 18),
        (0.35, 224, 1.66, 59), (0.35, 192, 1.66, 43), (0.35, 160, 1.66, 30), (0.35, 128, 1.66, 20),
        (0.35, 96, 1.66, 11),
    )),
    *_widths(V3, "V3-Large", "v3-large", ((1, 224, 5.4, 219), (0.75, 224, 4.0, 155))),
    *_widths(V3, "V3-Small", "v3-small", ((1, 224, 2.5, 56), (0.75, 224, 2.0, 44))),
    _imagenet(V3, "MnasNet-A1", "mnasnet-a1", 3.9, 315),
    _imagenet(V3, "V2 0.35", "v2", 1.6, 59.2, width=0.35),
    *_widths(V3_WIDTHS, "V3-Large", "v3-large", (
        (1.25, 224, 7.5, 356), (1, 224, 5.4, 217), (0.75, 224, 4.0, 155), (0.5, 224, 2.6, 69), (0.35, 224, 2.2, 40),
        (1, 256, 5.4, 282), (1, 192, 5.4, 160), (1, 160, 5.4, 112), (1, 128, 5.4, 73), (1, 96, 5.4, 43),
    )),
    *_widths(V3_WIDTHS, "V3-Small", "v3-small", (
        (1.25, 224, 3.6, 91), (1, 224, 2.5, 57), (0.75, 224, 2.0, 44), (0.5, 224, 1.6, 21), (0.35, 224, 1.4, 12),
        (1, 256, 2.5, 74), (1, 160, 2.5, 30), (1, 128, 2.5, 20), (1, 96, 2.5, 12),
    )),
    _imagenet(V3_PAGE, "V3-Large minimalistic", "v3-large", 3.9, 209, minimalistic=True),
    _imagenet(V3_PAGE, "V3-Small minimalistic", "v3-small", 2.0, 65, minimalistic=True),
    _imagenet(MNASNET, "MnasNet-A1", "mnasnet-a1", 3.9, 312),
    _imagenet(MNASNET, "MnasNet-B1", "mnasnet-b1", 4.4, 315),
    *_widths(MNASNET_PAGE, "MnasNet-A1", "mnasnet-a1", (
        (1.4, 224, 6.1, 591.5), (0.75, 224, 2.9, 226.7), (0.5, 224, 2.1, 105.2), (0.35, 224, 1.7, 63.2),
    )),
    _ssdlite("V1", "v1", 5.1, 1300, 80),
    _ssdlite("V2", "v2", 4.3, 800, 80),
    _ssdlite("V2 0.5", "v2", 1.54, 270, width=0.5),
    _ssdlite("V2 0.35", "v2", 0.93, 160, width=0.35),
    _ssdlite("MnasNet-A1", "mnasnet-a1", 4.88, 840, round_squeeze=True),
    _ssdlite("MnasNet-A1 0.5", "mnasnet-a1", 1.68, 290, width=0.5, round_squeeze=True),
    _ssdlite("MnasNet-A1 0.35", "mnasnet-a1", 1.02, 180, width=0.35, round_squeeze=True),
    _ssdlite("V3-Large", "v3-large", 4.97, 620, reduced_tail=False),
    _ssdlite("V3-Large reduced", "v3-large", 3.22, 510),
    _ssdlite("V3-Small", "v3-small", 2.49, 210, reduced_tail=False),
    _ssdlite("V3-Small reduced", "v3-small", 1.77, 160),
    _cityscapes("V2 R-ASPP", "v2", "raspp", 256, 2.11, 21290),
    _cityscapes("V2 RF2 R-ASPP", "v2", "raspp", 256, 1.15, 13680, rf2=True),
    _cityscapes("V2 RF2 LR-ASPP", "v2", "lraspp", 256, 1.02, 12830),
    _cityscapes("V2 RF2 LR-ASPP", "v2", "lraspp", 128, 0.98, 12570),
    _cityscapes("V3-Large R-ASPP", "v3-large", "raspp", 256, 3.60, 18430),
    _cityscapes("V3-Large RF2 R-ASPP", "v3-large", "raspp", 256, 1.76, 11240, rf2=True),
    _cityscapes("V3-Large RF2 LR-ASPP", "v3-large", "lraspp", 256, 1.63, 10330),
    _cityscapes("V3-Large RF2 LR-ASPP", "v3-large", "lraspp", 128, 1.51, 9740),
    _cityscapes("V2 0.5 RF2 LR-ASPP", "v2", "lraspp", 128, 0.28, 4000, width=0.5),
    _cityscapes("V2 0.35 RF2 LR-ASPP", "v2", "lraspp", 128, 0.16, 2540, width=0.35),
    _cityscapes("V3-Small RF2 LR-ASPP", "v3-small", "lraspp", 128, 0.47, 2900),
    *_strides("V3-Large", "v3-large", 16, 9740, 2480),
    *_strides("V3-Large", "v3-large", 32, 7740, 1980),
    *_strides("V3-Small", "v3-small", 16, 2900, 740),
    *_strides("V3-Small", "v3-small", 32, 2060, 530),
    _row("V2 paper, Table 7", "V2 R-ASPP on VOC", 2.11, 2750, (513, 513), True, "v2", "raspp", 21),
    _zoo("V2 0.5 R-ASPP at 16", 880, width=0.5, output_stride=16),
    _zoo("V2 0.5 R-ASPP at 8", 2840, width=0.5, output_stride=8),
    _zoo(
        "V2 R-ASPP at 8, 6 scales, mirrored", 152590, output_stride=8,
        scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75), mirrored=True,
    ),
    _row(
        "torchvision", "SSDLite320 V3-Large", 3.440060, None, (320, 320), True, "v3-large", "ssdlite-torchvision", 90
    ),
)  # fmt: skip


def print_paper_rows() -> None:
    """Print every row of `PAPER_ROWS`, printed and counted, and how far they are apart, at last by `profiled`."""
    table = plain_table("parameters and multiply-adds, M", *("printed", "counted", "apart") * 2, "profiler")
    paper = ""
    for row in PAPER_ROWS:
        if row.paper != paper:
            table.add_section()
            table.add_row(f"[bold]{row.paper}")
            paper = row.paper
        cells = []
        columns = zip((row.params, row.madds), row.counted, row.apart(), ("{:.4f}", "{:.2f}"), strict=True)
        for printed, counted, apart, digits in columns:
            cells += ["-" if printed is None else f"{printed:g}", digits.format(counted / 1e6)]
            cells.append("" if apart is None else f"{100 * apart:+.1f} %")
        profiled = f"{row.profiled / row.madds / 1e4 - 100:+.1f} %" if row.madds is not None else ""
        table.add_row(row.name, *cells, profiled)
    wide_console().print(table)
    for row in PAPER_ROWS:
        if row.note:
            print(f"{row.paper}, {row.name}: {row.note}")
