"""The options of all backbones in one place, as every tool that builds one offers them."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class BackboneOptions:
    """What a backbone is built with; what is left out is as the head's paper has it. Not every backbone has them all.

    Args:
        width: multiplier of the backbone's widths, and of SSDLite's extra maps; by default 1.
        output_stride: of the backbone: strides past it become dilation.
        dilate_first: dilate the first block that lost its stride too, as torchvision does.
        rf2: halve the last stage of V2 or V3, as LR-ASPP has it.
        reduced_tail: halve the outputs of V3's last stage, as SSDLite has it.
        minimalistic: V3 without squeeze-and-excitation, hard-swish and 5x5 kernels.
        last_conv: keep V2's last convolution, which the segmentation heads leave out.
        scale_last: the last convolution of V2 and MnasNet follows the width, as in SSDLite.
        round_squeeze: squeeze MnasNet-A1 to a multiple of 8, as the V3 paper's SSDLite row counts it.
        small_images: first strides of 1, so that the whole stride is 8, for images of up to 64 pixels.
    """

    width: float | None = None
    output_stride: Literal[8, 16, 32] | None = None
    dilate_first: bool | None = None
    rf2: bool | None = None
    reduced_tail: bool | None = None
    minimalistic: bool | None = None
    last_conv: bool | None = None
    scale_last: bool | None = None
    round_squeeze: bool | None = None
    small_images: bool | None = None

    def given(self) -> dict[str, Any]:
        """Those that are not left out, as `create_table` takes them."""
        return {option: value for option, value in asdict(self).items() if value is not None}
