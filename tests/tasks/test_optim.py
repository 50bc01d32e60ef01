import pytest
import torch
from torch import nn

from tasks import Optimization
from tasks.optim import build_optimizer, parameter_groups, schedule_factor


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def test_weight_decay_spares_norms_and_biases():
    decayed, spared = parameter_groups(network(), 0.1)
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3, 3, 3), (2, 4, 1, 1)]
    assert decayed["weight_decay"] == 0.1 and spared["weight_decay"] == 0.0
    assert sorted(tuple(p.shape) for p in spared["params"]) == [(2,), (4,), (4,), (4,)]


@pytest.mark.parametrize("schedule, halfway", [("poly", 0.5**0.9), ("cosine", 0.5)])
def test_schedule_warms_up_in_steps_and_ends_at_zero(schedule, halfway):
    factor = schedule_factor(Optimization(schedule=schedule, warmup_steps=10), 110)
    assert [factor(step) for step in (0, 4, 9)] == pytest.approx([1 / 11, 5 / 11, 10 / 11])
    assert factor(10) == 1.0
    assert factor(60) == pytest.approx(halfway)
    assert factor(110) == pytest.approx(0.0)
    assert all(factor(step) >= factor(step + 1) for step in range(10, 110))


def test_a_short_run_is_not_all_warm_up():
    assert schedule_factor(Optimization(warmup_steps=1000), 50)(10) == 1.0


@pytest.mark.parametrize("name, kind", [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_optimizer_by_name(name, kind):
    built = build_optimizer(Optimization(optimizer=name, lr=0.5, warmup_steps=0), network(), 10)
    assert type(built["optimizer"]) is kind
    assert built["optimizer"].param_groups[0]["lr"] == 0.5
    assert built["lr_scheduler"]["interval"] == "step"
