"""Optimisers and learning-rate schedules, counted in optimiser steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tasks.errors import TaskError


@dataclass(frozen=True)
class Optimization:
    """How weights move.

    Args:
        optimizer: "sgd" with Nesterov momentum, or "adamw".
        lr: the highest learning rate.
        weight_decay: of convolution and linear weights; batch norm and biases have none.
        momentum: of SGD.
        schedule: "poly" falls as (1 - t) ** power, "cosine" as half a cosine; both end at 0.
        power: of "poly".
        warmup_steps: optimiser steps over which the rate rises from 0 to lr.

    Raises:
        TaskError: for a value outside its range.
    """

    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.9
    schedule: Literal["poly", "cosine"] = "poly"
    power: float = 0.9
    warmup_steps: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.lr < math.inf:
            raise TaskError(f"--lr {self.lr} is not a number above 0")
        for option in ("weight_decay", "momentum", "power", "warmup_steps"):
            value = getattr(self, option)
            if not 0 <= value < (1 if option == "momentum" else math.inf):
                limit = " and below 1" if option == "momentum" else ""
                raise TaskError(f"--{option.replace('_', '-')} {value} is not a number from 0 up{limit}")

    def build(self, network: nn.Module, steps: int) -> dict[str, Any]:
        """What Lightning's `configure_optimizers` returns, for a run of `steps` optimiser steps."""
        groups = parameter_groups(network, self.weight_decay)
        optimizer: Optimizer
        if self.optimizer == "sgd":
            optimizer = SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.momentum > 0)
        else:
            optimizer = AdamW(groups, lr=self.lr)
        schedule = LambdaLR(optimizer, self.factor(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": "lr"}}

    def factor(self, steps: int) -> Callable[[int], float]:
        """Step number -> share of `lr`. The warm-up never takes more than a fifth of a short run."""
        warmup = min(self.warmup_steps, steps // 5)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            done = min(1.0, (step - warmup) / max(1, steps - warmup))
            return (1 - done) ** self.power if self.schedule == "poly" else 0.5 * (1 + math.cos(math.pi * done))

        return factor


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights of two dimensions or more with weight decay; biases and norms without."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def requested_steps(trainer_options: dict[str, Any] | None) -> int | None:
    """The optimiser steps after which `--trainer.max_steps` ends a run, or None."""
    steps = (trainer_options or {}).get("max_steps")
    return None if steps in (None, -1) else int(steps)
