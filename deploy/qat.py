"""Quantisation-aware training: weights that lose little once they are rounded to 8 bits, in whatever format.

The network computes in float, with its numbers rounded as int8 files round them, while the task's own loss moves the
weights; the gradient passes by the rounding (arXiv 1712.05877, Section 3). The result is a checkpoint as any other.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from datasets.classification.augment_options import ClassificationAugmentation
from datasets.detection.augment_options import DetectionAugmentation
from datasets.segmentation.augment_options import SegmentationAugmentation
from tasks.classification.options import ClassificationOptions
from tasks.commands import require_same
from tasks.detection.options import DetectionOptions
from tasks.joint.options import JointOptions
from tasks.options import Optimization, Run
from tasks.run import seed_everything, train_run
from tasks.segmentation.options import SegmentationOptions
from tasks.wings import WINGS, load_task

OPTIONS: dict[str, tuple[Any, Any]] = {  # of each task, and of its augmentation
    "classification": (ClassificationOptions, ClassificationAugmentation),
    "detection": (DetectionOptions, DetectionAugmentation),
    "joint": (JointOptions, DetectionAugmentation),
    "segmentation": (SegmentationOptions, SegmentationAugmentation),
}
WATCHED = 32  # images that are scored after each epoch
MOMENTUM = 0.05  # by which ranges follow those of a batch


class Rounded(nn.Module):
    """Rounds numbers to 8 bits, on a range that follows what is seen in training; float of any shape, as it comes."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("low", "high"):  # a checkpoint has the keys that it had before
            self.register_buffer(name, torch.zeros(1), persistent=False)
        self.seen = False

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            low, high = x.detach().float().aminmax()
            momentum = MOMENTUM if self.seen else 1.0
            self.low.lerp_(low.clamp(max=0), momentum)
            self.high.lerp_(high.clamp(min=0), momentum)
            self.seen = True
        scale = ((self.high - self.low) / 255).clamp(min=1e-8)
        zero = (-128 - self.low / scale).round().int()
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, -128, 127)


def rounded(weight: Tensor) -> Tensor:
    """Weights in 8 bits, with a scale for every output channel.

    A batch norm behind them, which files have worked into the weights, scales whole channels, and changes nothing.
    """
    scale = weight.detach().abs().flatten(1).amax(1).clamp(min=1e-8) / 127
    zero = torch.zeros_like(scale, dtype=torch.int)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


class RoundedConv2d(nn.Conv2d):
    """A convolution in 8 bits."""

    rounding: Rounded

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(self.rounding(input), rounded(weight), bias)


class RoundedLinear(nn.Linear):
    """A linear layer in 8 bits."""

    rounding: Rounded

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(self.rounding(input), rounded(self.weight), self.bias)


class RoundedHardswish(nn.Hardswish):
    """Hard-swish of numbers that an int8 convolution hands on; it computes in float."""

    rounding: Rounded

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(self.rounding(input))


ROUNDED: dict[type, type] = {nn.Conv2d: RoundedConv2d, nn.Linear: RoundedLinear, nn.Hardswish: RoundedHardswish}


def round_network(network: nn.Module) -> None:
    """Have a network compute in 8 bits from here on; its weights and their keys stay as they are."""
    for module in [*network.modules()]:
        if type(module) in ROUNDED:
            module.__class__ = ROUNDED[type(module)]
            module.rounding = Rounded()


def train_rounded(checkpoint: Path, files: Any, epochs: int, lr: float, folder: Path) -> Path:
    """Train a checkpoint on, for few epochs and in 8 bits.

    Its loss, augmentation and batch size are those of its run, as far as a config.yaml beside the checkpoint has them.

    Args:
        checkpoint: written by training.
        files: of the split to train on.
        epochs: passes over it.
        lr: the highest learning rate, which falls to 0.
        folder: of the run; one that is there is replaced.

    Returns:
        The last checkpoint: no split chooses one.

    Raises:
        CheckpointError, DataError, TaskError: for whatever the user can mend, in one line.
    """
    trained = load_task(checkpoint, "cpu")
    wing, config = WINGS[trained.kind], _config(checkpoint)
    options, augmentation = (_given(kind, config) for kind in OPTIONS[trained.kind])
    require_same(trained.spec, files, str(checkpoint), str(files.root))
    optimization = Optimization(epochs=epochs, lr=lr, schedule="cosine", weight_decay=0.0)
    run = Run(ema=0.0, name=folder.name, output=folder.parent, overwrite=True)
    seed_everything(run.seed)
    task = wing.make_task(trained.spec, optimization, options, files)
    task.load_state_dict(trained.state_dict(), strict=False)
    task.keeps_threshold = True
    round_network(task.network)
    few = wing.limit_files(files, WATCHED)  # of the same split: they choose nothing
    samples = wing.train_samples(files, trained.spec, augmentation), wing.val_samples(few, trained.spec)
    text = f"checkpoint: {checkpoint}\nepochs: {epochs}\nlr: {lr}\n"
    train_run(run, task, *samples, text, epochs, config.get("batch_size") or wing.batch_size, wing.draw, wing.drawn)
    return run.folder / "last.ckpt"


def _config(checkpoint: Path) -> dict[str, Any]:
    """The options of a checkpoint's run, if they lie beside it."""
    beside = checkpoint.with_name("config.yaml")
    found = yaml.safe_load(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    return found if isinstance(found, dict) else {}


def _given(kind: Any, config: dict[str, Any]) -> Any:
    """An option dataclass with what a run's options say of it."""
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in config.items() if name in known and value is not None})
