"""What loaders and tasks ask of the samples of a split, whatever they hold."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset


class Samples(Dataset[dict[str, Any]]):
    """Samples of one split.

    `samples[epoch, index]` depends on nothing else; `samples[index]` is epoch 0. Each has at least "image", uint8
    [H, W, 3] RGB, and "file".

    Attributes:
        files: what is read; it has root, split and names.
        eval_batch: images a batch where nothing is trained; 1 where each keeps its own size.
        held: whether all is in memory, so that loader processes would only cost time.
    """

    files: Any
    eval_batch = 1
    held = False

    def __len__(self) -> int:
        raise NotImplementedError

    def to(self, device: torch.device) -> None:
        """Move what is held in memory to a device, where batches are then made."""

    @staticmethod
    def collate(samples: Any) -> dict[str, Any]:
        """Stack samples of one size: "image" uint8 [N, 3, H, W] in channels_last memory; other entries become lists."""
        batch: dict[str, Any] = {key: [sample[key] for sample in samples] for key in samples[0]}
        batch["image"] = torch.from_numpy(np.stack(batch["image"])).permute(0, 3, 1, 2)
        return batch
