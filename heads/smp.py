"""Decoders of segmentation-models-pytorch on our taps: their decoder and classifier, our backbone in front."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from heads.head_options import RANGES, unknown
from heads.inputs import HeadError, tap_channels
from heads.lraspp import resize

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


# of the library's options, what the backbone or this file sets
OURS = {"self", "encoder_name", "encoder_weights", "encoder_depth", "encoder_output_stride", "in_channels", "classes"}
OURS |= {"activation", "aux_params", "upsampling", "kwargs"}


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
        HeadError: for an option that the architecture does not have, or a value that it cannot have.
    """

    def __init__(
        self, name: str, channels: Mapping[str, int], strides: Mapping[str, int], num_classes: int, **options: Any
    ) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp  # takes seconds to import, so only who asks for a decoder pays

        accepted = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[name].__init__).parameters
        known = [option for option in accepted if option not in OURS]
        for option, value in options.items():  # the library takes any name and drops those it does not know
            if option not in known:
                raise HeadError(unknown(f"option of {name}", option, known))
            numbers = value if isinstance(value, list | tuple) else [value]
            if any(isinstance(number, int | float) and not 0 <= number <= RANGES["filters"][1] for number in numbers):
                raise HeadError(f"option {option} of {name}: {value} is not in 0 to {RANGES['filters'][1]}")
        depth = accepted["encoder_depth"].default
        self.taps = tuple(f"c{level}" for level in range(1, depth + 1))
        out_channels = [3, *tap_channels(channels, self.taps)]
        if "encoder_output_stride" in accepted:
            options["encoder_output_stride"] = strides["c5"]
        smp.encoders.encoders["mobiledense"] = {"encoder": _Taps, "params": {"out_channels": out_channels}}
        try:
            model = smp.create_model(name, "mobiledense", encoder_weights=None, classes=num_classes, **options)
        except Exception as error:  # of any kind, where the library does not look at its options' values
            raise HeadError(f"{name} cannot be built with {options} ({error})") from None
        finally:
            del smp.encoders.encoders["mobiledense"]
        self.decoder = model.decoder
        self.classify = model.segmentation_head[0]
        deepest = strides[self.taps[-1]]
        self.scales = tuple(deepest // strides[tap] for tap in self.taps)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.classify]

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        # the decoders double sizes, so on sides that do not divide, maps are stretched to the deepest one's grid
        height, width = features[self.taps[-1]].shape[2:]
        maps = []
        for tap, scale in zip(self.taps, self.scales, strict=True):
            x, size = features[tap], (height * scale, width * scale)
            maps.append(x if x.shape[2:] == size else resize(x, size))
        # decoders read the image's size off their first entry, never its values
        batch, _, rows, columns = maps[0].shape
        image = torch.empty(batch, 3, 2 * rows, 2 * columns, device=maps[0].device, dtype=maps[0].dtype)
        return self.classify(self.decoder([image, *maps]))
