"""The layers that a table of rows turns into, and the backbone that hands out named feature maps."""

from collections.abc import Sequence

from torch import Tensor, nn

from backbones.tables import Row, Table
from backbones.taps import Tapped

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hard_swish": nn.Hardswish}
GATES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "hard_sigmoid": nn.Hardsigmoid}


class ConvNormAct(nn.Module):
    """Convolution with "same" padding and no bias, batch norm, and an activation (None: linear)."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        table: Table,
        activation: str | None,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = (kernel - 1) // 2 * dilation
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, dilation, groups, bias=False)
        self.norm = nn.BatchNorm2d(channels_out, table.norm_eps, table.norm_momentum)
        self.activation = ACTIVATIONS[activation](inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)))


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation; its gate is a sigmoid in MnasNet and a hard sigmoid in V3 (V3 paper, Section 5.3)."""

    def __init__(self, channels: int, squeeze: int, gate: str) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze, 1)
        self.expand = nn.Conv2d(squeeze, channels, 1)
        self.gate = GATES[gate]()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.reduce(x.mean((2, 3), keepdim=True)).relu()
        return x * self.gate(self.expand(squeezed))


class Bottleneck(nn.Module):
    """One row of a table. `forward` returns the expansion, the depthwise output before SE, and the block's output.

    Where there is no expansion (V1), the block's input stands in its place.
    """

    def __init__(self, channels_in: int, row: Row, stride: int, dilation: int, table: Table) -> None:
        super().__init__()
        self.shortcut = row.linear and row.stride == 1 and channels_in == row.out
        self.expand = (
            ConvNormAct(channels_in, row.expanded, 1, table, row.activation)
            if row.expanded != channels_in
            else nn.Identity()
        )
        self.depthwise = ConvNormAct(
            row.expanded, row.expanded, row.kernel, table, row.activation, stride, dilation, groups=row.expanded
        )
        self.squeeze_excite = SqueezeExcite(row.expanded, row.squeeze, table.gate) if row.squeeze else nn.Identity()
        self.project = ConvNormAct(row.expanded, row.out, 1, table, None if row.linear else row.activation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        expansion = self.expand(x)
        depthwise = self.depthwise(expansion)
        out = self.project(self.squeeze_excite(depthwise))
        return expansion, depthwise, x + out if self.shortcut else out


class Backbone(Tapped):
    """A table of rows as a network with named taps.

    `backbone(images)` takes float32 [N, 3, H, W] and returns {tap: [N, channels[tap], ceil(H / strides[tap]),
    ceil(W / strides[tap])]} for the chosen `taps`. `channels` and `strides` hold every tap there is:

    - `stem`, `block1` ... `blockN` (blocks counted from 1, as in the papers), `last` (the last 1x1 convolution);
    - `blockN.expansion` and `blockN.depthwise`: inside a block, the latter before squeeze-and-excitation;
    - `c1` ... `c5`: the last output whose stride in the paper is 2, 4, 8, 16, 32; `cN.expansion`, `cN.depthwise` of
      that level's last block; `cN.first`, `cN.first.expansion`, `cN.first.depthwise` of its first. Dilation and
      `small_images` change their strides, not their names.

    `aliases` has the tap behind each other name of it, such as `block3` for `c2`.

    Args:
        table: the rows to build.
        taps: which feature maps to return; by default c1 to c5. What no tap needs is not computed.

    Raises:
        BackboneError: for a tap that does not exist.
    """

    def __init__(self, table: Table, taps: Sequence[str] | None = None) -> None:
        super().__init__()
        self.table = table
        self.channels = {"stem": table.stem}
        self.strides = {"stem": table.stem_stride}
        self.aliases: dict[str, str] = {"c1": "stem"}
        self.stem = ConvNormAct(3, table.stem, 3, table, table.activation, table.stem_stride)
        self.blocks = nn.ModuleList()
        channels, total = table.stem, table.stem_stride
        rows = zip(table.rows, table.geometry(), table.levels(), strict=True)
        for number, (row, (stride, dilation), level) in enumerate(rows, start=1):
            self.blocks.append(Bottleneck(channels, row, stride, dilation, table))
            name = f"block{number}"
            self.channels |= {f"{name}.expansion": row.expanded, f"{name}.depthwise": row.expanded, name: row.out}
            self.strides |= {f"{name}.expansion": total, f"{name}.depthwise": total * stride, name: total * stride}
            for part in ("", ".expansion", ".depthwise"):
                self.aliases[f"c{level}{part}"] = name + part
                self.aliases.setdefault(f"c{level}.first{part}", name + part)
            channels, total = row.out, total * stride
        self.last = ConvNormAct(channels, table.last, 1, table, table.activation) if table.last else None
        if table.last:
            self.channels["last"], self.strides["last"] = table.last, total
            self.aliases[f"c{max(table.levels())}"] = "last"
        for alias, tap in self.aliases.items():
            self.channels[alias], self.strides[alias] = self.channels[tap], self.strides[tap]
        self.set_taps(taps or [f"c{level}" for level in range(1, max(table.levels()) + 1)])
        self.apply(_initialise)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        wanted = {self.aliases.get(tap, tap) for tap in self.taps}
        found: dict[str, Tensor] = {}
        x = self.stem(images)
        found["stem"] = x
        for number, block in enumerate(self.blocks, start=1):
            if all(name in found for name in wanted):  # torch.compile of torch 2.11 knows no <= of keys
                break
            expansion, depthwise, x = block(x)
            parts = {f"block{number}.expansion": expansion, f"block{number}.depthwise": depthwise, f"block{number}": x}
            found |= {name: part for name, part in parts.items() if name in wanted}
        if "last" in wanted and self.last is not None:
            found["last"] = self.last(x)
        return {tap: found[self.aliases.get(tap, tap)] for tap in self.taps}


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
