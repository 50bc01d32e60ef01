"""Any of timm's networks that hands out feature maps, behind the contract of our own backbones."""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from backbones.tables import BackboneError, check_norm, check_output_stride, did_you_mean
from backbones.taps import Tapped

PREFIX = "timm:"
LEVELS = {2: 1, 4: 2, 8: 3, 16: 4, 32: 5}


@dataclass(frozen=True)
class TimmTable:
    """What a checkpoint stores of a timm network: enough to build it again, without a download.

    Attributes:
        name: "timm:" and timm's name.
        output_stride: 8, 16 or 32.
        norm_momentum: of every batch norm; None leaves timm's.
        hidden: a classifier on it has no hidden layer.
        activation: of the hidden layer that there is not.
    """

    name: str
    output_stride: int = 32
    norm_momentum: float | None = None
    hidden: ClassVar[int] = 0
    activation: ClassVar[str] = "relu"

    def __post_init__(self) -> None:
        check_output_stride(self.output_stride)
        if self.norm_momentum is not None:
            check_norm(norm_momentum=self.norm_momentum)

    def __str__(self) -> str:
        return self.name

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a checkpoint."""
        return asdict(self)


class TimmBackbone(Tapped):
    """A timm network; its taps are the last feature maps of stride 2, 4, 8, 16 and 32 before dilation, c1 to c5.

    A network that begins at a stride of 4 has no c1. There is nothing to tap inside its blocks, so the names that reach
    there mean the nearest whole map of the same stride: `cN.expansion`, `cN.depthwise`, `cN.first` and
    `cN.first.depthwise` are cN, and `cN.first.expansion` is the map before it. Sides of maps are ceil(side / stride)
    where the network pads as most do; those that cut images into patches want sides that the stride divides.

    Args:
        table: what to build; weights are random.
        taps: which feature maps to return; by default all of c1 to c5 that there are.

    Raises:
        BackboneError: for a network that timm does not have or cannot build so, or a tap that does not exist.
    """

    def __init__(self, table: TimmTable, taps: Sequence[str] | None = None) -> None:
        super().__init__()
        self.table = table
        self.network = create_network(table.name, table.output_stride)
        with torch.device("meta"):
            undilated = create_network(table.name).feature_info.reduction()
        # of several maps at one stride, the last
        places = {LEVELS[stride]: place for place, stride in enumerate(undilated) if stride in LEVELS}
        if not places:
            raise BackboneError(f"{table.name} has no feature maps at strides of 2, 4, 8, 16 or 32")
        self._places: dict[str, int] = {f"c{level}": place for level, place in places.items()}
        for level, place in places.items():
            same = ("expansion", "depthwise", "first", "first.depthwise")
            self._places |= {f"c{level}.{part}": place for part in same}
            if level - 1 in places:
                self._places[f"c{level}.first.expansion"] = places[level - 1]
        channels, strides = self.network.feature_info.channels(), self.network.feature_info.reduction()
        self.channels = {tap: channels[place] for tap, place in self._places.items()}
        self.strides = {tap: strides[place] for tap, place in self._places.items()}
        config = getattr(self.network, "pretrained_cfg", None) or {}
        if config.get("fixed_input_size"):
            self.made_for = tuple(config["input_size"][1:])
        self._channels_last = getattr(self.network, "output_fmt", None) == "NHWC"
        self.set_taps(taps or [f"c{level}" for level in places])
        if table.norm_momentum is not None:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = table.norm_momentum

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.network(images) if self.made_for is None else self._maps_of_a_size(images)
        found = {tap: maps[self._places[tap]] for tap in self.taps}
        return {tap: x.permute(0, 3, 1, 2) for tap, x in found.items()} if self._channels_last else found

    def _maps_of_a_size(self, images: Tensor) -> Any:
        try:
            return self.network(images)
        except (AssertionError, RuntimeError):  # there are as many kinds of failure as networks
            (height, width), (rows, columns) = images.shape[2:], self.made_for or (0, 0)
            if (height, width) == (rows, columns):
                raise
            raise BackboneError(
                f"{self.table.name} is made for images of {rows}x{columns} and cannot take {height}x{width}: give it "
                f"its size (--crop {rows} {columns} of train_seg, --window of eval_seg and predict, --size of the "
                f"other tools), or choose a network that takes any"
            ) from None

    def check_size(self, height: int, width: int) -> None:
        """Refuse images of a size that the network cannot take; some take others than they were made for.

        Raises:
            BackboneError: naming the size it was made for.
        """
        if self.made_for not in (None, (height, width)):
            copy.deepcopy(self).to("meta").eval()(torch.empty(1, 3, height, width, device="meta"))


def create_network(name: str, output_stride: int = 32) -> Any:
    """timm's network without its classifier, with random weights; it returns a list of feature maps.

    Args:
        name: "timm:" and timm's name.
        output_stride: 8, 16 or 32.

    Raises:
        BackboneError: for a network that timm does not have (names the nearest), or cannot build so.
    """
    import timm  # takes seconds to import, so only who asks for one of its networks pays

    plain = name.removeprefix(PREFIX)
    if not timm.is_model(plain):
        known = [PREFIX + model for model in timm.list_models()]
        raise BackboneError(f'timm has no network "{plain}"{did_you_mean(name, known)}')
    options: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}  # not all know it
    try:
        return timm.create_model(plain, features_only=True, **options)
    except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        reason = str(error) or type(error).__name__
        raise BackboneError(f"timm cannot build {plain} at output stride {output_stride} ({reason})") from None


@cache
def timm_options(name: str) -> list[str]:
    """The options of `TimmTable` that a network has: output_stride, unless timm cannot dilate it.

    Raises:
        BackboneError: for a network that timm does not have, or that hands out no feature maps.
    """
    with torch.device("meta"):
        create_network(name)
        try:
            create_network(name, 16)
        except ValueError:
            return []
    return ["output_stride"]
