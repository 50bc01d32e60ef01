"""Which anchors answer for which boxes."""

import torch
from torch import Tensor

from heads.anchors import Anchors, box_iou, corners

ROUNDING = 1e-4  # how far shares of an image may be off before an anchor is overlooked


@torch.no_grad()
def match_anchors(anchors: Anchors, boxes: Tensor, labels: Tensor, iou_threshold: float = 0.5) -> Tensor:
    """SSD's matching (arXiv 1512.02325, Section 2.2), for all images of a batch together.

    An anchor takes the box it overlaps most, if their intersection over union reaches the threshold; the first of
    equal ones. Every box has at least the anchor that overlaps it most; of those that overlap it alike, as around a
    small box, one centred nearest. Where several boxes have the same one, the last of them.

    Few of all pairs are looked at: of the anchors of one shape, the one centred nearest to a box overlaps it most, and
    so tells whether any of that shape reaches the threshold, and those that do are not far away.

    Args:
        anchors: A of them.
        boxes: float32 [N, G, 4], corners, padded.
        labels: int64 [N, G], negative where padded.
        iou_threshold: least intersection over union of a match.

    Returns:
        int64 [N, A]: index of the box in its image, or -1 for background.
    """
    image, slot = (labels >= 0).nonzero(as_tuple=True)
    boxes, edges = boxes[image, slot], corners(anchors.boxes)
    nearest, iou = _nearest(anchors, boxes)
    best, shape = iou.max(dim=1)
    own = nearest.gather(1, shape[:, None])[:, 0]

    box, shape = (iou >= iou_threshold - ROUNDING).nonzero(as_tuple=True)
    box, anchor = _close(anchors, boxes, box, shape, iou_threshold)
    iou = box_iou(edges[anchor], boxes[box])
    reached = iou >= iou_threshold
    box, iou, place = box[reached], iou[reached], (image[box] * len(anchors) + anchor)[reached]

    # one number a candidate: 0 is background, then boxes by overlap, the first highest, then own ones, the last highest
    size, slots = len(labels) * len(anchors), labels.shape[1]
    most = iou.new_zeros(size).scatter_reduce_(0, place, iou, "amax")
    first, found = iou == most[place], best > 0
    candidates = torch.cat([slots - slot[box[first]], slots + 1 + slot[found]])
    place = torch.cat([place[first], (image * len(anchors) + own)[found]])
    matched = slot.new_zeros(size).scatter_reduce_(0, place, candidates, "amax")
    number = torch.arange(slots, device=slot.device)
    meaning = torch.cat([number.new_full((1,), -1), number.flip(0), number])
    return meaning.index_select(0, matched).view(len(labels), -1)


@torch.no_grad()
def best_iou(anchors: Anchors, boxes: Tensor) -> Tensor:
    """The greatest intersection over union that any anchor has with boxes, float32 [B, 4] corners: float32 [B]."""
    return _nearest(anchors, boxes)[1].amax(1)


def _nearest(anchors: Anchors, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The anchor of every shape centred nearest to boxes [B, 4], and its intersection over union: [B, S] each."""
    rows, columns, first, step = anchors.grids.unbind(1)
    cells = torch.stack([columns, rows], dim=1)
    centre = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    column, row = (centre * cells).long().clamp(torch.zeros_like(cells), cells - 1).unbind(-1)
    nearest = first + (row * columns + column) * step
    return nearest, box_iou(corners(anchors.boxes[nearest]), boxes[:, None])


def _close(anchors: Anchors, boxes: Tensor, box: Tensor, shape: Tensor, iou_threshold: float) -> tuple[Tensor, Tensor]:
    """For pairs (box, shape), int64 [P] each: pairs (box, anchor) with all anchors that can reach the threshold.

    Two boxes of areas a and b with an intersection over union of t share (a + b) t / (1 + t). That is no wider than the
    narrower of them, which tells its least height, and likewise its least width; and both are at most half the sum of
    the sides less the distance of the centres.
    """
    rows, columns, first, step = anchors.grids[shape].unbind(1)
    sides, own = anchors.boxes[first, 2:], boxes[box, 2:] - boxes[box, :2]
    shared = (sides.prod(1) + own.prod(1)) * (iou_threshold / (1 + iou_threshold))
    reach = (sides + own) / 2 - (shared[:, None] / torch.minimum(sides, own)).flip(1) + ROUNDING
    centre, cells = (boxes[box, :2] + boxes[box, 2:]) / 2, torch.stack([columns, rows], dim=1)
    low = ((centre - reach) * cells - 0.5).ceil().long().clamp(min=0)
    high = ((centre + reach) * cells - 0.5).floor().long().minimum(cells - 1)
    wide, tall = (high - low + 1).clamp(min=0).unbind(1)
    pair = torch.repeat_interleave(wide * tall)
    number = torch.arange(len(pair), device=pair.device) - ((wide * tall).cumsum(0) - wide * tall)[pair]
    row = number // wide[pair]
    column = number - row * wide[pair]
    place = (low[pair, 1] + row) * columns[pair] + low[pair, 0] + column
    return box[pair], first[pair] + place * step[pair]
