"""What a student learns from a teacher's logits."""

from torch import Tensor
from torch.nn import functional as F

from heads.decoding import class_scores
from heads.detection_losses import global_count


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's softened probabilities from the teacher's (arXiv 1503.02531, Section 2).

    It is scaled by the square of the temperature, so that its gradients stay as large as those of the cross-entropy
    whatever the temperature.

    Args:
        logits: float [N, classes, ...].
        teacher_logits: of the same shape.
        temperature: above 0; 1 leaves the probabilities as they are.

    Returns:
        Kullback-Leibler divergence in nats, averaged over the batch, and over pixels where there are some.
    """
    return _divergence(logits, teacher_logits, temperature, 1) / (logits.numel() / logits.shape[1])


def channel_distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of where each class is seen: probabilities over the pixels of a channel (arXiv 2011.13256, Section 3).

    Args:
        logits: float [N, classes, h, w].
        teacher_logits: of the same shape.
        temperature: above 0; the paper has 4.

    Returns:
        Kullback-Leibler divergence in nats, averaged over batch and classes, times the square of the temperature.
    """
    return _divergence(logits.flatten(2), teacher_logits.flatten(2), temperature, 2) / logits.shape[:2].numel()


def box_distillation_loss(
    logits: Tensor,
    offsets: Tensor,
    teacher_logits: Tensor,
    teacher_offsets: Tensor,
    temperature: float,
    sigmoid: bool = False,
) -> tuple[Tensor, Tensor]:
    """What a detector learns from another one with the same anchors, with or without labels.

    The class loss is the divergence of the classes' probabilities over all anchors, the box loss smooth L1 between
    offsets, of which each anchor's counts as much as the teacher sees an object there. Both are divided by how many
    anchors that is in the batch of all processes, as `DetectionLoss` divides by its matched ones.

    Args:
        logits: float [N, A, K + 1], background first.
        offsets: float [N, A, 4].
        teacher_logits: of the logits' shape.
        teacher_offsets: of the offsets' shape.
        temperature: above 0, of the classes; see `distillation_loss`.
        sigmoid: whether scores are sigmoids, one by one, and not a softmax.
    """
    scores = class_scores(teacher_logits, sigmoid)
    seen = scores.amax(-1) if sigmoid else scores.sum(-1)
    total = global_count(seen.sum())
    if sigmoid:
        student, teacher = (found[..., 1:].float() / temperature for found in (logits, teacher_logits))
        # cross-entropy less the teacher's own; of probabilities in place of logits, autocast on a GPU refuses it
        target = teacher.sigmoid()
        given = F.binary_cross_entropy_with_logits(student, target, reduction="sum")
        own = F.binary_cross_entropy_with_logits(teacher, target, reduction="sum")
        classes = temperature**2 * (given - own)
    else:
        classes = _divergence(logits, teacher_logits, temperature, 2)
    apart = F.smooth_l1_loss(offsets.float(), teacher_offsets.float(), reduction="none").sum(-1)
    return classes / total, (seen * apart).sum() / total


def _divergence(logits: Tensor, teacher_logits: Tensor, temperature: float, dim: int) -> Tensor:
    """The sum over all distributions along a dimension."""
    student, teacher = (F.log_softmax(found.float() / temperature, dim) for found in (logits, teacher_logits))
    return temperature**2 * F.kl_div(student, teacher, reduction="sum", log_target=True)
