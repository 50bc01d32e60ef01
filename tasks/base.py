"""What all tasks share: a network built from its spec, optimisation, and checkpoints of both."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from backbones import Table, TimmTable, table_from_dict
from backbones.mobilenet import ConvNormAct
from tasks.checkpoints import read_checkpoint
from tasks.errors import CheckpointError, NonFiniteLoss
from tasks.optim import Optimization

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Self = TypeVar("Self", bound="Task")


@dataclass(frozen=True)
class Spec:
    """All that is needed to build and use a network; a checkpoint holds it.

    Attributes:
        table: what the backbone is built from.
        head: the head's name.
        names: class names.
        colours: (red, green, blue) of every class, 0 to 255.
        input_size: height and width that the network was trained on.
        head_options: options of the head.
        mean: of the pictures the network expects, per channel, with values in 0 to 1.
        std: likewise.
    """

    table: Table | TimmTable
    head: str
    names: list[str]
    colours: list[tuple[int, int, int]]
    input_size: tuple[int, int]
    head_options: dict[str, Any] = field(default_factory=dict)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a checkpoint."""
        return asdict(self) | {"table": self.table.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The inverse of `to_dict`."""
        plain = {key: value for key, value in data.items() if key != "task"}
        return cls(**{**plain, "table": table_from_dict(data["table"])})


class Task(L.LightningModule):
    """A network with its spec, how it is trained, and what its checkpoints hold.

    Args:
        spec: what `network` was built from.
        network: in its backbone's `memory_format` from here on.
        optimization: how to train.
    """

    kind: ClassVar[str]
    spec_type: ClassVar[type[Spec]]
    network: Any
    mean: Tensor
    std: Tensor

    def __init__(self, spec: Any, network: Any, optimization: Optimization | None) -> None:
        super().__init__()
        self.spec = spec
        self.optimization = optimization or Optimization()
        self.memory_format = network.backbone.memory_format
        self.network = network.to(memory_format=self.memory_format)
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1) * 255, persistent=False)

    @classmethod
    def load(cls: type[Self], path: str | Path, device: str = "auto") -> Self:
        """A trained task from its checkpoint alone, ready to predict.

        Args:
            path: a checkpoint written by training.
            device: "cpu", "cuda", or "auto" for the latter where there is one.

        Raises:
            CheckpointError: if the file is missing, unreadable or of another task.
        """
        checkpoint = read_checkpoint(Path(path), cls.kind)
        try:
            task = cls(cls.spec_type.from_dict(checkpoint["mobiledense"]))  # type: ignore[call-arg, arg-type]
        except ValueError as error:
            raise CheckpointError(f"{path}: the network that it describes cannot be built ({error})") from None
        try:
            task.load_state_dict(checkpoint["state_dict"])
        except RuntimeError as error:
            raise CheckpointError(f"{path}: weights do not fit the network that it describes ({error})") from None
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return task.eval().to(device)

    def fold(self: Self) -> Self:
        """Work batch norms into the convolutions before them, for prediction alone.

        Predictions stay the same up to rounding, and take about a third less time on a CPU. Of timm's networks, only
        those batch norms are folded that stand behind their convolution in a sequence.
        """
        for module in self.network.modules():
            if isinstance(module, ConvNormAct):
                module.conv = fuse_conv_bn_eval(module.conv, module.norm)
                module.norm = nn.Identity()  # type: ignore[assignment]
            elif isinstance(module, nn.Sequential):
                for index, (layer, norm) in enumerate(pairwise(list(module))):
                    # timm's own kind of batch norm activates too
                    if isinstance(layer, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
                        module[index], module[index + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
        self.network.to(memory_format=self.memory_format)
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mobiledense"] = self.spec.to_dict() | {"task": self.kind}

    def configure_optimizers(self) -> Any:
        return self.optimization.build(self.network, int(self.trainer.estimated_stepping_batches))

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] with values 0 to 255 -> float32 as the network expects it, in its memory format."""
        images = images.to(self.mean.device, torch.float32, memory_format=self.memory_format)
        return (images - self.mean) / self.std

    def require_finite(self, loss: Tensor, files: Sequence[str]) -> None:
        """Stop training at a loss that is no number.

        Raises:
            NonFiniteLoss: naming the files of the batch.
        """
        if not torch.isfinite(loss):
            listing = "\n  ".join(files)
            raise NonFiniteLoss(
                f"the loss became {loss.item()} at step {self.global_step}; lower --lr, or look at\n  {listing}"
            )
