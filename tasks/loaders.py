"""The loaders of a run, each process's share of them."""

from typing import Any

import lightning.pytorch as L
from torch.utils.data import DataLoader

from datasets import ClassUniform, Samples, eval_loader, train_loader


class Loaders(L.LightningDataModule):
    """Training and validation loaders that know which process they are in.

    Args:
        train: with a transform that gives all samples one size.
        val: without one.
        batch_size: images a step, over all processes and accumulated steps apart.
        workers: loader processes of the training loader; the validation loader has as many.
        seed: of the order.
        begun: the epoch that a resumed run is in, and how many of its batches are done.
        repeat: passes over `train` that are one epoch.
        uniform: what is drawn by class of `train`.
    """

    def __init__(
        self,
        train: Samples,
        val: Samples,
        batch_size: int,
        workers: int,
        seed: int,
        begun: tuple[int, int] = (0, 0),
        repeat: int = 1,
        uniform: ClassUniform | None = None,
    ) -> None:
        super().__init__()
        self.begun, self.repeat, self.uniform = begun, repeat, uniform
        self.train, self.val = train, val
        self.made: list[DataLoader[Any]] = []
        self.batch_size, self.workers, self.seed = batch_size, workers, seed

    def setup(self, stage: str) -> None:
        """Put images that are held in memory onto the device that works on them."""
        for dataset in (self.train, self.val):
            dataset.to(self.trainer.strategy.root_device)  # type: ignore[union-attr]

    def train_dataloader(self) -> Any:
        rank, world = self._place()
        # Lightning asks for the loader, and begins to iterate over it, before it knows the epoch of a resumed run
        now = self.trainer.current_epoch if self.trainer else 0
        place = (now, 0) if now > self.begun[0] else self.begun
        shared = self.batch_size, self.workers, self.seed, rank, world
        self.made.append(train_loader(self.train, *shared, *place, self.repeat, self.uniform))
        return self.made[-1]

    def val_dataloader(self) -> Any:
        self.made.append(eval_loader(self.val, self.workers, *self._place()))
        return self.made[-1]

    def close(self) -> None:
        """End the workers, which would outlive a SIGTERM that Python sends them at its own end."""
        for loader in self.made:
            workers: Any = loader._iterator
            if workers is not None and loader.num_workers:
                workers._shutdown_workers()
                loader._iterator = None

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
