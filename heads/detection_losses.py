"""Detection losses: what the anchors of a whole batch should have said, and how far off they were."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from heads.anchors import Anchors, encode_boxes
from heads.head_options import unknown
from heads.inputs import HeadError
from heads.matching import match_anchors

DETECTION_LOSSES = ("cross_entropy", "focal")
Losses = tuple[Tensor, Tensor]


class DetectionLoss(nn.Module):
    """A class loss and smooth L1 on box offsets, both divided by the number of matched anchors in the global batch.

    `loss(logits, offsets, anchors, boxes, labels)` returns (class loss, box loss), scalars. It takes a head's outputs,
    float [N, A, K + 1] and [N, A, 4], its anchors, and padded targets: boxes float32 [N, G, 4], corners in
    shares of the image, and labels int64 [N, G], negative where padded.

    Args:
        name: "cross_entropy" with three hard negatives a positive (SSD, arXiv 1512.02325, Section 2.2), or "focal", on
            sigmoids of all anchors (arXiv 1708.02002; alpha and gamma as TensorFlow's MobileNetV3 recipe has them).
        alpha: focal weight of positives.
        gamma: focal exponent.
        negatives: hard negatives for every positive, for cross_entropy.

    Raises:
        HeadError: for an unknown name.
    """

    def __init__(
        self, name: str = "cross_entropy", alpha: float = 0.75, gamma: float = 2.0, negatives: int = 3
    ) -> None:
        super().__init__()
        if name not in DETECTION_LOSSES:
            raise HeadError(unknown("detection loss", name, DETECTION_LOSSES))
        self.name, self.alpha, self.gamma, self.negatives = name, alpha, gamma, negatives

    def forward(self, logits: Tensor, offsets: Tensor, anchors: Anchors, boxes: Tensor, labels: Tensor) -> Losses:
        matched = match_anchors(anchors, boxes, labels)
        image, anchor = (matched >= 0).nonzero(as_tuple=True)
        box = matched[image, anchor]
        targets = encode_boxes(boxes[image, box], anchors.boxes[anchor])
        total = global_count(torch.tensor(float(len(image)), device=logits.device))
        box_loss = F.smooth_l1_loss(offsets[image, anchor].float(), targets, reduction="sum") / total
        classes = self._cross_entropy if self.name == "cross_entropy" else self._focal
        return classes(logits, image, anchor, labels[image, box]) / total, box_loss

    def _cross_entropy(self, logits: Tensor, image: Tensor, anchor: Tensor, label: Tensor) -> Tensor:
        count, rows, positive = logits.shape[1], logits.flatten(0, 1).float(), image * logits.shape[1] + anchor
        with torch.no_grad():
            background_loss = -rows.log_softmax(1)[:, 0]
            negative = background_loss.index_fill(0, positive, -1).view(-1, count)
            wanted = self.negatives * torch.bincount(image, minlength=len(logits))
            most = min(int(wanted.max()), count)
            values, hardest = negative.topk(most, dim=1)
            taken = (torch.arange(most, device=logits.device) < wanted[:, None]) & (values >= 0)
            hardest += count * torch.arange(len(logits), device=logits.device)[:, None]
            chosen = torch.cat([positive, hardest[taken]])
            target = F.pad(label + 1, (0, len(chosen) - len(label)))
        return F.cross_entropy(rows.index_select(0, chosen), target, reduction="sum")

    def _focal(self, logits: Tensor, image: Tensor, anchor: Tensor, label: Tensor) -> Tensor:
        logits = logits[..., 1:].float()
        # all as negatives first; positives are few and are put right one by one
        loss = (1 - self.alpha) * (logits.sigmoid() ** self.gamma * F.softplus(logits)).sum()
        positive = logits[image, anchor, label]
        wrong = (1 - self.alpha) * positive.sigmoid() ** self.gamma * F.softplus(positive)
        right = self.alpha * (-positive).sigmoid() ** self.gamma * F.softplus(-positive)
        return loss + (right - wrong).sum()


def global_count(anchors: Tensor) -> Tensor:
    """Anchors per process, at least one in all, so that averaged gradients are those of one process.

    Args:
        anchors: how many count in this process, float32 scalar.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return anchors.clamp(min=1)
    total = anchors.clone()
    dist.all_reduce(total)
    return total.clamp(min=1) / dist.get_world_size()
