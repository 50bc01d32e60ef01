"""Batch norm's running statistics of a training that begins: a plain average of its batches so far.

The papers' momentum of 0.01 to 0.03 suits hundreds of thousands of steps. From random weights it leaves the running
statistics of a short run at what they were initialised with, and the network, which is validated with them, predicts
the same for every image. So batch number n counts with 1 / n until that falls to the momentum, as in torch's own
average (momentum None). `num_batches_tracked` counts, so that a resumed run goes on with it, layers with statistics of
their own keep them, and layers that were narrowed, see `backbones.narrow`, begin anew.
"""

from typing import Any

from torch import nn


class StartingAverage:
    """Has some batch norms average from the first batch on: call `before` and `after` around each step's passes.

    The momentum itself stays as it is: torch.compile would compile anew for each value of it. With momentum m a layer
    replaces its statistics s by (1 - m) s + m b, where b is the batch's, so that scaling s before and after makes any
    other mean of s and b of it.
    """

    def __init__(self, network: nn.Module) -> None:
        found = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        self.norms: list[Any] = [norm for norm in found if norm.track_running_stats and norm.momentum]
        self.scaled: list[tuple[Any, float]] = []

    def before(self) -> None:
        """Scale the statistics for a batch that comes; layers past their start are left out from then on."""
        weights = [(norm, 1 / (int(norm.num_batches_tracked) + 1)) for norm in self.norms if norm.training]
        self.scaled = [(norm, weight / norm.momentum) for norm, weight in weights if weight > norm.momentum]
        self.norms = [norm for norm, _ in self.scaled]
        for norm, scale in self.scaled:
            _scale(norm, (1 - scale * norm.momentum) / (1 - norm.momentum) / scale)

    def after(self) -> None:
        """Scale them back."""
        for norm, scale in self.scaled:
            _scale(norm, scale)
        self.scaled = []


def _scale(norm: Any, factor: float) -> None:
    norm.running_mean.mul_(factor)
    norm.running_var.mul_(factor)
