"""What loaders and tasks ask of the samples of a split, whatever they hold."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets.faults import DataError


def free_memory(told: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of memory that programs can still have, or None where the system does not tell."""
    lines = told.read_text().splitlines() if told.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


class Samples(Dataset[dict[str, Any]]):
    """Samples of one split.

    `samples[epoch, index]` depends on nothing else; `samples[index]` is epoch 0. `samples[epoch, index, place, class]`
    is the same image drawn for a class, augmented in another way at every place of an epoch, see `ClassUniform`. Each
    has at least "image", uint8 [H, W, 3] RGB, and "file".

    Attributes:
        files: what is read; it has root, split and names.
        eval_batch: images a batch where nothing is trained; 1 where each keeps its own size.
        held: whether all is in memory, so that loader processes would only cost time.
        kept: what `keep` decoded, by index.
    """

    files: Any
    eval_batch = 1
    held = False
    kept: list[Any] | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def paths(self) -> list[str]:
        """Of every image that `read` knows."""
        raise NotImplementedError

    def digest(self) -> str:
        """SHA-256 of the names of the image files in their order, wherever they lie."""
        names = "\n".join(Path(path).name for path in self.paths)
        return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()

    def to(self, device: torch.device) -> None:
        """Move what is held in memory to a device, where batches are then made."""

    def number(self, index: int, place: int = -1, label: int = -1) -> int:
        """What the random choices for a sample depend on beside the epoch, from the rest of its key."""
        return index + len(self) * (place + 1)

    @property
    def sources(self) -> int:
        """How many images `read` knows."""
        return len(self)

    def read(self, index: int) -> Any:
        """What is on disk of a sample, before the transform, which does not write into it."""
        raise NotImplementedError

    def decoded(self, index: int) -> Any:
        """`read`, or what it gave before where samples are kept."""
        return self.read(index) if self.kept is None else self.kept[index]

    def keep(self) -> None:
        """Decode all samples and keep them in memory, which loader processes that begin later share.

        Raises:
            DataError: if they would take more than the memory that is free, or one cannot be read.
        """
        if self.held:
            return
        kept: list[Any] = []
        for index in range(self.sources):
            kept.append(self.read(index))
            for array in (part for part in kept[-1] if isinstance(part, np.ndarray)):
                array.flags.writeable = False
            if index % 100 == 0:
                self._require_memory(kept)
        self.kept = kept

    def _require_memory(self, kept: list[Any]) -> None:
        needed = sum(part.nbytes for part in kept[-1] if isinstance(part, np.ndarray)) * (self.sources - len(kept))
        free = free_memory()
        if free is not None and needed > free:
            raise DataError(
                f"{self.files.root}: the {self.sources} images of {self.files.split} need another "
                f"{needed / 2**30:.1f} GiB of memory once decoded, and {free / 2**30:.1f} are free; leave out --cache"
            )

    @staticmethod
    def collate(samples: Any) -> dict[str, Any]:
        """Stack samples of one size: "image" uint8 [N, 3, H, W] in channels_last memory; other entries become lists."""
        batch: dict[str, Any] = {key: [sample[key] for sample in samples] for key in samples[0]}
        batch["image"] = torch.from_numpy(np.stack(batch["image"])).permute(0, 3, 1, 2)
        return batch
