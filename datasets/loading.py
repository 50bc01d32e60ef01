"""Batches: which samples a process gets, in which order, and how they become tensors."""

import shutil
import signal
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from datasets.class_uniform import ClassUniform
from datasets.faults import DataError
from datasets.samples import Samples

PREFETCHED = 2  # batches that every worker makes ahead, which is torch's default


class EpochSampler(Sampler[tuple[int, ...]]):
    """Yields (epoch, index), so that a sample depends on nothing a worker remembers.

    What is drawn by class is (epoch, index, place, class), see `ClassUniform`.

    Process `rank` of `world` gets every world-th entry of one order, so that the processes' batches taken together are
    the batch that one process would see. Lightning calls `set_epoch`, though only once it has begun to iterate over a
    resumed run's first epoch, which therefore is said beforehand.

    Args:
        length: of the dataset.
        shuffle: draw a new order each epoch.
        seed: of the orders.
        rank: of this process.
        world: number of processes.
        batch_size: over all processes; what does not fill a batch at the end of the order is dropped, as otherwise some
            processes could have a step more than others, and wait for them for ever.
        epoch: that comes first.
        done: batches of that epoch which a run has seen before it was broken off.
        repeat: passes over the dataset that are one epoch, with no batch dropped between them; the samples of pass p
            of epoch e are those of epoch e * repeat + p without.
        uniform: what is drawn by class of each pass, where it is shuffled.
    """

    def __init__(
        self,
        length: int,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        batch_size: int = 1,
        epoch: int = 0,
        done: int = 0,
        repeat: int = 1,
        uniform: ClassUniform | None = None,
    ) -> None:
        self.length, self.shuffle, self.seed, self.rank, self.world = length, shuffle, seed, rank, world
        self.repeat, self.uniform = repeat, uniform
        self.used = length * repeat - length * repeat % batch_size
        self.epoch = self.begun = epoch
        self.skipped = done * batch_size  # of the epoch begun

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the augmentations of `epoch`."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.used, self.world))

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        passes = range(self.epoch * self.repeat, (self.epoch + 1) * self.repeat)
        keys = ((number, *entry) for number in passes for entry in self._order(number))
        skipped = self.skipped if self.epoch == self.begun else 0
        return islice(keys, skipped + self.rank, self.used, self.world)

    def _order(self, number: int) -> Iterable[tuple[int, ...]]:
        if not self.shuffle:
            return zip(range(self.length))
        random = np.random.default_rng([self.seed, number])
        order = random.permutation(self.length)
        return zip(order.tolist()) if self.uniform is None else self.uniform.draw(order, random)


def check_batch(dataset: Samples, batch_size: int, world: int = 1, repeat: int = 1) -> None:
    """Whether a dataset can be trained on in batches of a size.

    Raises:
        DataError: if the batch does not divide over the processes, or is larger than the dataset.
    """
    if batch_size < 1:
        raise DataError(f"--batch-size {batch_size} must be 1 or more")
    if batch_size % world:
        raise DataError(f"--batch-size {batch_size} counts all processes, and does not divide over {world}")
    if len(dataset) * repeat < batch_size:
        raise DataError(
            f"{dataset.files.root}: {len(dataset)} images in {dataset.files.split} do not fill a batch; "
            f"lower --batch-size from {batch_size}"
        )


def check_shared_memory(dataset: Samples, batch_size: int, workers: int, folder: Path = Path("/dev/shm")) -> None:
    """Whether the batches that workers have ready fit into shared memory, which containers have little of.

    Beyond it, a worker would be killed by the system, and a run with it.

    Args:
        dataset: of samples of one size.
        batch_size: images a step of this process.
        workers: loader processes.
        folder: where shared memory is mounted.

    Raises:
        DataError: if they may not fit.
    """
    if not workers or not folder.is_dir() or dataset.held:
        return
    sample = dataset[0]
    size = sum(value.nbytes for value in sample.values() if isinstance(value, np.ndarray))
    needed, free = size * batch_size * (PREFETCHED * workers + 1), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: {free / 2**20:,.0f} MiB of shared memory are free, and {workers} loader workers need "
            f"{needed / 2**20:,.0f}; give --workers 0, or the container more (docker run --shm-size 2g)"
        )


def _outlive_signals(_: int) -> None:
    """Have a worker go on after Ctrl-C or SIGTERM, which its run saves on first; for half a minute at most."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(30))


def train_loader(
    dataset: Samples,
    batch_size: int,
    workers: int,
    seed: int = 0,
    rank: int = 0,
    world: int = 1,
    epoch: int = 0,
    done: int = 0,
    repeat: int = 1,
    uniform: ClassUniform | None = None,
) -> DataLoader[dict[str, Any]]:
    """Shuffled batches; the last one is dropped if it is not full.

    Args:
        dataset: with a transform that gives all samples one size.
        batch_size: images a step, over all processes.
        workers: loader processes; any number gives the same samples.
        seed: of the order.
        rank: of this process.
        world: number of processes.
        epoch: that comes first.
        done: batches of that epoch which are left out, see `EpochSampler`.
        repeat: passes over the dataset that are one epoch.
        uniform: what is drawn by class.

    Raises:
        DataError: if the batch does not divide over the processes, or is larger than the dataset.
    """
    check_batch(dataset, batch_size, world, repeat)
    sampler = EpochSampler(len(dataset), True, seed, rank, world, batch_size, epoch, done, repeat, uniform)
    return _loader(dataset, sampler, batch_size // world, workers, drop_last=True)


def eval_loader(
    dataset: Samples, workers: int, rank: int = 0, world: int = 1, batch_size: int | None = None
) -> DataLoader[dict[str, Any]]:
    """Images in order; every image goes to exactly one process.

    A batch is one image at its own size, or as many as the dataset says if all have one.
    """
    sampler = EpochSampler(len(dataset), False, 0, rank, world)
    return _loader(dataset, sampler, batch_size or dataset.eval_batch, workers, drop_last=False)


class _Each(Dataset[dict[str, Any]]):
    """Samples one by one, even where they could be had as a batch."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.samples[index]


def sample_loader(samples: Samples, workers: int, batch_size: int = 1) -> DataLoader[list[dict[str, Any]]]:
    """Samples in order and as they are, whatever their sizes: lists of up to `batch_size`."""
    each: Any = _Each(samples)
    return DataLoader(each, batch_size, num_workers=0 if samples.held else workers, collate_fn=list)


def _loader(
    dataset: Samples, sampler: EpochSampler, batch_size: int, workers: int, drop_last: bool
) -> DataLoader[dict[str, Any]]:
    workers = 0 if dataset.held else workers  # a batch out of memory takes less time than its way between processes
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=dataset.collate,
        drop_last=drop_last,
        persistent_workers=workers > 0,
        worker_init_fn=_outlive_signals if workers else None,
        pin_memory=torch.cuda.is_available() and not dataset.held,
    )
