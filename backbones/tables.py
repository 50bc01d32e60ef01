"""The papers' tables of blocks: what a backbone is, before any layer exists.

A table is data. A width multiplier, a halved tail or a searched network is another table, and a checkpoint stores its
table, so that the network can be built again without knowing which options made it.
"""

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any


class BackboneError(ValueError):
    """A backbone, its table or its weights cannot be had as asked; the message says what to change."""


def did_you_mean(name: str, known: Iterable[str], sign: str = '"') -> str:
    """The end of a message about a name that there is not: the nearest one that there is, or nothing."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {sign}{near[0]}{sign}?" if near else ""


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


OLD_NAMES = {"small_pictures": "small_images"}  # of entries, in files of 0.1.0


@dataclass(frozen=True)
class Table:
    """A whole backbone: stem, rows, last 1x1 convolution, and the hidden layer its paper's classifier uses.

    `last` 0 leaves the last convolution out; `hidden` 0 means that the classifier has no hidden layer. `gate` is the
    sigmoid of squeeze-and-excitation: "sigmoid" or "hard_sigmoid". Strides past `output_stride` (8, 16 or 32) become
    dilation. The first block that lost its stride keeps rate 1, as in Google's code, unless `dilate_first` is set, as
    in torchvision's. `small_images` takes the stride of the stem and of the first row that has one, so that the whole
    network's is 8: what works on CIFAR's 32x32. Neither changes a weight's shape or name. `variant` says in words which
    options made the rows, for messages alone: two tables are equal without it.
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
    gate: str = "hard_sigmoid"
    small_images: bool = False
    variant: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_output_stride(self.output_stride)
        check_norm(norm_eps=self.norm_eps, norm_momentum=self.norm_momentum)

    def __str__(self) -> str:
        return f"{self.name} ({self.variant})" if self.variant else self.name

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, as stored in a checkpoint."""
        return asdict(self) | {"rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Table":
        """The inverse of `to_dict`."""
        data = {OLD_NAMES.get(key, key): value for key, value in data.items()}
        known = {entry.name for entry in fields(cls)}
        if set(data) - known:
            raise BackboneError(f"backbone table has unknown entries: {', '.join(sorted(set(data) - known))}")
        return cls(**{**data, "rows": tuple(Row(**row) for row in data["rows"])})

    def levels(self) -> list[int]:
        """For every row, n where the paper's output has stride 2**n, before dilation."""
        level, result = 1, []
        for row in self.rows:
            level += row.stride == 2
            result.append(level)
        return result

    @property
    def stem_stride(self) -> int:
        """Stride of the stem: 2, or 1 for small images."""
        return 1 if self.small_images else 2

    def geometry(self) -> list[tuple[int, int]]:
        """For every row, (stride, dilation) once `small_images` and the output stride are applied."""
        current, rate, result = self.stem_stride, 1, []
        for row, level in zip(self.rows, self.levels(), strict=True):
            if self.small_images and row.stride == 2 and level == 2:
                result.append((1, 1))
            elif row.stride == 2 and current >= self.output_stride:
                result.append((1, 2 * rate if self.dilate_first else rate))
                rate *= 2
            else:
                result.append((row.stride, rate))
                current *= row.stride
        return result


def check_output_stride(output_stride: int) -> None:
    """Refuse an output stride other than 8, 16 and 32 with a BackboneError."""
    if output_stride not in (8, 16, 32):
        raise BackboneError(f"output stride {output_stride} is not one of 8, 16, 32")


def check_norm(**values: Any) -> None:
    """Refuse options of batch norm that are no number in 0 to 1, as of a damaged checkpoint, with a BackboneError."""
    for name, value in values.items():
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise BackboneError(f"{name} cannot be {value!r:.80}")


def make_divisible(value: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, never under 90 % of `value` and at least `divisor` (V2 and V3 reference code)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded
