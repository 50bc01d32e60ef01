"""Losses of two processes are those of one with the whole batch: values, and gradients once these are averaged."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from heads import LOSSES, SegmentationLoss

NAMES = (*LOSSES, "ohem+dice", "cross_entropy+lovasz")
WEIGHTS = torch.tensor([0.2, 1.0, 3.0, 0.5])


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Four images; easy and hard ones go to the first process, and none with labels to the second."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(4, 4, 6, 8, generator=generator)
    target = torch.randint(0, 4, (4, 24, 32), generator=generator).to(torch.uint8)
    logits[0] *= 0.1
    target[1::2], target[2, 5:] = 255, 255
    return logits, target


def loss_and_gradient(name: str, rank: int, processes: int) -> tuple[float, torch.Tensor]:
    logits, target = (part[rank::processes] for part in batch())
    logits = logits.clone().requires_grad_()
    loss = SegmentationLoss(name, WEIGHTS, 0.1)(logits, target)
    loss.backward()
    return loss.item(), logits.grad


def process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save({name: loss_and_gradient(name, rank, 2) for name in NAMES}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    mp.spawn(process, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_loss_of_one(name, found):
    loss, gradient = loss_and_gradient(name, 0, 1)
    assert sum(part[name][0] for part in found) / 2 == pytest.approx(loss, rel=1e-5)
    for rank, part in enumerate(found):
        # what a process adds to the averaged gradient of the weights
        torch.testing.assert_close(part[name][1] / 2, gradient[rank::2], rtol=1e-4, atol=1e-7)
