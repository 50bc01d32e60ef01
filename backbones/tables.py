"""The papers' tables of blocks: what a backbone is, before any layer exists.

A table is data. A width multiplier, a halved tail or a searched network is another table, and a checkpoint stores its
table, so that the network can be built again without knowing which options made it.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Row:
    """One block: 1x1 expansion, k x k depthwise convolution, squeeze-and-excitation, 1x1 projection.

    There is no expansion where `expanded` equals the channels that come in. `stride` is the paper's, before any output
    stride turns it into dilation. `linear` is False for V1, whose 1x1 convolution is followed by an activation and has
    no shortcut.
    """

    kernel: int
    expanded: int
    out: int
    squeeze: int
    activation: str
    stride: int
    linear: bool = True


@dataclass(frozen=True)
class Table:
    """A whole backbone: stem, rows, last 1x1 convolution, and the hidden layer its paper's classifier uses.

    `last` 0 leaves the last convolution out; `hidden` 0 means that the classifier has no hidden layer. Strides past
    `output_stride` (8, 16 or 32) become dilation. The first block that lost its stride keeps rate 1, as in Google's
    code, unless `dilate_first` is set, as in torchvision's.
    """

    name: str
    stem: int
    rows: tuple[Row, ...]
    last: int
    hidden: int
    activation: str
    output_stride: int = 32
    dilate_first: bool = False
    norm_eps: float = 1e-3
    norm_momentum: float = 0.01

    def __post_init__(self) -> None:
        if self.output_stride not in (8, 16, 32):
            raise ValueError(f"output stride {self.output_stride} is not one of 8, 16, 32")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, as stored in a checkpoint."""
        return asdict(self) | {"rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Table":
        """The inverse of `to_dict`."""
        known = {field.name for field in fields(cls)}
        if set(data) - known:
            raise ValueError(f"backbone table has unknown entries: {', '.join(sorted(set(data) - known))}")
        return cls(**{**data, "rows": tuple(Row(**row) for row in data["rows"])})

    def levels(self) -> list[int]:
        """For every row, n where the paper's output has stride 2**n, before dilation."""
        level, result = 1, []
        for row in self.rows:
            level += row.stride == 2
            result.append(level)
        return result

    def geometry(self) -> list[tuple[int, int]]:
        """For every row, (stride, dilation) once the output stride is applied."""
        current, rate, result = 2, 1, []
        for row in self.rows:
            if row.stride == 2 and current >= self.output_stride:
                result.append((1, 2 * rate if self.dilate_first else rate))
                rate *= 2
            else:
                result.append((row.stride, rate))
                current *= row.stride
        return result


def make_divisible(value: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, never under 90 % of `value` and at least `divisor` (V2 and V3 reference code)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


RE, HS = "relu", "hard_swish"

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


def mobilenet_v3_table(
    variant: str,
    width: float = 1.0,
    output_stride: int = 32,
    rf2: bool = False,
    reduced_tail: bool = False,
    minimalistic: bool = False,
    dilate_first: bool = False,
) -> Table:
    """The rows of MobileNetV3 `"large"` or `"small"` under the options that the papers use.

    Args:
        variant: "large" or "small" (V3 paper, Tables 1 and 2).
        width: multiplier of every width but the classifier's hidden layer.
        output_stride: 8, 16 or 32; later strides become dilation.
        rf2: halve the stride-32 stage with its first expansion, as in the segmentation rows (Section 6.4, "RF2").
        reduced_tail: halve the stride-32 stage's outputs only, as in the SSDLite rows (Section 6.3, dagger).
        minimalistic: no squeeze-and-excitation, ReLU for hard-swish, 3x3 for 5x5 (Google's "minimalistic" nets).
        dilate_first: dilate the first block that loses its stride too, as torchvision does.

    Raises:
        ValueError: for an unknown variant, a width that is not positive, or rf2 and reduced_tail together.
    """
    if variant not in ("large", "small"):
        raise ValueError(f'MobileNetV3 is "large" or "small", not "{variant}"')
    if not width > 0:
        raise ValueError(f"width {width} is not above 0")
    if rf2 and reduced_tail:
        raise ValueError("rf2 and reduced_tail halve the same stage in two ways: choose one")
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
        output_stride=output_stride,
        dilate_first=dilate_first,
    )
