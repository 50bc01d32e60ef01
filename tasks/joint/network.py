"""The joint network: one backbone whose feature maps go to a segmentation head and a detection head."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from backbones import Table, build_backbone, table_from_dict
from heads import BOX_OPTIONS, HeadError, JointHead
from tasks.base import Spec
from tasks.detection.task import DetectionSpec
from tasks.detection.thresholds import check_threshold
from tasks.segmentation.task import SegmentationSpec


@dataclass(frozen=True)
class JointSpec(Spec):
    """A joint network; a mask's index i is names[i], a box's label i is box_names[i].

    Attributes:
        box_names: class names of boxes, without background.
        box_colours: of them.
        sigmoid: as of `DetectionSpec`.
        score_threshold: likewise.
        learned: whether the three losses have weights that are learned, see `JointNetwork`.
        branch: table of a backbone whose last stage masks have for themselves, on what the shared one has at stride 16;
            None where masks and boxes share all.
    """

    box_names: list[str] = field(default_factory=list)
    box_colours: list[tuple[int, int, int]] = field(default_factory=list)
    sigmoid: bool = False
    learned: bool = False
    branch: Table | None = None
    score_threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_threshold(self.score_threshold)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        branch = data.get("branch")
        table = None if branch is None else table_from_dict(branch)
        colours = [tuple(colour) for colour in data.get("box_colours", [])]
        return super().from_dict(data | {"branch": table, "box_colours": colours})

    @property
    def masks(self) -> SegmentationSpec:
        """Of the part that a segmentation network is."""
        table, head = self.branch or self.table, self.head.split("+")[0]
        return SegmentationSpec(table, head, self.names, self.colours, **self._shared(of_boxes=False))

    @property
    def boxes(self) -> DetectionSpec:
        """Of the part that a detection network is."""
        head, shared = self.head.split("+")[1], self._shared(of_boxes=True)
        shared |= {"sigmoid": self.sigmoid, "score_threshold": self.score_threshold}
        return DetectionSpec(self.table, head, self.box_names, self.box_colours, **shared)

    def _shared(self, of_boxes: bool) -> dict[str, Any]:
        """What both parts have, and those options of the head that are one part's."""
        options = {key: value for key, value in self.head_options.items() if (key in BOX_OPTIONS) == of_boxes}
        return {name: getattr(self, name) for name in ("input_size", "mean", "std")} | {"head_options": options}


class Branch(nn.Module):
    """The last stage of a backbone, which reads another one's c4.

    Args:
        table: of the whole backbone, the same as the other one's up to c4.
        whole: built from it; None for a new one.

    Raises:
        HeadError: for a network of timm's, whose stages are its own.
    """

    def __init__(self, table: Any, whole: Any = None) -> None:
        super().__init__()
        if not isinstance(table, Table):
            raise HeadError("--sharing stage4 is for our own backbones, whose tables say where a stage begins")
        whole = whole or build_backbone(table)
        self.channels, self.strides = whole.channels, whole.strides
        self.blocks: Any = whole.blocks[table.levels().index(5) :]  # type: ignore[index]
        self.last: Any = whole.last

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x = features["c4"]
        for block in self.blocks:
            x = block(x)[2]
        return {**features, "c5": x if self.last is None else self.last(x)}


class JointNetwork(nn.Module):
    """Backbone and both heads. `network(images)` takes normalised float32 [N, 3, H, W]; `JointHead` has the outputs.

    With `spec.learned` it holds the logarithms of the variances that weight its losses in training, `uncertainty` of
    masks, classes and boxes: the loss is the sum of exp(-s) * loss + s / 2 (arXiv 1705.07115, Section 3.2).
    """

    def __init__(self, spec: JointSpec) -> None:
        super().__init__()
        self.backbone = build_backbone(spec.table)
        self.backbone.check_size(*spec.input_size)
        branch = None if spec.branch is None else Branch(spec.branch)
        channels, strides, classes = (
            self.backbone.channels,
            self.backbone.strides,
            (len(spec.names), len(spec.box_names)),
        )
        self.head = JointHead(spec.head, channels, strides, *classes, branch, **spec.head_options)
        self.backbone.set_taps(self.head.taps)
        if spec.learned:
            self.uncertainty = nn.Parameter(torch.zeros(3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.head(self.backbone(images))
