"""What all backbones have in common: a table, and named feature maps of which they return the chosen ones."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from backbones.tables import BackboneError, did_you_mean


class Tapped(nn.Module):
    """A network with named feature maps. `backbone(images)` takes float32 [N, 3, H, W] and returns {tap: feature map}.

    Attributes:
        table: what it was built from, see `backbones.build_backbone`.
        channels: of every tap there is.
        strides: of every tap there is.
        taps: those that `forward` returns.
        made_for: height and width of the images it was made for, if it may take no others.
        normalisation: mean and std, as a spec has them, of the images that its weights were trained on, where it is
            known; `load_weights` sets it.
    """

    table: Any
    channels: dict[str, int]
    strides: dict[str, int]
    taps: tuple[str, ...]
    made_for: tuple[int, int] | None = None
    normalisation: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.normalisation = {}

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout to train in: channels_last, which is the faster one, or contiguous where that is not safe.

        oneDNN's gradient of a 1x1 convolution with a stride writes past its workspace in channels_last memory if there
        are fewer than 16 channels in, and the process ends at once or later (its issue 6035). Some of timm's networks
        have one beside their first 3x3 convolution.
        """
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        strided = [conv for conv in convolutions if conv.kernel_size == (1, 1) and conv.stride != (1, 1)]
        safe = all(conv.in_channels // conv.groups >= 16 for conv in strided)
        return torch.channels_last if safe else torch.contiguous_format

    def check_size(self, height: int, width: int) -> None:
        """Refuse images of a size that the network cannot take, which is any here.

        Raises:
            BackboneError: naming the size it can take.
        """

    def set_taps(self, taps: Sequence[str]) -> None:
        """Choose which feature maps `forward` returns.

        Raises:
            BackboneError: for a tap that does not exist; names the nearest one, and all there are.
        """
        for tap in taps:
            if tap not in self.channels:
                hint = did_you_mean(tap, self.channels)
                raise BackboneError(f'{self.table} has no tap "{tap}"{hint} (there are {", ".join(self.channels)})')
        self.taps = tuple(taps)
