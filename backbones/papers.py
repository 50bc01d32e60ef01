"""The papers' networks as tables: MobileNetV1, V2, V3 and MnasNet under the options that the papers use.

The options here change the rows. What changes strides alone (`output_stride`, `dilate_first`, `small_images`) is a
field of every `Table`, see `backbones.create_table`.
"""

from collections.abc import Callable, Sequence
from functools import partial

from backbones.tables import BackboneError, Row, Table, make_divisible

RE, RE6, HS = "relu", "relu6", "hard_swish"

# MobileNetV1 (arXiv 1704.04861), Table 1: out, stride.
V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)

# MobileNetV2 (arXiv 1801.04381), Table 2, MnasNet-A1 (arXiv 1807.11626), Figure 7, and MnasNet-B1, its sibling without
# squeeze-and-excitation that torchvision publishes: kernel, expansion factor, out, blocks, stride of the first one,
# squeeze-and-excitation.
V2 = (
    (3, 1, 16, 1, 1, False),
    (3, 6, 24, 2, 2, False),
    (3, 6, 32, 3, 2, False),
    (3, 6, 64, 4, 2, False),
    (3, 6, 96, 3, 1, False),
    (3, 6, 160, 3, 2, False),
    (3, 6, 320, 1, 1, False),
)
MNASNET_A1 = (
    (3, 1, 16, 1, 1, False),
    (3, 6, 24, 2, 2, False),
    (5, 3, 40, 3, 2, True),
    (3, 6, 80, 4, 2, False),
    (3, 6, 112, 2, 1, True),
    (5, 6, 160, 3, 2, True),
    (3, 6, 320, 1, 1, False),
)
MNASNET_B1 = (
    (3, 1, 16, 1, 1, False),
    (3, 3, 24, 3, 2, False),
    (5, 3, 40, 3, 2, False),
    (5, 6, 80, 3, 2, False),
    (3, 6, 96, 2, 1, False),
    (5, 6, 192, 4, 2, False),
    (3, 6, 320, 1, 1, False),
)

# MobileNetV3 (arXiv 1905.02244), Tables 1 and 2: kernel, expanded, out, squeeze-and-excitation, activation, stride.
V3_LARGE = (
    (3, 16, 16, False, RE, 1),
    (3, 64, 24, False, RE, 2),
    (3, 72, 24, False, RE, 1),
    (5, 72, 40, True, RE, 2),
    (5, 120, 40, True, RE, 1),
    (5, 120, 40, True, RE, 1),
    (3, 240, 80, False, HS, 2),
    (3, 200, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 480, 112, True, HS, 1),
    (3, 672, 112, True, HS, 1),
    (5, 672, 160, True, HS, 2),
    (5, 960, 160, True, HS, 1),
    (5, 960, 160, True, HS, 1),
)
V3_SMALL = (
    (3, 16, 16, True, RE, 2),
    (3, 72, 24, False, RE, 2),
    (3, 88, 24, False, RE, 1),
    (5, 96, 40, True, HS, 2),
    (5, 240, 40, True, HS, 1),
    (5, 240, 40, True, HS, 1),
    (5, 120, 48, True, HS, 1),
    (5, 144, 48, True, HS, 1),
    (5, 288, 96, True, HS, 2),
    (5, 576, 96, True, HS, 1),
    (5, 576, 96, True, HS, 1),
)


def check_width(width: float) -> None:
    """Refuse a width multiplier outside 0.05 to 8 with a BackboneError; below, all widths would be the least."""
    if not 0.05 <= width <= 8:
        raise BackboneError(f"width {width} is not in 0.05 to 8")


def in_words(width: float, **flags: bool) -> str:
    """What a table's rows were made with, in words: "width 0.75, rf2"; nothing where all is as in the papers."""
    return ", ".join(
        [*([f"width {width:g}"] if width != 1 else []), *(name.replace("_", " ") for name, on in flags.items() if on)]
    )


