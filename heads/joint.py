"""A segmentation head and a detection head side by side, on the feature maps of one backbone."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from heads.anchors import Anchors
from heads.create import (
    BOX_OPTIONS,
    DETECTION_HEADS,
    SEGMENTATION_HEADS,
    create_detection_head,
    create_segmentation_head,
)

JOINT_HEADS = tuple(f"{masks}+{boxes}" for masks in SEGMENTATION_HEADS for boxes in DETECTION_HEADS)


class JointHead(nn.Module):
    """Masks and boxes.

    `head(features)` returns logits of masks, float32 [N, mask_classes, h, w], and what `SSDLite` returns.

    Args:
        name: of `JOINT_HEADS`.
        channels: of the backbone's taps.
        strides: of the backbone's taps.
        mask_classes: logits per pixel.
        box_classes: without background.
        branch: what the masks' head reads in place of the backbone's own maps of the same name, computed from its c4;
            it has `channels` and `strides`. None for the same maps as the boxes.
        **options: of either head, by their names.

    Raises:
        HeadError: see `create_segmentation_head` and `create_detection_head`.
    """

    def __init__(
        self,
        name: str,
        channels: Mapping[str, int],
        strides: Mapping[str, int],
        mask_classes: int,
        box_classes: int,
        branch: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        masks, boxes = name.split("+")
        theirs = {key: value for key, value in options.items() if key in BOX_OPTIONS}
        own = {key: value for key, value in options.items() if key not in theirs}
        widths, steps = (channels, strides) if branch is None else (branch.channels, branch.strides)
        self.branch = branch
        self.masks = create_segmentation_head(masks, widths, steps, mask_classes, **own)
        self.boxes = create_detection_head(boxes, channels, strides, box_classes, **theirs)
        wanted = [*self.masks.taps, *self.boxes.taps, *([] if branch is None else ["c4"])]  # type: ignore[misc]
        self.taps = tuple(dict.fromkeys(wanted))

    @property
    def last_layers(self) -> list[nn.Module]:
        return [*self.masks.last_layers, *self.boxes.last_layers]  # type: ignore[misc]

    def anchors(self, size: tuple[int, int]) -> Anchors:
        """See `SSDLite.anchors`."""
        return self.boxes.anchors(size)

    def mask_logits(self, features: Mapping[str, Tensor]) -> Tensor:
        """Those of the masks alone."""
        return self.masks(features if self.branch is None else self.branch(features))

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return self.mask_logits(features), *self.boxes(features)
