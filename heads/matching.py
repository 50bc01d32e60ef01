"""Which anchors answer for which boxes."""

import torch
from torch import Tensor

from heads.anchors import corners


def box_iou(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of corners [A, 4] with corners [..., G, 4]: [..., G, A]."""
    ax1, ay1, ax2, ay2 = anchors.unbind(-1)
    x1, y1, x2, y2 = boxes[..., None].unbind(-2)
    wide = torch.minimum(x2, ax2).sub_(torch.maximum(x1, ax1)).clamp_(min=0)
    high = torch.minimum(y2, ay2).sub_(torch.maximum(y1, ay1)).clamp_(min=0)
    shared = wide.mul_(high)
    union = torch.sub((ax2 - ax1) * (ay2 - ay1) + (x2 - x1) * (y2 - y1), shared, out=high)
    return shared.div_(union)


@torch.no_grad()
def match_anchors(anchors: Tensor, boxes: Tensor, labels: Tensor, threshold: float = 0.5) -> Tensor:
    """SSD's matching (arXiv 1512.02325, Section 2.2), for all pictures of a batch together.

    An anchor takes the box it overlaps most, if their intersection over union reaches the threshold. Every box has at
    least the anchor that overlaps it most; where several boxes have the same one, the last of them.

    Args:
        anchors: float32 [A, 4], (cx, cy, w, h).
        boxes: float32 [N, G, 4], corners, padded.
        labels: int64 [N, G], negative where padded.
        threshold: least intersection over union.

    Returns:
        int64 [N, A]: index of the box in its picture, or -1 for background.
    """
    boxes = boxes * (labels >= 0)[..., None]  # padding overlaps nothing
    overlap = box_iou(corners(anchors), boxes)
    most, matched = overlap.max(dim=1)
    best, anchor = overlap.max(dim=2)
    claims = matched.new_full((len(boxes), len(anchors) + 1), -1)  # the last column is for padding
    anchor = torch.where(best > 0, anchor, len(anchors))
    order = torch.arange(boxes.shape[1], device=boxes.device).expand_as(anchor)
    claims = claims.scatter_reduce_(1, anchor, order, "amax")[:, :-1]
    return torch.where(claims >= 0, claims, torch.where(most >= threshold, matched, -1))
