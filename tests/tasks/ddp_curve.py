"""Trains a few steps and writes the loss curve; run alone or by torchrun."""

import json
import sys
from pathlib import Path

import lightning.pytorch as L
import torch

from datasets import Augmentation, SegmentationDataset, find_segmentation
from tasks import Optimization, SegmentationSpec, SegmentationTask, segmentation_table
from tasks.data import Loaders
from tasks.run import build_trainer


class Curve(L.Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, *_):
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


def main(root: Path, folder: Path, processes: int) -> None:
    torch.set_num_threads(1)
    L.seed_everything(0)
    train, val = (find_segmentation("voc", split, root) for split in ("train", "val"))
    spec = SegmentationSpec(segmentation_table("v3-small", "lraspp"), "lraspp", train.names, train.colours, (64, 64))
    task = SegmentationTask(spec, Optimization(optimizer="sgd", lr=0.003, warmup_steps=0))
    curve = Curve()
    options = {"accelerator": "cpu", "enable_progress_bar": False, "limit_val_batches": 1, "devices": processes}
    trainer = build_trainer(folder, "val/miou", 3, callbacks=[curve], options=options)
    dataset = SegmentationDataset(train, Augmentation((64, 64)))
    trainer.fit(task, Loaders(dataset, SegmentationDataset(val), batch_size=8, workers=0, seed=0))
    if trainer.is_global_zero:
        (folder / "curve.json").write_text(json.dumps(curve.losses))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
