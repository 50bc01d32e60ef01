"""A trained network that another one learns from, of which the task that learns saves nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import normalize

from tasks.errors import require_checkpoint


def require_teacher(teacher: str | None) -> None:
    """Refuse a teacher that is not there, before anything else is read.

    Raises:
        CheckpointError: if so.
    """
    if teacher is not None and not Path(teacher, "config.json").is_file():  # which another library's folder has
        require_checkpoint(Path(teacher))


def of_classes(logits: Tensor, order: Sequence[int], rest: int | None = None) -> Tensor:
    """Logits of some classes out of more, float32 [N, len(order), ...].

    Args:
        logits: float [N, classes, ...].
        order: places of those wanted.
        rest: where in `order` the class stands that all others count as, whose logit becomes theirs and its own
            (log-sum-exp), so that a softmax over those wanted has the probabilities of one over all; None to leave the
            others out.
    """
    logits, others = logits.float(), [place for place in range(logits.shape[1]) if place not in order]
    wanted = logits[:, order]
    if rest is not None and others:
        wanted[:, rest] = logits[:, [order[rest], *others]].logsumexp(1)
    return wanted


@dataclass(eq=False)
class Teacher:
    """Logits of the student's classes for the student's images.

    Args:
        network: takes normalised float32 [N, 3, H, W] and returns logits [N, its classes, ...].
        mean: of the images it expects, per channel, with values in 0 to 1.
        std: likewise.
        order: for each of the student's classes, its place among the teacher's.
        temperature: of the distillation, see `heads.distillation_loss`.
        weight: of the distillation beside the labels.
        rest: the student's class that the teacher's further ones count as, see `of_classes`.
    """

    network: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    order: list[int]
    temperature: float
    weight: float
    rest: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)
        self.mean, self.std = [*self.mean], [*self.std]

    @property
    def digest(self) -> str:
        """SHA-256 of its weights and of the classes it teaches, by which a run that goes on knows it again."""
        made = hashlib.sha256(str(self.order).encode())
        for tensor in self.network.state_dict().values():
            made.update(tensor.cpu().flatten().view(torch.uint8).numpy().tobytes())
        return made.hexdigest()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """float32 [N, classes, ...] for images with values 0 to 255, [N, 3, H, W] on the network's device."""
        return of_classes(self.seen(images), self.order, self.rest)

    def seen(self, images: Tensor) -> Any:
        """What the network returns for such images."""
        return self.network(normalize(images.float() / 255, self.mean, self.std))
