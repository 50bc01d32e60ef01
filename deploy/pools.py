"""Pools into a number of cells as means and products with fixed matrices, which every runtime and phone GPU has."""

from typing import Any

import torch
from torch import Tensor, nn


class FixedPool(nn.Module):
    """What `nn.AdaptiveAvgPool2d` does, without a pool whose cells depend on the size of its input.

    Args:
        size: cells in height and width; None for as many as there are.
    """

    def __init__(self, size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        self.size = size if isinstance(size, tuple) else (size, size)

    def forward(self, x: Tensor) -> Tensor:
        if self.size == (1, 1):
            return x.mean((2, 3), keepdim=True)
        rows, columns = (_means(side, cells or side, x) for side, cells in zip(x.shape[2:], self.size, strict=True))
        return rows @ x @ columns.T


def _means(side: int, cells: int, like: Tensor) -> Tensor:
    """float [cells, side]: the share of every pixel along a side in each cell; cells overlap where they do not fit."""
    shares = []
    for cell in range(cells):
        start, stop = cell * side // cells, -(-(cell + 1) * side // cells)
        shares.append([1 / (stop - start) if start <= place < stop else 0.0 for place in range(side)])
    return torch.tensor(shares, dtype=like.dtype, device=like.device)


def fix_pools(network: nn.Module) -> Any:
    """Put `FixedPool` in place of each `nn.AdaptiveAvgPool2d` of a network; the network."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(module, name, FixedPool(child.output_size))
    return network
