"""Optimisers and learning-rate schedules, counted in optimiser steps."""

import math
import time
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tasks.options import Optimization


class Clock:
    """The time that a run has had.

    Args:
        limit: seconds that the run has, with validation and saving; None for any.
        before: seconds that it had before it was broken off.
    """

    started: float | None = None

    def __init__(self, limit: float | None, before: float = 0.0) -> None:
        self.limit, self.elapsed = limit, before

    def start(self) -> None:
        """Time runs from here on."""
        self.started = time.monotonic() - self.elapsed

    def now(self) -> float:
        """Seconds that the run has had, by this process's clock."""
        return self.elapsed if self.started is None else time.monotonic() - self.started

    @property
    def share(self) -> float:
        """0 at the start, 1 at the end, as of when `elapsed` was last set; always 0 without a limit."""
        return 0.0 if self.limit is None else min(1.0, self.elapsed / self.limit)


def build_optimizer(
    options: Optimization, network: nn.Module, steps: int, clock: Clock | None = None
) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns, for a run of `steps` optimiser steps, or of a clock's time."""
    groups = parameter_groups(network, options.weight_decay, options.backbone_lr)
    optimizer: Optimizer
    if options.optimizer == "sgd":
        optimizer = SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=options.momentum > 0)
    else:
        optimizer = AdamW(groups, lr=options.lr)
    schedule = LambdaLR(optimizer, schedule_factor(options, steps, clock))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": "lr"}}


def schedule_factor(options: Optimization, steps: int, clock: Clock | None = None) -> Callable[[int], float]:
    """Step number -> share of `lr`. The warm-up never takes more than a fifth of a short run.

    With a clock that has a limit, what falls is a function of the time that the run has had, and the warm-up rises as
    fast as its steps or a fifth of the time have it, whichever is further.
    """
    warmup = min(options.warmup_steps, steps // 5)

    def factor(step: int) -> float:
        risen, done = (step + 1) / (warmup + 1), max(0.0, min(1.0, (step - warmup) / max(1, steps - warmup)))
        if clock is not None and clock.limit is not None:
            done = clock.share
            risen = max(risen, done / 0.2)
        left = (1 - done) ** options.power if options.schedule == "poly" else 0.5 * (1 + math.cos(math.pi * done))
        return min(1.0, risen) * left

    return factor


def parameter_groups(network: Any, weight_decay: float, backbone_lr: float | None = None) -> list[dict[str, Any]]:
    """Weights of two dimensions or more with weight decay; biases and norms without.

    With a learning rate of its own, those of the backbone follow as two more groups.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    parts: list[tuple[list[nn.Parameter], dict[str, float]]] = [(trained, {})]
    if backbone_lr is not None:
        backbone = set(network.backbone.parameters())
        inside, outside = ([p for p in trained if (p in backbone) == wanted] for wanted in (True, False))
        parts = [(outside, {}), (inside, {"lr": backbone_lr})]
    groups: list[dict[str, Any]] = []
    for part, rate in parts:
        groups.append({"params": [p for p in part if p.ndim > 1], "weight_decay": weight_decay, **rate})
        groups.append({"params": [p for p in part if p.ndim <= 1], "weight_decay": 0.0, **rate})
    return groups


def freeze(network: Any, part: str) -> None:
    """Take a part of a network out of training; `keep_frozen_statistics` is to follow wherever training begins.

    Args:
        network: has a backbone, and a head with `last_layers`.
        part: "backbone", or "all_but_last" for all but the head's last layers.
    """
    (network.backbone if part == "backbone" else network).requires_grad_(False)
    if part == "all_but_last":
        for layer in network.head.last_layers:
            layer.requires_grad_(True)


def keep_frozen_statistics(network: nn.Module) -> None:
    """Leave batch norms in eval mode whose weights are frozen."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine and not module.weight.requires_grad:
            module.eval()


def requested_steps(trainer_options: dict[str, Any] | None) -> int | None:
    """The optimiser steps after which `--trainer.max_steps` ends a run, or None."""
    steps = (trainer_options or {}).get("max_steps")
    return None if steps in (None, -1) else int(steps)
