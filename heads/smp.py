"""Decoders of segmentation-models-pytorch on our taps: their decoder and classifier, our backbone in front."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from heads.aspp import resize
from heads.taps import HeadError, tap_channels

# architecture -> the backbone's output stride that its paper, or the library's default, works with
DECODERS = {
    "unet": 32,
    "unetplusplus": 32,
    "manet": 32,
    "linknet": 32,
    "fpn": 32,
    "pspnet": 32,
    "pan": 16,
    "deeplabv3": 16,
    "deeplabv3plus": 16,
    "upernet": 32,
    "segformer": 32,
}


class _Taps(nn.Module):
    """Stands in for an encoder while the library builds a decoder: it has channels and a stride, and no layers."""

    def __init__(self, out_channels: Sequence[int], depth: int, output_stride: int) -> None:
        super().__init__()
        self.out_channels = list(out_channels)[: depth + 1]
        self.output_stride = min(output_stride, 2**depth)

    def set_in_channels(self, *_: Any, **__: Any) -> None: ...

    def make_dilated(self, *_: Any) -> None: ...


class SMPDecoder(nn.Module):
    """One of segmentation-models-pytorch's decoders with its last convolution, without its final upsampling.

    Args:
        name: a key of `DECODERS`.
        channels: of the backbone's taps.
        strides: of the backbone's taps.
        num_classes: logits per pixel.
        **options: the library's own options for that architecture, such as decoder_channels.

    Raises:
        HeadError: for an option that the architecture does not have.
    """

    def __init__(
        self, name: str, channels: Mapping[str, int], strides: Mapping[str, int], num_classes: int, **options: Any
    ) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp  # takes seconds to import, so only who asks for a decoder pays

        accepted = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[name].__init__).parameters
        for option in options:  # the library takes any name and drops those it does not know
            if option not in accepted:
                near = difflib.get_close_matches(option, accepted, 1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                raise HeadError(f'the head "{name}" has no option "{option}"{hint}')
        depth = accepted["encoder_depth"].default
        self.taps = tuple(f"c{level}" for level in range(1, depth + 1))
        out_channels = [3, *tap_channels(channels, self.taps)]
        if "encoder_output_stride" in accepted:
            options["encoder_output_stride"] = strides["c5"]
        smp.encoders.encoders["mobiledense"] = {"encoder": _Taps, "params": {"out_channels": out_channels}}
        try:
            model = smp.create_model(name, "mobiledense", encoder_weights=None, classes=num_classes, **options)
        finally:
            del smp.encoders.encoders["mobiledense"]
        self.decoder = model.decoder
        self.classify = model.segmentation_head[0]
        deepest = strides[self.taps[-1]]
        self.scales = tuple(deepest // strides[tap] for tap in self.taps)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        # the decoders double sizes, so on sides that do not divide, maps are stretched to the deepest one's grid
        height, width = features[self.taps[-1]].shape[2:]
        maps = []
        for tap, scale in zip(self.taps, self.scales, strict=True):
            x, size = features[tap], (height * scale, width * scale)
            maps.append(x if x.shape[2:] == size else resize(x, size))
        # decoders read the picture's size off their first entry, never its values
        batch, _, rows, columns = maps[0].shape
        picture = torch.empty(batch, 3, 2 * rows, 2 * columns, device=maps[0].device, dtype=maps[0].dtype)
        return self.classify(self.decoder([picture, *maps]))
