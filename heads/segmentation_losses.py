"""Segmentation losses on raw logits. Each resizes the logits to the mask, and each ignores mask value 255."""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from heads.head_options import unknown
from heads.inputs import HeadError
from heads.lraspp import resize

IGNORE = 255
LOSSES = ("cross_entropy", "ohem", "dice", "focal", "lovasz")


class _WholeBatch(torch.autograd.Function):
    """The entries of all processes, [N, ...] -> [processes * N, ...]."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        # every process computes the same loss, and the gradients of the weights are averaged over processes later
        processes, rank = dist.get_world_size(), dist.get_rank()
        return gradient.tensor_split(processes)[rank] * processes


class CrossEntropy(nn.Module):
    """Cross-entropy, averaged over the labelled pixels of the batch.

    With several processes every one divides by the same number, so that averaging gradients gives what one process
    with all the images would compute.

    Args:
        class_weights: float [classes], or None.
        label_smoothing: in [0, 1).
        ohem: keep only hard pixels (online hard example mining): those whose class has probability under 0.7, and at
            least a sixteenth of the labelled pixels.
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None = None, label_smoothing: float = 0.0, ohem: bool = False) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.label_smoothing = label_smoothing
        self.ohem = ohem

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        target = target.long()
        pixels = F.cross_entropy(
            logits,
            target,
            self.class_weights,
            ignore_index=IGNORE,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        weights = (target != IGNORE).to(pixels.dtype)
        if self.class_weights is not None:
            weights = weights * self.class_weights[target.clamp(max=len(self.class_weights) - 1)]
        if self.ohem:
            # how hard a pixel is says its class's probability, not its class's weight
            plain = F.cross_entropy(logits.detach(), target, ignore_index=IGNORE, reduction="none")
            weights = weights * _hard(plain, target != IGNORE)
            pixels = pixels * (weights > 0)
        total = weights.sum()
        if not self.ohem and _processes() > 1:
            dist.all_reduce(total)
            total = total / dist.get_world_size()
        return pixels.sum() / total.clamp(min=torch.finfo(total.dtype).eps)


def _hard(pixels: Tensor, labelled: Tensor, probability: float = 0.7, least: float = 1 / 16) -> Tensor:
    losses = pixels[labelled]
    if losses.numel() == 0:
        return labelled
    keep = max(1, int(losses.numel() * least))
    threshold = min(-math.log(probability), losses.kthvalue(losses.numel() - keep + 1).values.item())
    return labelled & (pixels >= threshold)


class SegmentationLoss(nn.Module):
    """A sum of named losses.

    `loss(logits, target)` takes float [N, classes, h, w] at any size and uint8 or int64 [N, H, W] with class indices or
    255, and returns a scalar. With several processes it is the loss of the batch of all of them: cross-entropy shares
    its number of pixels, and the others, which do not add up over parts of a batch, are computed from the logits of all
    processes by each.

    Args:
        names: names out of `LOSSES` joined by "+", such as "ohem+dice". Dice, Focal and Lovasz are
            segmentation-models-pytorch's.
        class_weights: float [classes] for cross_entropy and ohem, or None.
        label_smoothing: for cross_entropy and ohem, in [0, 1].

    Raises:
        HeadError: for an unknown name.
    """

    def __init__(
        self, names: str = "cross_entropy", class_weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleList(_build(name.strip(), class_weights, label_smoothing) for name in names.split("+"))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        # the softmax over classes is slow on channels_last memory
        logits = logits.float().contiguous()
        others = [term for term in self.terms if not _adds_up(term)]
        if _processes() == 1 or not others:
            return self._sum(self.terms, logits, target)
        total = self._sum([term for term in self.terms if _adds_up(term)], logits, target)
        parts = [torch.empty_like(target) for _ in range(_processes())]
        dist.all_gather(parts, target.contiguous())
        return total + self._sum(others, _WholeBatch.apply(logits), torch.cat(parts))

    def _sum(self, terms: Iterable[nn.Module], logits: Tensor, target: Tensor) -> Tensor:
        if not terms:
            return logits.new_zeros(())
        logits = resize(logits, target.shape[-2:])
        void = not (target != IGNORE).any()
        # cross-entropy runs on a batch without labels too: other processes wait for it to share its number of pixels
        found = [logits.sum() * 0.0 if void and not _adds_up(term) else term(logits, target.long()) for term in terms]
        return torch.stack(found).sum()


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _adds_up(term: nn.Module) -> bool:
    """Whether a loss is a mean over pixels; the others look at all the batch's pixels together."""
    return isinstance(term, CrossEntropy) and not term.ohem


def _build(name: str, class_weights: Tensor | None, label_smoothing: float) -> nn.Module:
    if name in ("cross_entropy", "ohem"):
        return CrossEntropy(class_weights, label_smoothing, ohem=name == "ohem")
    if name not in LOSSES:
        raise HeadError(f'{unknown("loss", name, LOSSES)}, joined by "+"')
    from segmentation_models_pytorch import losses as smp  # takes seconds to import

    return {"dice": smp.DiceLoss, "focal": smp.FocalLoss, "lovasz": smp.LovaszLoss}[name](
        mode="multiclass", ignore_index=IGNORE
    )
