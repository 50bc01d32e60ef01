"""What a student learns from a teacher's logits."""

from torch import Tensor
from torch.nn import functional as F


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's softened probabilities from the teacher's (arXiv 1503.02531, Section 2).

    It is scaled by the square of the temperature, so that its gradients stay as large as those of the cross-entropy
    whatever the temperature.

    Args:
        logits: float [N, classes].
        teacher_logits: float [N, classes].
        temperature: above 0; 1 leaves the probabilities as they are.

    Returns:
        Kullback-Leibler divergence in nats, averaged over the batch.
    """
    student, teacher = (F.log_softmax(found.float() / temperature, 1) for found in (logits, teacher_logits))
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)
