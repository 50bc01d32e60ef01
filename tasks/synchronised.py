"""Layers that look at the whole batch of all processes: batch norm and dropout.

torch's own SyncBatchNorm does not run on the CPU, and would lose the activations in timm's batch norms.
"""

import sys
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.plugins.layer_sync import LayerSync, TorchSyncBatchNorm
from torch import Tensor, nn


class _AllReduce(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


class CrossProcessBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose training statistics are those of all processes' images together."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        images = x.float()  # bfloat16 under autocast has no digits for sums
        count = torch.full((1,), x.numel() / x.shape[1])
        sums = _AllReduce.apply(torch.cat([images.sum((0, 2, 3)), count]))
        total, count = sums[:-1], sums[-1].detach()
        mean = total / count
        centred = images - mean.view(1, -1, 1, 1)
        variance = _AllReduce.apply(centred.square().sum((0, 2, 3))) / count
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(x.dtype)


class CrossProcessBatchNormAct2d(CrossProcessBatchNorm2d):
    """The same of timm's `BatchNormAct2d`, which activates too."""

    act: nn.Module
    drop: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


class CrossProcessDropout(nn.Dropout):
    """`nn.Dropout` that drops from each image what one process with the whole batch would drop from it.

    Image i of process r is number r + i * processes of the batch, see `datasets.loading.EpochSampler`, and all
    processes draw the same numbers, see `tasks.callbacks.SeedSteps`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(x)
        processes = dist.get_world_size()
        kept = x.new_empty(len(x) * processes, *x.shape[1:]).bernoulli_(1 - self.p)
        return x * kept[dist.get_rank() :: processes] / (1 - self.p) if self.p < 1 else x * 0.0


class CpuSynchronised(LayerSync):
    """Lightning's hook that swaps layers for synchronised ones, and back."""

    def apply(self, model: nn.Module) -> nn.Module:
        return self._swap(model, self._synchronised())

    def revert(self, model: nn.Module) -> nn.Module:
        return self._swap(model, {ours: plain for plain, ours in self._synchronised().items()})

    def _synchronised(self) -> dict[type, type]:
        timm_layers = sys.modules.get("timm.layers")  # a network of timm's has imported it
        timms = {timm_layers.BatchNormAct2d: CrossProcessBatchNormAct2d} if timm_layers else {}
        return {nn.BatchNorm2d: CrossProcessBatchNorm2d, nn.Dropout: CrossProcessDropout, **timms}

    def _swap(self, model: nn.Module, kinds: dict[type, type]) -> nn.Module:
        for module in model.modules():
            module.__class__ = kinds.get(type(module), type(module))
        return model


class GpuSynchronised(TorchSyncBatchNorm):
    """The same on GPUs, with torch's SyncBatchNorm."""

    def apply(self, model: nn.Module) -> nn.Module:
        for module in model.modules():
            if type(module) is nn.Dropout:
                module.__class__ = CrossProcessDropout
        timm_layers = sys.modules.get("timm.layers")
        return timm_layers.convert_sync_batchnorm(model) if timm_layers else super().apply(model)

    def revert(self, model: nn.Module) -> nn.Module:
        return model  # training is over, and outside of it they are as good as plain ones
