"""Our backbones as encoders of segmentation-models-pytorch.

import segmentation_models_pytorch as smp
from backbones import register_encoders
register_encoders()
network = smp.Unet("mobiledense-v3-large", encoder_weights="imagenet", classes=2)
"""

import sys
from functools import wraps
from typing import Any

from torch import Tensor, nn

from backbones.factory import build_backbone, create_table
from backbones.load import load_weights
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
        """Take images of another number of channels.

        The stem's weights are random, or, as in the library, those of red, green and blue in turn, scaled so that their
        sum stays about what it was.
        """
        conv = self.backbone.stem.conv
        if in_channels != conv.in_channels:
            stem = nn.Conv2d(in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=False)
            nn.init.kaiming_normal_(stem.weight, mode="fan_out")
            if pretrained:
                turns = conv.weight.detach()[:, [channel % 3 for channel in range(in_channels)]] * 3 / in_channels
                stem.weight.data.copy_(turns if in_channels > 1 else conv.weight.detach().sum(1, keepdim=True))
            self.backbone.stem.conv = stem
            self.out_channels[0] = in_channels

    def make_dilated(self, output_stride: int) -> None:
        """Nothing: the backbone was built with its output stride."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, *self.backbone(images).values()]


def register_encoders() -> list[str]:
    """Make "mobiledense-v3-large" and its siblings encoders of every architecture of segmentation-models-pytorch.

    Their `encoder_weights` are "imagenet", or any other source that `load_weights` takes, or None. The library fetches
    weights of its own repositories alone, so that its `get_encoder` is wrapped; other encoders do not notice.

    Returns:
        The encoders' names.
    """
    import segmentation_models_pytorch as smp  # takes seconds to import, so only who asks for it pays

    ours = {f"mobiledense-{name}": {"encoder": Encoder, "params": {"name": name}} for name in TABLES}
    smp.encoders.encoders.update({name: entry | {"pretrained_settings": {}} for name, entry in ours.items()})
    theirs = smp.encoders.get_encoder
    if not hasattr(theirs, "__wrapped__"):
        wrapped = _with_our_weights(theirs)
        for name, module in list(sys.modules.items()):  # each architecture holds the function under its own name
            if name.startswith(smp.__name__) and getattr(module, "get_encoder", None) is theirs:
                module.get_encoder = wrapped  # type: ignore[attr-defined]
    return list(ours)


def _with_our_weights(get_encoder: Any) -> Any:
    """The library's function, which leaves the weights of our encoders to `load_weights`."""

    @wraps(get_encoder)
    def wrapped(
        name: str, in_channels: int = 3, depth: int = 5, weights: Any = None, *rest: Any, **options: Any
    ) -> Any:
        if weights is None or not name.startswith("mobiledense-"):
            return get_encoder(name, in_channels, depth, weights, *rest, **options)
        encoder = get_encoder(name, 3, depth, None, *rest, **options)
        load_weights(encoder.backbone, weights)
        encoder.set_in_channels(in_channels, pretrained=True)
        return encoder

    return wrapped
