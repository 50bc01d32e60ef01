"""What a student learns from a teacher's logits."""

from torch import Tensor
from torch.nn import functional as F


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
    return _divergence(logits, teacher_logits, temperature, 1)


def channel_distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of where each class is seen: probabilities over the pixels of a channel (arXiv 2011.13256, Section 3).

    Args:
        logits: float [N, classes, h, w].
        teacher_logits: of the same shape.
        temperature: above 0; the paper has 4.

    Returns:
        Kullback-Leibler divergence in nats, averaged over batch and classes, times the square of the temperature.
    """
    return _divergence(logits.flatten(2), teacher_logits.flatten(2), temperature, 2)


def _divergence(logits: Tensor, teacher_logits: Tensor, temperature: float, dim: int) -> Tensor:
    student, teacher = (F.log_softmax(found.float() / temperature, dim) for found in (logits, teacher_logits))
    distributions = logits.numel() / logits.shape[dim]
    return temperature**2 * F.kl_div(student, teacher, reduction="sum", log_target=True) / distributions
