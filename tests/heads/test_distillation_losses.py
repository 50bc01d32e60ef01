import pytest
import torch

from heads import box_distillation_loss, channel_distillation_loss, distillation_loss


def test_divergence_by_hand():
    teacher, student = torch.tensor([[0.75, 0.25]]), torch.tensor([[0.5, 0.5]])
    expected = 0.75 * torch.tensor(0.75 / 0.5).log() + 0.25 * torch.tensor(0.25 / 0.5).log()
    assert distillation_loss(student.log(), teacher.log(), 1.0) == pytest.approx(expected.item())
    assert distillation_loss(2 * student.log(), 2 * teacher.log(), 2.0) == pytest.approx(4 * expected.item())


def test_agreement_costs_nothing_and_a_batch_is_averaged():
    logits, other = torch.randn(4, 7), torch.randn(4, 7)
    assert distillation_loss(logits, logits + 3, 2.0) == pytest.approx(0, abs=1e-6)
    apart = [distillation_loss(logits[place : place + 1], other[place : place + 1], 2.0) for place in range(4)]
    assert distillation_loss(logits, other, 2.0) == pytest.approx(torch.stack(apart).mean().item(), rel=1e-5)


def test_gradients_keep_their_size_as_the_temperature_rises():
    sizes = []
    for temperature in (5.0, 50.0):
        logits = torch.zeros(8, 10, requires_grad=True)
        distillation_loss(logits, torch.linspace(-1, 1, 10).expand(8, 10), temperature).backward()
        sizes.append(logits.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


@pytest.mark.parametrize("sigmoid", [False, True])
def test_boxes_by_hand(sigmoid):
    """One anchor of two sees an object."""
    teacher = torch.tensor([[[0.0, 2.0, -1.0], [9.0, -9.0, -9.0]]])
    logits, offsets = torch.zeros(1, 2, 3), torch.zeros(1, 2, 4)
    theirs = torch.full((1, 2, 4), 3.0)
    classes, boxes = box_distillation_loss(logits, offsets, teacher, theirs, 1.0, sigmoid)
    if sigmoid:
        target, seen = teacher[..., 1:].double().sigmoid(), teacher[..., 1:].sigmoid().amax(-1)
        pairs = torch.stack([target, 1 - target])
        apart = (pairs * (pairs / 0.5).log()).sum()
    else:
        target, seen = teacher.double().softmax(-1), teacher.softmax(-1)[..., 1:].sum(-1)
        apart = (target * (target * 3).log()).sum()
    total = max(1.0, seen.sum().item())
    assert classes.item() == pytest.approx(apart.item() / total, rel=1e-4)
    assert boxes.item() == pytest.approx((seen.sum() * 4 * 2.5).item() / total, rel=1e-5)
    assert all(loss.abs() < 1e-4 for loss in box_distillation_loss(teacher, theirs, teacher, theirs, 2.0, sigmoid))


def test_channels_by_hand():
    """Where a class is seen, whatever its size, is a distribution over the pixels."""
    teacher = torch.tensor([0.75, 0.25]).log().view(1, 1, 1, 2)
    student = torch.tensor([0.5, 0.5]).log().view(1, 1, 1, 2)
    expected = 0.75 * torch.tensor(1.5).log() + 0.25 * torch.tensor(0.5).log()
    assert channel_distillation_loss(student, teacher, 1.0) == pytest.approx(expected.item())
    both = (torch.cat([part, part], 1).expand(3, 2, 1, 2) for part in (student, teacher))
    assert channel_distillation_loss(*both, 1.0) == pytest.approx(expected.item())
    assert channel_distillation_loss(student + 5, student, 4.0) == pytest.approx(0, abs=1e-6)
