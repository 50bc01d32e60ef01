"""What all backbones have in common: a table, and named feature maps of which they return the chosen ones."""

import difflib
from collections.abc import Sequence
from typing import Any

from torch import nn

from backbones.tables import BackboneError


class Tapped(nn.Module):
    """A network with named feature maps. `backbone(images)` takes float32 [N, 3, H, W] and returns {tap: feature map}.

    Attributes:
        table: what it was built from, see `backbones.build_backbone`.
        channels: of every tap there is.
        strides: of every tap there is.
        taps: those that `forward` returns.
        normalisation: mean and std, as a spec has them, of the pictures that its weights were trained on, where it is
            known; `load_weights` sets it.
    """

    table: Any
    channels: dict[str, int]
    strides: dict[str, int]
    taps: tuple[str, ...]
    normalisation: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.normalisation = {}

    def set_taps(self, taps: Sequence[str]) -> None:
        """Choose which feature maps `forward` returns.

        Raises:
            BackboneError: for a tap that does not exist; names the nearest one, and all there are.
        """
        for tap in taps:
            if tap not in self.channels:
                near = difflib.get_close_matches(tap, self.channels, 1)
                hint = f'did you mean "{near[0]}"? ' if near else ""
                raise BackboneError(f'{self.table.name} has no tap "{tap}"; {hint}there are {", ".join(self.channels)}')
        self.taps = tuple(taps)
