"""Anchors (priors) of SSD, and box offsets relative to them.

Boxes and anchors are shares of the image's width and height, so nothing here knows how large an image is in pixels.
Boxes are corners (x1, y1, x2, y2); anchors are centres and sides (cx, cy, w, h).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from heads.inputs import HeadError

CODING = (10.0, 10.0, 5.0, 5.0)  # offsets are multiplied by these, as in SSD's and TensorFlow's code
LARGEST_GROWTH = math.log(1000 / 16)  # of a side, so that no logit makes a box infinite


class Anchors(nn.Module):
    """Anchors of all maps (SSD, arXiv 1512.02325, Section 2.2), in the order of a head's outputs.

    Scales, in shares of the image's shorter side, rise evenly over the maps. Every cell has six anchors: aspect ratio
    1 at its map's scale and at the geometric mean with the next one, then 2, 1/2, 3, 1/3. With three in the first map
    (TensorFlow's "reduce boxes in lowest layer") these are 1 at half the scale, 2 and 1/2.

    Attributes:
        boxes: float32 [A, 4], (cx, cy, w, h); sides are at most 1.
        grids: int64 [S, 4]. There are S shapes, each on every cell of its map: rows and columns of that map, the index
            of the shape's first anchor, and the distance from there to the next cell's.

    Args:
        grids: rows and columns of every map.
        size: height and width of the image; only their ratio matters.
        least_scale: of the first map.
        greatest_scale: of the last map.
        first: anchors in a cell of the first map, 3 or 6.

    Raises:
        HeadError: if `first` is neither 3 nor 6.
    """

    boxes: Tensor
    grids: Tensor

    def __init__(
        self,
        grids: Sequence[tuple[int, int]],
        size: tuple[int, int],
        least_scale: float = 0.2,
        greatest_scale: float = 0.95,
        first: int = 6,
    ) -> None:
        super().__init__()
        if first not in (3, 6):
            raise HeadError(f"{first} anchors in the first map: choose 3 or 6")
        steps = max(1, len(grids) - 1)
        scales = [least_scale + (greatest_scale - least_scale) * level / steps for level in range(len(grids))] + [1.0]
        shorter = min(size)
        boxes: list[Tensor] = []
        shapes: list[tuple[int, int, int, int]] = []
        for level, (rows, columns) in enumerate(grids):
            scale = scales[level]
            if level == 0 and first == 3:
                ratios = [(scale / 2, 1.0), (scale, 2.0), (scale, 0.5)]
            else:
                ratios = [(scale, 1.0), (math.sqrt(scale * scales[level + 1]), 1.0)]
                ratios += [(scale, ratio) for ratio in (2.0, 0.5, 3.0, 1 / 3)]
            sides = torch.tensor([(s * math.sqrt(r), s / math.sqrt(r)) for s, r in ratios], dtype=torch.float64)
            sides = (sides * torch.tensor([shorter / size[1], shorter / size[0]])).clamp(max=1.0)
            y = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
            x = (torch.arange(columns, dtype=torch.float64) + 0.5) / columns
            centres = torch.stack([x.expand(rows, -1), y[:, None].expand(-1, columns)], dim=-1)
            cells = [centres[:, :, None].expand(-1, -1, len(sides), -1), sides.expand(rows, columns, -1, -1)]
            shapes += [(rows, columns, sum(map(len, boxes)) + number, len(sides)) for number in range(len(sides))]
            boxes.append(torch.cat(cells, dim=3).reshape(-1, 4))
        self.register_buffer("boxes", torch.cat(boxes).float(), persistent=False)
        self.register_buffer("grids", torch.tensor(shapes), persistent=False)

    def __len__(self) -> int:
        return len(self.boxes)


def corners(boxes: Tensor) -> Tensor:
    """(cx, cy, w, h) -> (x1, y1, x2, y2), any shape [..., 4]."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of corners [..., 4] with corners [..., 4], broadcast against each other: [...].

    Unlike torchvision's, it takes pairs as well as tables, and batches of them.
    """
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    intersection = (high - low).clamp(min=0).prod(-1)
    area, others = ((boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (one, other))
    return intersection / (area + others - intersection).clamp(min=1e-12)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """What a head should predict at anchors for boxes; the inverse of `decode_boxes`.

    Args:
        boxes: float32 [..., 4], corners, with sides above 0.
        anchors: float32 [..., 4], broadcast against the boxes.

    Returns:
        float32 [..., 4]: offset of the centre in units of the anchor's sides, logarithm of the ratio of sides, scaled.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., :2] + sides / 2 - anchors[..., :2]) / anchors[..., 2:]
    return torch.cat([centre, (sides / anchors[..., 2:]).log()], dim=-1) * boxes.new_tensor(CODING)


def decode_boxes(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Boxes from a head's offsets.

    Args:
        offsets: float32 [..., 4].
        anchors: float32 [..., 4], broadcast against the offsets.

    Returns:
        float32 [..., 4], corners, not clipped.
    """
    offsets = offsets / offsets.new_tensor(CODING)
    centre = offsets[..., :2] * anchors[..., 2:] + anchors[..., :2]
    half = offsets[..., 2:].clamp(max=LARGEST_GROWTH).exp() * anchors[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)