def mobilenet_v1_table(width: float = 1.0) -> Table:
    """The rows of MobileNetV1. Its resolution multiplier is the size of the images.

    Widths are rounded down, as in Google's code; ReLU6 and batch norm's constants are those of timm's weights.

    Args:
        width: multiplier of every width.

    Raises:
        BackboneError: for a width outside 0.05 to 8.
    """
    check_width(width)
    stem = channels_in = max(int(32 * width), 8)
    rows = []
    for out, stride in V1:
        channels_out = max(int(out * width), 8)
        rows.append(Row(3, channels_in, channels_out, 0, RE6, stride, linear=False))
        channels_in = channels_out
    return Table(
        "mobilenet_v1", stem, tuple(rows), 0, 0, RE6, norm_eps=1e-5, norm_momentum=0.1, variant=in_words(width)
    )


def mobilenet_v2_table(
    width: float = 1.0, rf2: bool = False, last_conv: bool = True, scale_last: bool = False
) -> Table:
    """The rows of MobileNetV2; batch norm's constants are those of torchvision's weights.

    Args:
        width: multiplier of every width; the last convolution never has fewer than 1280 channels, see `scale_last`.
        rf2: halve the outputs of the stride-32 stage (V3 paper, Section 6.4, "RF2").
        last_conv: False leaves out the last 1x1 convolution, as in segmentation (V2 paper, Section 6.3).
        scale_last: the last convolution follows widths under 1 too, as in SSDLite.

    Raises:
        BackboneError: for a width outside 0.05 to 8.
    """
    check_width(width)
    stages = [(k, t, c // 2 if rf2 and c >= 160 else c, n, s, squeeze) for k, t, c, n, s, squeeze in V2]
    stem, rows = _inverted_residuals(stages, width, RE6)
    last = make_divisible(1280 * (width if scale_last else max(1, width))) if last_conv else 0
    said = in_words(width, rf2=rf2, no_last_conv=not last_conv, scale_last=scale_last)
    return Table("mobilenet_v2", stem, rows, last, 0, RE6, norm_eps=1e-5, norm_momentum=0.1, variant=said)


def mnasnet_a1_table(width: float = 1.0, scale_last: bool = False, round_squeeze: bool = False) -> Table:
    """The rows of MnasNet-A1. Batch norm's momentum is the paper's, its epsilon that of timm's weights.

    Args:
        width: multiplier of every width but the last convolution's 1280, see `scale_last`.
        scale_last: the last convolution follows the width, as in SSDLite.
        round_squeeze: squeeze to a multiple of 8, as the count of the V3 paper's SSDLite row has it, and not to exactly
            a quarter of the block's input.

    Raises:
        BackboneError: for a width outside 0.05 to 8.
    """
    check_width(width)
    stem, rows = _inverted_residuals(MNASNET_A1, width, RE, squeeze_divisor=8 if round_squeeze else 1)
    last = make_divisible(1280 * width) if scale_last else 1280
    said = in_words(width, scale_last=scale_last, round_squeeze=round_squeeze)
    return Table("mnasnet_a1", stem, rows, last, 0, RE, norm_eps=1e-5, gate="sigmoid", variant=said)


def mnasnet_b1_table(width: float = 1.0, scale_last: bool = False) -> Table:
    """The rows of MnasNet-B1, which torchvision calls MNASNet.

    Args:
        width: multiplier of every width but the last convolution's 1280, see `scale_last`.
        scale_last: the last convolution follows the width, as in SSDLite.

    Raises:
        BackboneError: for a width outside 0.05 to 8.
    """
    check_width(width)
    stem, rows = _inverted_residuals(MNASNET_B1, width, RE)
    last = make_divisible(1280 * width) if scale_last else 1280
    return Table("mnasnet_b1", stem, rows, last, 0, RE, norm_eps=1e-5, variant=in_words(width, scale_last=scale_last))


def _inverted_residuals(
    stages: Sequence[tuple[int, int, int, int, int, bool]], width: float, activation: str, squeeze_divisor: int = 1
) -> tuple[int, tuple[Row, ...]]:
    """The stem's width and the rows of a network of repeated blocks."""
    stem = channels_in = make_divisible(32 * width)
    rows = []
    for kernel, factor, out, blocks, stride, squeeze in stages:
        channels_out = make_divisible(out * width)
        for index in range(blocks):
            row = Row(
                kernel=kernel,
                expanded=factor * channels_in,
                out=channels_out,
                squeeze=make_divisible(channels_in / 4, squeeze_divisor) if squeeze else 0,
                activation=activation,
                stride=1 if index else stride,
            )
            rows.append(row)
            channels_in = channels_out
    return stem, tuple(rows)


def mobilenet_v3_table(
    variant: str,
    width: float = 1.0,
    rf2: bool = False,
    reduced_tail: bool = False,
    minimalistic: bool = False,
) -> Table:
    """The rows of MobileNetV3 `"large"` or `"small"` under the options that the papers use.

    Args:
        variant: "large" or "small" (V3 paper, Tables 1 and 2).
        width: multiplier of every width but the classifier's hidden layer.
        rf2: halve the stride-32 stage with its first expansion, as in the segmentation rows (Section 6.4, "RF2").
        reduced_tail: halve the stride-32 stage's outputs only, as in the SSDLite rows (Section 6.3, dagger).
        minimalistic: no squeeze-and-excitation, ReLU for hard-swish, 3x3 for 5x5 (Google's "minimalistic" nets).

    Raises:
        BackboneError: for an unknown variant, a width outside 0.05 to 8, or rf2 and reduced_tail together.
    """
    if variant not in ("large", "small"):
        raise BackboneError(f'MobileNetV3 is "large" or "small", not "{variant}"')
    check_width(width)
    if rf2 and reduced_tail:
        raise BackboneError("rf2 and reduced_tail halve the same stage in two ways: choose one")
    paper, last, hidden = (V3_LARGE, 960, 1280) if variant == "large" else (V3_SMALL, 576, 1024)
    last_stride = max(index for index, row in enumerate(paper) if row[5] == 2)
    rows, paper_in, channels_in = [], 16, make_divisible(16 * width)
    for index, (kernel, expanded, out, squeeze, activation, stride) in enumerate(paper):
        if index >= last_stride and (rf2 or reduced_tail):
            out //= 2
            expanded = expanded if index == last_stride and reduced_tail else expanded // 2
        expanded_channels = make_divisible(channels_in * expanded / paper_in)
        channels_out = make_divisible(out * width)
        rows.append(
            Row(
                kernel=3 if minimalistic else kernel,
                expanded=expanded_channels,
                out=channels_out,
                squeeze=make_divisible(expanded_channels / 4) if squeeze and not minimalistic else 0,
                activation=RE if minimalistic else activation,
                stride=stride,
            )
        )
        paper_in, channels_in = out, channels_out
    return Table(
        name=f"mobilenet_v3_{variant}",
        stem=make_divisible(16 * width),
        rows=tuple(rows),
        last=make_divisible((last // 2 if rf2 or reduced_tail else last) * width),
        hidden=hidden,
        activation=RE if minimalistic else HS,
        variant=in_words(width, rf2=rf2, reduced_tail=reduced_tail, minimalistic=minimalistic),
    )


TABLES: dict[str, Callable[..., Table]] = {
    "v1": mobilenet_v1_table,
    "v2": mobilenet_v2_table,
    "mnasnet-a1": mnasnet_a1_table,
    "mnasnet-b1": mnasnet_b1_table,
    "v3-large": partial(mobilenet_v3_table, "large"),
    "v3-small": partial(mobilenet_v3_table, "small"),
}


def plain_table(name: str) -> Table | None:
    """The paper's table of this name, without options, if there is one."""
    return next((table for table in (create() for create in TABLES.values()) if table.name == name), None)
