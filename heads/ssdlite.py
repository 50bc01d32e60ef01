"""SSDLite (V2 paper, Section 6.2; V3 paper, Section 6.3): class and box branches on a pyramid of maps."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from heads.anchors import Anchors
from heads.inputs import HeadError, tap_channels

EXTRA = (512, 256, 256, 128)


def conv_norm_relu6(channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """1x1 or depthwise 3x3 convolution without bias, batch norm, ReLU6."""
    groups = channels_in if kernel > 1 else 1
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out, eps=1e-3, momentum=0.03),
        nn.ReLU6(inplace=True),
    )


class SSDLite(nn.Module):
    """The head of the V3 paper's detection rows.

    It reads the expansion of the first stride-32 block (at stride 16) and the last convolution, adds four smaller maps,
    and predicts at every map from a depthwise 3x3 and a 1x1 convolution, apart for classes and boxes.

    `head(features)` returns raw class logits, float32 [N, A, num_classes + 1] with background first, and box offsets,
    float32 [N, A, 4], for the anchors of `head.anchors(size)`.

    Args:
        channels: of the backbone's taps.
        strides: of the backbone's taps.
        num_classes: without background.
        width: multiplier of the extra maps' channels, which are 16 at least.
        extra: those channels, eight numbers, in place of `width`: of each extra map, first those between its two 1x1
            convolutions, and then its own.
        first: anchors in a cell of the first map: 3 in the paper, 6 in torchvision.
        small_objects: read the expansion of the first stride-16 block too (at stride 8), and halve the least scale.
        least_scale: of the first map's anchors, in shares of the image's shorter side; by default 0.2, or 0.1 with
            `small_objects`.

    Raises:
        HeadError: if `first` is neither 3 nor 6, or `extra` is not eight numbers.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        strides: Mapping[str, int],
        num_classes: int,
        width: float = 1.0,
        first: int = 3,
        small_objects: bool = False,
        least_scale: float | None = None,
        extra: list[int] | None = None,
    ) -> None:
        super().__init__()
        self.taps = (*(["c4.first.expansion"] if small_objects else []), "c5.first.expansion", "c5")
        self.num_classes, self.first = num_classes, first
        self.least_scale = least_scale or (0.1 if small_objects else 0.2)
        maps = tap_channels(channels, self.taps)
        self.strides = tuple(strides[tap] for tap in self.taps)
        self.extra = nn.ModuleList()
        depths = [max(16, int(depth * width)) for depth in EXTRA]
        extra = extra or [channels for depth in depths for channels in (depth // 2, depth)]
        if len(extra) != 2 * len(EXTRA):
            raise HeadError(
                f"extra has {len(extra)} numbers of channels; give {2 * len(EXTRA)}, two for each extra map"
            )
        for half, depth in zip(extra[::2], extra[1::2], strict=True):
            self.extra.append(
                nn.Sequential(
                    conv_norm_relu6(maps[-1], half), conv_norm_relu6(half, half, 3, 2), conv_norm_relu6(half, depth)
                )
            )
            maps.append(depth)
        if first not in (3, 6):
            raise HeadError(f"{first} anchors in the first map: choose 3 or 6")
        per_cell = [first] + [6] * (len(maps) - 1)
        pairs = list(zip(maps, per_cell, strict=True))
        self.class_branches = nn.ModuleList(_branch(width, cell * (num_classes + 1)) for width, cell in pairs)
        self.box_branches = nn.ModuleList(_branch(width, cell * 4) for width, cell in pairs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.03)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def set_prior(self, probability: float) -> None:
        """Start every class at this probability under a sigmoid (focal loss, arXiv 1708.02002, Section 4.1)."""
        for branch in self.class_branches:
            nn.init.constant_(
                branch[1].bias,  # type: ignore[index]
                -math.log((1 - probability) / probability),
            )

    def anchors(self, size: tuple[int, int]) -> Anchors:
        """The anchors of an image, in the order of the outputs.

        Args:
            size: height and width of the image in pixels.
        """
        grids = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in self.strides]
        for _ in self.extra:
            grids.append((-(-grids[-1][0] // 2), -(-grids[-1][1] // 2)))
        return Anchors(grids, size, self.least_scale, first=self.first)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [branch[1] for branch in (*self.class_branches, *self.box_branches)]  # type: ignore[index]

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        maps = [features[tap] for tap in self.taps]
        for layer in self.extra:
            maps.append(layer(maps[-1]))
        logits = [_rows(branch(x), self.num_classes + 1) for branch, x in zip(self.class_branches, maps, strict=True)]
        offsets = [_rows(branch(x), 4) for branch, x in zip(self.box_branches, maps, strict=True)]
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)


def _branch(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(conv_norm_relu6(channels_in, channels_in, 3), nn.Conv2d(channels_in, channels_out, 1))


def _rows(x: Tensor, entries: int) -> Tensor:
    """[N, cell * entries, h, w] -> [N, h * w * cell, entries]; no copy where memory is channels_last."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, entries)
