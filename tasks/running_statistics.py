"""Batch norm's running statistics while a training begins: a moving average over the last batches of few.

The papers' momentum of 0.01 to 0.03 suits hundreds of thousands of steps. From random weights it leaves the running
statistics of a short run at what they were initialised with, and the network, which is validated with them, predicts
the same for every image. So the first batch counts with 1, and batch number n with 10 / (n + 9) until that falls to the
momentum. A plain average, 1 / n, follows too slowly while weights change fast.

`num_batches_tracked` has the count, so that a resumed run goes on with it, start weights keep theirs, and layers that
were narrowed (see `backbones.narrow`) begin anew.
"""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

WINDOW = 10  # as tasks.callbacks.Ema has it, so that weights and statistics are averages over the same steps


class StartingAverage:
    """Has batch norms average from the first batch on: call `before` and `after` around each step's passes.

    The momentum itself stays as it is: torch.compile would compile anew for each value of it. With momentum m a layer
    replaces its statistics s by (1 - m) s + m b, where b is the batch's, so that scaling s before and after makes any
    other mean of s and b of it.
    """

    def __init__(self, network: nn.Module) -> None:
        norms: list[Any] = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        counted = [norm for norm in norms if norm.training and norm.track_running_stats and norm.momentum]
        # read once, as a GPU would have to be waited for
        self.counts = {norm: int(norm.num_batches_tracked) for norm in counted}
        self.scaled: list[tuple[Any, float]] = []

    def before(self) -> None:
        """Scale the statistics for a batch that comes; layers past their start are left out from then on."""
        scales = [(norm, WINDOW / (count + WINDOW) / norm.momentum) for norm, count in self.counts.items()]
        self.scaled = [(norm, scale) for norm, scale in scales if scale > 1]
        self.counts = {norm: self.counts[norm] + 1 for norm, _ in self.scaled}
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
