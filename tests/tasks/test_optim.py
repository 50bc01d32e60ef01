from itertools import pairwise

import pytest
import torch
from torch import nn

from tasks import Optimization
from tasks.optim import Clock, build_optimizer, parameter_groups, schedule_factor


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


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_a_clock_ends_a_schedule_in_time(schedule):
    clock = Clock(100.0)
    factor = schedule_factor(Optimization(schedule=schedule, warmup_steps=10), 10**9, clock)
    assert factor(0) == pytest.approx(1 / 11)
    values = []
    for clock.elapsed in (0.0, 30.0, 60.0, 100.0, 130.0):
        values.append(factor(20))
    assert values[0] == 1.0
    assert values == sorted(values, reverse=True)
    assert values[-2:] == [0.0, 0.0]


def test_a_warm_up_ends_after_a_fifth_of_the_time():
    clock = Clock(100.0)
    factor = schedule_factor(Optimization(warmup_steps=1000), 10**9, clock)
    clock.elapsed = 1.0
    assert factor(99) == pytest.approx(100 / 1001 * 0.99**0.9)
    clock.elapsed = 10.0
    assert factor(105) == pytest.approx(0.5 * 0.9**0.9)
    clock.elapsed = 21.0
    assert factor(115) == pytest.approx(0.79**0.9)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.0])  # a step; the warm-up ends by its steps or by the time
def test_a_clocks_rate_never_jumps(seconds):
    clock, values = Clock(100.0), []
    factor = schedule_factor(Optimization(warmup_steps=50), 10**9, clock)
    for step in range(round(100 / seconds)):
        clock.elapsed = step * seconds
        values.append(factor(step))
    assert max(abs(now - before) for before, now in pairwise(values)) < max(0.021, 0.06 * seconds)


def test_without_a_limit_a_clock_has_the_schedule_of_the_steps():
    plain, clocked = (schedule_factor(Optimization(), 1000, clock) for clock in (None, Clock(None, 5.0)))
    assert [plain(step) for step in range(1000)] == [clocked(step) for step in range(1000)]
