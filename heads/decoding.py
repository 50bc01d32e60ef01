"""From a detection head's raw output to detections, for a whole batch at once."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import nms

from heads.anchors import decode_boxes


class Decoded(NamedTuple):
    """Detections of a batch, by falling score, padded with zeros to one number a picture.

    Attributes:
        boxes: float32 [N, most, 4], corners in shares of the picture, clipped to it.
        scores: float32 [N, most], in 0 to 1.
        labels: int64 [N, most], class indices without background.
        counts: int64 [N], how many there are.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    counts: Tensor


def class_scores(logits: Tensor, sigmoid: bool) -> Tensor:
    """float [N, A, K + 1] -> float32 [N, A, K]: softmax, or sigmoid for networks trained by focal loss."""
    logits = logits.float()
    return logits[..., 1:].sigmoid() if sigmoid else logits.softmax(-1)[..., 1:]


@torch.no_grad()
def decode_detections(
    logits: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    sigmoid: bool = False,
    threshold: float = 0.001,
    overlap: float = 0.55,
    most: int = 300,
    most_per_class: int = 300,
) -> Decoded:
    """Score threshold, top-k over (anchor, class), and non-maximum suppression within each class.

    Gives the detections of torchvision's `SSD.postprocess_detections`, which takes the best `most_per_class` anchors of
    each class, but looks at no more candidates than needed: what ranks below the `most` best survivors changes nothing.

    Args:
        logits: float [N, A, K + 1], background first.
        offsets: float [N, A, 4].
        anchors: float32 [A, 4].
        sigmoid: as in `class_scores`.
        threshold: scores must be above it.
        overlap: a box is dropped if its intersection over union with a better one of its class is above this.
        most: detections a picture.
        most_per_class: candidates of one class.
    """
    scores = class_scores(logits, sigmoid)
    batch, _, classes = scores.shape
    flat = scores.flatten(1)
    taken = min(2 * most, flat.shape[1])
    while True:
        values, index = flat.topk(taken)
        chosen = values > threshold
        if taken > most_per_class:
            chosen &= _rank_in_class(index % classes) < most_per_class
        picture, place = chosen.nonzero(as_tuple=True)
        candidate, value = index[picture, place], values[picture, place]
        label, anchor = candidate % classes, candidate // classes
        boxes = decode_boxes(offsets[picture, anchor].float(), anchors[anchor]).clamp(0, 1)
        # classes and pictures side by side, too far apart to overlap; doubles hold the sums exactly
        apart = boxes.double() + 2.0 * (picture * classes + label)[:, None]
        kept = nms(apart, value.double(), overlap)
        kept = kept[picture[kept].argsort(stable=True)]
        survivors = torch.bincount(picture[kept], minlength=batch)
        complete = (survivors >= most) | (values[:, -1] <= threshold)
        if taken == flat.shape[1] or bool(complete.all()):
            break
        taken = min(4 * taken, flat.shape[1])
    picture = picture[kept]
    rank = torch.arange(len(kept), device=kept.device) - (survivors.cumsum(0) - survivors)[picture]
    first = rank < most
    picture, rank, kept = picture[first], rank[first], kept[first]
    result = Decoded(
        boxes.new_zeros(batch, most, 4), value.new_zeros(batch, most), label.new_zeros(batch, most), survivors
    )
    result.boxes[picture, rank] = boxes[kept]
    result.scores[picture, rank] = value[kept]
    result.labels[picture, rank] = label[kept]
    return result._replace(counts=survivors.clamp(max=most))


def _rank_in_class(labels: Tensor) -> Tensor:
    """int64 [N, M], labels by falling score -> int64 [N, M], how many of the same label come before."""
    ordered, order = labels.sort(dim=1, stable=True)
    start = torch.searchsorted(ordered, ordered)
    rank = torch.arange(labels.shape[1], device=labels.device) - start
    return torch.empty_like(rank).scatter_(1, order, rank)


def decode_fixed(
    logits: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    sigmoid: bool = False,
    threshold: float = 0.001,
    overlap: float = 0.55,
    most: int = 100,
    candidates: int = 300,
    rounds: int = 16,
) -> Decoded:
    """`decode_detections` in tensors of fixed shapes and without NMS operators, for export.

    Exact among the `candidates` best (anchor, class) pairs, unless boxes of one class overlap in a chain of more than
    `rounds` in which each suppresses the next.

    Args:
        logits: as for `decode_detections`, and so `offsets`, `anchors`, `sigmoid`, `threshold`, `overlap`, `most`.
        offsets: see there.
        anchors: see there.
        sigmoid: see there.
        threshold: see there.
        overlap: see there.
        most: see there.
        candidates: how many (anchor, class) pairs are looked at.
        rounds: of suppression.
    """
    scores = class_scores(logits, sigmoid)
    classes = scores.shape[2]
    values, index = scores.flatten(1).topk(candidates)
    label, anchor = index % classes, index // classes
    rows = anchor[..., None].expand(-1, -1, 4)
    boxes = decode_boxes(offsets.float().gather(1, rows), anchors[anchor]).clamp(0, 1)
    better = torch.ones(candidates, candidates, dtype=torch.bool, device=values.device).triu(1)
    rivals = (_pairwise_iou(boxes) > overlap) & (label[:, :, None] == label[:, None, :]) & better
    kept = values > threshold
    alive = kept
    for _ in range(rounds):
        alive = kept & ~(rivals & alive[:, :, None]).any(1)
    scores, order = (values * alive).topk(most)
    there = scores > 0
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4)) * there[..., None]
    return Decoded(boxes, scores, label.gather(1, order) * there, there.sum(1))


def _pairwise_iou(boxes: Tensor) -> Tensor:
    """float32 [N, M, 4] -> [N, M, M]."""
    low, high = boxes[..., :2], boxes[..., 2:]
    sides = (torch.minimum(high[:, :, None], high[:, None]) - torch.maximum(low[:, :, None], low[:, None])).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    area = (high - low).prod(-1)
    return shared / (area[:, :, None] + area[:, None] - shared).clamp(min=1e-12)
