import pytest
import torch

from heads import distillation_loss


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
