"""What all tasks share: a network built from its spec, optimisation, and checkpoints of both."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from backbones import Table, TimmTable, table_from_dict
from backbones.mobilenet import ConvNormAct
from backbones.weights_download import one_line
from tasks.checkpoints import VERSION, first_not_finite, read_checkpoint
from tasks.errors import CheckpointError, NonFiniteLoss, TaskError
from tasks.hub_checkpoints import local_checkpoint
from tasks.optim import Clock, build_optimizer, freeze, keep_frozen_statistics
from tasks.options import Optimization
from tasks.publishing import Published, described_terms
from tasks.running_statistics import StartingAverage
from tasks.teacher import Teacher

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OLD_NAMES = {"share": "crop_ratio"}  # of entries, in checkpoints of 0.1.0
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
        mean: of the images the network expects, per channel, with values in 0 to 1.
        std: likewise.

    Raises:
        TaskError: for a value that no network can have.
    """

    table: Table | TimmTable
    head: str
    names: list[str]
    colours: list[tuple[int, int, int]]
    input_size: tuple[int, int]
    head_options: dict[str, Any] = field(default_factory=dict)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        require = {
            "names": all(isinstance(name, str) for name in self.names) and 0 < len(set(self.names)) == len(self.names),
            "colours": len(self.colours) == len(self.names)
            and all(len(colour) == 3 and all(0 <= part <= 255 for part in colour) for colour in self.colours),
            "input_size": len(self.input_size) == 2 and all(0 < int(side) == side for side in self.input_size),
            "mean": len(self.mean) == 3 and all(map(math.isfinite, self.mean)),
            "std": len(self.std) == 3 and all(0 < part < math.inf for part in self.std),
            "head_options": all(isinstance(option, str) for option in self.head_options),
        }
        for name, holds in require.items():
            if not holds:
                raise TaskError(f"{name} cannot be {getattr(self, name)!r:.80}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a checkpoint."""
        return asdict(self) | {"table": self.table.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The inverse of `to_dict`; entries that the class does not have are left out.

        Raises:
            TaskError: for entries that are missing, or cannot be what they are.
            BackboneError: for a table that is none.
        """
        data = {OLD_NAMES.get(key, key): value for key, value in data.items()}
        known = {item.name: item for item in fields(cls)}
        needed = {name for name, item in known.items() if item.default is item.default_factory is MISSING}
        missing = sorted(needed - data.keys())
        if missing:
            raise TaskError(f"{', '.join(missing)} missing")
        values = {name: data[name] for name in known if name in data} | {"table": table_from_dict(data["table"])}
        # out of json tuples come back as lists
        values |= {name: tuple(values[name]) for name in ("input_size", "mean", "std") if name in values}
        return cls(**values | {"colours": [tuple(colour) for colour in values["colours"]]})


class Task(Published, L.LightningModule):
    """A network with its spec, how it is trained, and what its checkpoints hold.

    Args:
        spec: what `network` was built from.
        network: in its backbone's `memory_format` from here on.
        optimization: how to train.
    """

    kind: ClassVar[str]
    monitor: ClassVar[str]  # the metric that the best checkpoint has most of
    pipeline_tag: ClassVar[str]  # what the Hugging Face hub calls such tasks
    predicts: ClassVar[str]  # what `predict` returns, in a word
    spec_type: ClassVar[type[Spec]]
    network: Any
    mean: Tensor
    std: Tensor

    def __init__(self, spec: Any, network: Any, optimization: Optimization | None) -> None:
        super().__init__()
        self.spec = spec
        self.optimization = optimization or Optimization()
        self.most_steps: int | None = None  # where a run ends before its epochs do
        self.clock: Clock | None = None  # likewise
        self.teacher: Teacher | None = None
        self.keeps_threshold = False  # of its spec, as what it is validated on is not to choose one
        self.memory_format = network.backbone.memory_format
        self.network = network.to(memory_format=self.memory_format)
        if self.optimization.freeze is not None:
            freeze(self.network, self.optimization.freeze)
        keep_frozen_statistics(self.network)
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1) * 255, persistent=False)

    @classmethod
    def load(cls: type[Self], path: str | Path, device: str = "auto") -> Self:
        """A trained task from its checkpoint alone, ready to predict.

        Args:
            path: a checkpoint written by training, or hf://OWNER/NAME for a task on the hub.
            device: "cpu", "cuda", or "auto" for the latter where there is one.

        Raises:
            CheckpointError: if the file is missing, unreadable or of another task.
            FileNotFoundError, ConnectionError: for one on the hub, if it is not there or cannot be fetched.
        """
        path = local_checkpoint(path)
        checkpoint = read_checkpoint(path, cls.kind)
        try:
            task = cls(cls.spec_type.from_dict(checkpoint["mobiledense"]))  # type: ignore[call-arg, arg-type]
            task.license, task.scores = described_terms(checkpoint["mobiledense"])
        except Exception as error:  # whatever an entry of another type than ours runs into
            raise CheckpointError(
                f"{path}: the network that it describes cannot be built ({one_line(error)})"
            ) from error
        fault = _misfit(task.state_dict(), checkpoint["state_dict"])
        if fault:
            raise CheckpointError(f"{path}: weights do not fit the network that it describes: {fault}")
        task.load_state_dict(checkpoint["state_dict"])
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return task.eval().to(device)

    def forward(self, images: Any, **options: Any) -> list[Any]:
        """What `task(images)` returns: a `tasks.results.Result` for each image, see `tasks.wing.Wing.results`.

        `predict` returns the bare arrays of a batch, which evaluation, export and benchmarks compute with.
        """
        from tasks.wings import WINGS  # which knows all tasks, so that none of them can import it first

        return WINGS[self.kind].results(self, images, **options)

    def train(self: Self, mode: bool = True) -> Self:
        """As of every module, but for the batch norms of what is frozen, whose statistics stay as they are."""
        super().train(mode)
        keep_frozen_statistics(self.network)
        return self

    def check_samples(self, samples: Any) -> None:
        """Refuse samples that the network cannot take, before the first step; nothing by default."""

    def at_output_stride(self: Self, output_stride: int) -> Self:
        """The same weights in a backbone of another output stride, for prediction alone; segmentation has it.

        Raises:
            TaskError: if that cannot be.
        """
        raise TaskError(
            f"--output-stride {output_stride}: is for segmentation, and this is a checkpoint for {self.kind}"
        )

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

    def describe(self) -> dict[str, Any]:
        """What a checkpoint says of the network: plain values, enough to build it again."""
        return self.spec.to_dict() | {"task": self.kind, "version": VERSION}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mobiledense"] = self.describe()

    def configure_optimizers(self) -> Any:
        steps = int(self.trainer.estimated_stepping_batches)
        return build_optimizer(self.optimization, self.network, min(steps, self.most_steps or steps), self.clock)

    @property
    def teachers(self) -> list[Teacher]:
        """Networks that it learns from beside the labels."""
        return [] if self.teacher is None else [self.teacher]

    def on_fit_start(self) -> None:
        for teacher in self.teachers:
            teacher.network.to(self.device)

    def on_train_start(self) -> None:
        self.average = StartingAverage(self.network)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # behind every callback's, one of which may write a checkpoint
        self.average.before()

    def on_after_backward(self) -> None:
        # the backward pass wants what the forward pass saw; what averages and saves comes later
        self.average.after()

    def log_now(self, step: int, **values: float) -> None:
        """Log values of training to the loggers at once, under a step counted from 0.

        What Lightning logs at the end of an epoch comes after last.ckpt, and a run that is killed between the two would
        lose it; what it logs now and then it repeats until the epoch ends, of which a resumed run knows nothing.
        """
        named = {f"train/{name}": value for name, value in values.items()}
        for logger in self.trainer.loggers:
            logger.log_metrics(named | {"epoch": self.trainer.current_epoch}, step=step)

    def over_processes(self, count: float) -> float:
        """The sum of a number over all processes."""
        return float(self.trainer.strategy.reduce(torch.tensor(float(count), device=self.device), reduce_op="sum"))

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


def _misfit(own: Mapping[str, Tensor], given: Mapping[Any, Any]) -> str | None:
    """Why weights cannot be loaded, if they cannot."""
    for key in [*own, *(key for key in given if key not in own)]:
        if key not in given or key not in own:
            return f"{key} is {'missing' if key in own else 'one too many'}"
        ours, theirs = own[key], given[key]
        dense = isinstance(theirs, Tensor) and theirs.layout == torch.strided and not theirs.is_meta
        if not dense or theirs.is_floating_point() != ours.is_floating_point():
            return f"{key} holds no numbers of its kind"
        if theirs.shape != ours.shape:
            return f"{key} is {list(theirs.shape)}, and {list(ours.shape)} in the network"
    broken = first_not_finite(given.items())
    return f"{broken} is infinite or not a number" if broken else None
