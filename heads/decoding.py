"""From a detection head's raw output to detections, for a whole batch at once."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import nms

from heads.anchors import box_iou, decode_boxes


class Decoded(NamedTuple):
    """Detections of a batch, by falling score, padded with zeros to one number an image.

    Attributes:
        boxes: float32 [N, max_detections, 4], corners in shares of the image, clipped to it.
        scores: float32 [N, max_detections], in 0 to 1.
        labels: int64 [N, max_detections], class indices without background.
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
    score_threshold: float = 0.001,
    iou_threshold: float = 0.55,
    max_detections: int = 300,
    topk_per_class: int = 300,
) -> Decoded:
    """Score threshold, top-k over (anchor, class), and non-maximum suppression within each class.

    Gives the detections of torchvision's `SSD.postprocess_detections`, which takes the best `topk_per_class` anchors of
    each class, but looks at no more candidates than needed: what ranks below the best `max_detections` survivors
    changes nothing.

    Args:
        logits: float [N, A, K + 1], background first.
        offsets: float [N, A, 4].
        anchors: float32 [A, 4].
        sigmoid: as in `class_scores`.
        score_threshold: scores must be above it.
        iou_threshold: a box is dropped if its intersection over union with a better one of its class is above this.
        max_detections: of an image.
        topk_per_class: candidates of one class in an image.
    """
    scores = class_scores(logits, sigmoid)
    batch, _, classes = scores.shape
    flat = scores.flatten(1)
    taken = min(2 * max_detections, flat.shape[1])
    while True:
        values, index = flat.topk(taken)
        chosen = values > score_threshold
        if taken > topk_per_class:
            chosen &= _rank_in_class(index % classes) < topk_per_class
        image, place = chosen.nonzero(as_tuple=True)
        candidate, value = index[image, place], values[image, place]
        label, anchor = candidate % classes, candidate // classes
        boxes = decode_boxes(offsets[image, anchor].float(), anchors[anchor]).clamp(0, 1)
        # classes and images side by side, too far apart to overlap; doubles hold the sums exactly
        apart = boxes.double() + 2.0 * (image * classes + label)[:, None]
        kept = nms(apart, value.double(), iou_threshold)
        kept = kept[image[kept].argsort(stable=True)]
        survivors = torch.bincount(image[kept], minlength=batch)
        complete = (survivors >= max_detections) | (values[:, -1] <= score_threshold)
        if taken == flat.shape[1] or bool(complete.all()):
            break
        taken = min(4 * taken, flat.shape[1])
    image = image[kept]
    rank = torch.arange(len(kept), device=kept.device) - (survivors.cumsum(0) - survivors)[image]
    first = rank < max_detections
    image, rank, kept = image[first], rank[first], kept[first]
    result = Decoded(
        boxes.new_zeros(batch, max_detections, 4),
        value.new_zeros(batch, max_detections),
        label.new_zeros(batch, max_detections),
        survivors,
    )
    result.boxes[image, rank] = boxes[kept]
    result.scores[image, rank] = value[kept]
    result.labels[image, rank] = label[kept]
    return result._replace(counts=survivors.clamp(max=max_detections))


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
    score_threshold: float = 0.001,
    iou_threshold: float = 0.55,
    max_detections: int = 100,
    topk: int = 300,
    rounds: int = 16,
) -> Decoded:
    """`decode_detections` in tensors of fixed shapes and without NMS operators, for export.

    Exact among the `topk` best (anchor, class) pairs, unless boxes of one class overlap in a chain of more than
    `rounds` in which each suppresses the next.

    Args:
        logits: see `decode_detections`, as for the other arguments of the same names.
        offsets: see there.
        anchors: see there.
        sigmoid: see there.
        score_threshold: see there.
        iou_threshold: see there.
        max_detections: see there.
        topk: how many (anchor, class) pairs are looked at, at most all of them (A x K), and at least `max_detections`.
        rounds: of suppression.
    """
    scores = class_scores(logits, sigmoid)
    classes = scores.shape[2]
    values, index = scores.flatten(1).topk(topk)
    label, anchor = index % classes, index // classes
    rows = anchor[..., None].expand(-1, -1, 4)
    boxes = decode_boxes(offsets.float().gather(1, rows), anchors[anchor]).clamp(0, 1)
    better = torch.ones(topk, topk, dtype=torch.bool, device=values.device).triu(1)
    rivals = (
        (box_iou(boxes[:, :, None], boxes[:, None]) > iou_threshold) & (label[:, :, None] == label[:, None, :]) & better
    )
    kept = values > score_threshold
    alive = kept
    for _ in range(rounds):
        alive = kept & ~(rivals & alive[:, :, None]).any(1)
    scores, order = (values * alive).topk(max_detections)
    there = scores > 0
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4)) * there[..., None]
    return Decoded(boxes, scores, label.gather(1, order) * there, there.sum(1))
