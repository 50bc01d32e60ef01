"""Our backbones as encoders of segmentation-models-pytorch.

import segmentation_models_pytorch as smp
from backbones import load_weights, register_encoders
register_encoders()
network = smp.Unet("mobiledense-v3-large", encoder_weights=None, classes=2)
load_weights(network.encoder.backbone, "imagenet")
"""

from typing import Any

from torch import Tensor, nn

from backbones.factory import build_backbone, create_table
from backbones.papers import TABLES


class Encoder(nn.Module):
    """A backbone as segmentation-models-pytorch wants an encoder: it returns the image, and a map for every stride.

    Args:
        name: a key of `TABLES`.
        depth: how many maps, from stride 2 on.
        output_stride: 8, 16 or 32.
    """

    def __init__(self, name: str, depth: int, output_stride: int) -> None:
        super().__init__()
        taps = [f"c{level}" for level in range(1, depth + 1)]
        self.backbone: Any = build_backbone(create_table(name, output_stride=output_stride), taps)
        self.out_channels = [3, *(self.backbone.channels[tap] for tap in taps)]
        self.output_stride = self.backbone.strides[taps[-1]]

    def set_in_channels(self, in_channels: int, pretrained: bool = False) -> None:
        """Take images of another number of channels through a stem of random weights."""
        conv = self.backbone.stem.conv
        if in_channels != conv.in_channels:
            stem = nn.Conv2d(in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=False)
            nn.init.kaiming_normal_(stem.weight, mode="fan_out")
            self.backbone.stem.conv = stem
            self.out_channels[0] = in_channels

    def make_dilated(self, output_stride: int) -> None:
        """Nothing: the backbone was built with its output stride."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, *self.backbone(images).values()]


def register_encoders() -> list[str]:
    """Make "mobiledense-v3-large" and its siblings encoders of every architecture of segmentation-models-pytorch.

    The library is given `encoder_weights=None`, since it looks for weights in places of its own; `load_weights` fills
    the encoder's `backbone`.

    Returns:
        The encoders' names.
    """
    import segmentation_models_pytorch as smp  # takes seconds to import, so only who asks for it pays

    ours = {f"mobiledense-{name}": {"encoder": Encoder, "params": {"name": name}} for name in TABLES}
    smp.encoders.encoders.update({name: entry | {"pretrained_settings": {}} for name, entry in ours.items()})
    return list(ours)
