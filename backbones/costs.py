"""Parameters and multiply-adds, counted as the papers count them."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Costs:
    """What a network costs.

    Attributes:
        params: with batch norm's scale and offset (V3 paper, Tables 3 and 7).
        params_without_norm: weights and biases of convolutions and linear layers (V1, V2, V3 Table 6).
        madds: multiply-adds of convolutions and linear layers for one picture.
    """

    params: int
    params_without_norm: int
    madds: int


@torch.no_grad()
def count_costs(network: nn.Module, height: int, width: int) -> Costs:
    """Count one forward pass of float32 [1, 3, height, width]; nothing is computed, shapes alone are followed.

    Args:
        network: any module that takes one batch of pictures; it is left as it was.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
    """
    network = copy.deepcopy(network).to("meta").eval()
    madds = 0

    def add(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal madds
        if isinstance(module, nn.Conv2d):
            madds += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            madds += output[0].numel() * module.in_features

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    network(torch.empty(1, 3, height, width, device="meta"))
    norm = sum(p.numel() for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    params = sum(p.numel() for p in network.parameters())
    return Costs(params, params - norm, madds)
