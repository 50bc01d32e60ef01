"""The segmentation heads of the papers: R-ASPP (V2), LR-ASPP (V3), and LR-ASPP as torchvision builds it.

A head takes the backbone's `channels` and `strides` and returns raw logits, float32 [N, classes, h, w], at a stride of
its own; whoever compares them with a mask resizes them. `backbone_options` are the backbone options its paper uses, as
far as the backbone has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heads.inputs import tap_channels


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize of [N, C, h, w] to [N, C, *size], pixel centres aligned as in every image library."""
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=False)


def conv_norm_relu(channels_in: int, channels_out: int) -> nn.Sequential:
    """1x1 convolution without bias, batch norm with the papers' constants, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        nn.BatchNorm2d(channels_out, eps=1e-3, momentum=0.01),
        nn.ReLU(inplace=True),
    )


class RASPP(nn.Module):
    """Reduced atrous spatial pyramid pooling: one 1x1 branch and one pooled branch (V2 paper, Section 6.3).

    Args:
        channels: of the backbone's taps.
        strides: of the backbone's taps.
        num_classes: logits per pixel.
        filters: width F of the branches.
    """

    backbone_options: ClassVar[dict[str, Any]] = {"output_stride": 16, "last_conv": False}
    taps = ("c5",)

    def __init__(
        self, channels: Mapping[str, int], strides: Mapping[str, int], num_classes: int, filters: int = 256
    ) -> None:
        super().__init__()
        (width,) = tap_channels(channels, self.taps)
        self.branch = conv_norm_relu(width, filters)
        self.pooled = conv_norm_relu(width, filters)
        self.fuse = conv_norm_relu(2 * filters, filters)
        self.classify = nn.Conv2d(filters, num_classes, 1)

    @property
    def last_layers(self) -> list[nn.Module]:
        """Those that give the logits, as every head has them."""
        return [self.classify]

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        x = features["c5"]
        branch = self.branch(x)
        pooled = self.pooled(x.mean((2, 3), keepdim=True)).expand(-1, -1, *branch.shape[2:])
        return self.classify(self.fuse(torch.cat([branch, pooled], dim=1)))


class WindowPool(nn.Module):
    """Average pooling whose window is never larger than the map.

    Args:
        window: side of the window.
        stride: down and across.
    """

    def __init__(self, window: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.window, self.stride = window, stride

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        return F.avg_pool2d(x, (min(self.window, height), min(self.window, width)), self.stride)


def gate_pool(stride: int) -> WindowPool:
    """The pool of LR-ASPP's gate at an output stride of 8, 16 or 32, see `LRASPP`."""
    return WindowPool(768 // stride + 1, (4, 5) if stride == 32 else (256 // stride, 320 // stride))


class LRASPP(nn.Module):
    """Lite R-ASPP (V3 paper, Section 6.4 and Figure 10): a gated branch at the deepest tap, a skip at stride 8.

    The gate pools 49x49 with stride (16, 20), or 25x25 with stride (4, 5) at output stride 32, which is 769 pixels of
    the image as in Google's code, and so 97x97 with stride (32, 40) at 8; on a map that is smaller the pool covers the
    whole side. The skip is the depthwise output, before SE, of the last stride-8 block.

    Args:
        channels: of the backbone's taps.
        strides: of the backbone's taps.
        num_classes: logits per pixel.
        filters: width F of the branch; the paper prints 128 and 256.
    """

    backbone_options: ClassVar[dict[str, Any]] = {"output_stride": 16, "rf2": True, "last_conv": False}
    taps = ("c3.depthwise", "c5")

    def __init__(
        self, channels: Mapping[str, int], strides: Mapping[str, int], num_classes: int, filters: int = 128
    ) -> None:
        super().__init__()
        low, high = tap_channels(channels, self.taps)
        self.pool = gate_pool(strides["c5"])
        self.branch = conv_norm_relu(high, filters)
        self.gate = nn.Conv2d(high, filters, 1)
        self.classify_high = nn.Conv2d(filters, num_classes, 1)
        self.classify_low = nn.Conv2d(low, num_classes, 1)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.classify_high, self.classify_low]

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        low, high = (features[tap] for tap in self.taps)
        gate = resize(self.gate(self.pool(high)).sigmoid(), high.shape[2:])
        branch = resize(self.branch(high) * gate, low.shape[2:])
        return self.classify_high(branch) + self.classify_low(low)


class LRASPPTorchvision(nn.Module):
    """LR-ASPP as in `torchvision.models.segmentation.lraspp_mobilenet_v3_large`.

    It differs from the paper's: full tail, the first stride-8 block's output as skip, a global pool, no gate bias.

    Args:
        channels: of the backbone's taps.
        strides: of the backbone's taps.
        num_classes: logits per pixel.
        filters: width of the branch.
    """

    backbone_options: ClassVar[dict[str, Any]] = {"output_stride": 16, "dilate_first": True}
    taps = ("c3.first", "c5")

    def __init__(
        self, channels: Mapping[str, int], strides: Mapping[str, int], num_classes: int, filters: int = 128
    ) -> None:
        super().__init__()
        low, high = tap_channels(channels, self.taps)
        self.branch = nn.Sequential(
            nn.Conv2d(high, filters, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(inplace=True)
        )
        self.gate = nn.Conv2d(high, filters, 1, bias=False)
        self.classify_high = nn.Conv2d(filters, num_classes, 1)
        self.classify_low = nn.Conv2d(low, num_classes, 1)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.classify_high, self.classify_low]

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        low, high = (features[tap] for tap in self.taps)
        gate = self.gate(high.mean((2, 3), keepdim=True)).sigmoid()
        return self.classify_high(resize(self.branch(high) * gate, low.shape[2:])) + self.classify_low(low)
