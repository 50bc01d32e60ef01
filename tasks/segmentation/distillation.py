"""Where a teacher of masks comes from, and whether it knows the classes that it is to teach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backbones.weights_download import one_line
from datasets import tell_difference
from heads import channel_distillation_loss, distillation_loss, resize
from tasks.base import IMAGENET_MEAN, IMAGENET_STD, Task
from tasks.errors import TaskError
from tasks.segmentation.options import SegmentationOptions
from tasks.teacher import Teacher

# what each kind of distillation computes, and the temperature that its paper has
LOSSES: dict[str, tuple[Callable[[Tensor, Tensor, float], Tensor], float]] = {
    "pixel": (distillation_loss, 1.0),
    "channel": (channel_distillation_loss, 4.0),
}


@dataclass(eq=False)
class MaskTeacher(Teacher):
    """A teacher of masks, whose loss needs no labels.

    Args:
        loss: of the student's logits, its own, and a temperature; of `LOSSES`.
    """

    loss: Callable[[Tensor, Tensor, float], Tensor]

    def teach(self, logits: Tensor, images: Tensor) -> Tensor:
        """The weighted loss of a student's logits, float [N, classes, h, w], on the grid of these.

        Args:
            logits: of the student.
            images: uint8 [N, 3, H, W] that it saw.
        """
        return self.weight * self.loss(logits, resize(self(images), logits.shape[2:]), self.temperature)


class _MasksOfJoint(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)[0]


def load_mask_teacher(
    options: SegmentationOptions, names: Sequence[str], size: tuple[int, int], load: Callable[[str, str], Task]
) -> MaskTeacher | None:
    """The teacher of some classes, or None where none is asked for.

    Args:
        options: which one, and how it teaches.
        names: of the student's classes; the teacher may have others beside them, which count as background where that
            is one of these, and are left out otherwise.
        size: height and width of the images that it is to see.
        load: what loads a task of any kind from a path onto a device.

    Raises:
        TaskError: for a teacher that cannot take such images, lacks a class, or is no segmentation network.
        CheckpointError: if there is no such checkpoint.
        FileNotFoundError, ConnectionError: for one on the hub, if it is not there or cannot be fetched.
    """
    if options.teacher is None:
        return None
    where = f"--teacher {options.teacher}"
    if (Path(options.teacher) / "config.json").is_file():
        # its encoders, but for a few of timm's, expect what ImageNet's networks do
        network, known, mean, std = _of_smp(Path(options.teacher), names), names, IMAGENET_MEAN, IMAGENET_STD
    else:
        task: Any = load(options.teacher, "cpu")
        if task.kind not in ("segmentation", "joint"):
            raise TaskError(f"{where}: is for {task.kind}, and teaches no masks")
        network = task.fold().network if task.kind == "segmentation" else _MasksOfJoint(task.fold().network)
        known, mean, std = task.spec.names, task.spec.mean, task.spec.std
    if not set(names) <= set(known):
        difference = tell_difference(known, names, "the teacher", "the data")
        raise TaskError(f"{where} lacks classes of the data: {difference}")
    order, (loss, usual) = [list(known).index(name) for name in names], LOSSES[options.distillation]
    temperature = options.temperature or usual
    rest = list(names).index("background") if "background" in names else None
    teacher = MaskTeacher(network, mean, std, order, temperature, options.distillation_weight, loss, rest=rest)
    try:
        teacher(torch.zeros(1, 3, *size, dtype=torch.uint8))
    except (RuntimeError, ValueError) as error:  # of networks for other sizes, ours and others'
        raise TaskError(f"{where}: cannot take images of {size[0]} x {size[1]} ({one_line(error)})") from None
    return teacher


def _of_smp(folder: Path, names: Sequence[str]) -> nn.Module:
    """A network that segmentation-models-pytorch wrote, which knows no names, but their number.

    Raises:
        TaskError: if it cannot be read, or has another number of classes.
    """
    import segmentation_models_pytorch as smp  # takes seconds to import

    try:
        # the encoder's weights come with the others, and are not downloaded; logits teach, without an activation
        network = smp.from_pretrained(str(folder), encoder_weights=None, activation=None, local_files_only=True)
        classes = network.config["classes"]
    except Exception as error:  # whatever a file of another library runs into
        raise TaskError(f"{folder}: is no network of segmentation-models-pytorch ({one_line(error)})") from None
    if classes != len(names):
        raise TaskError(f"{folder}: has {classes} classes, and the data {len(names)}")
    network.classification_head = None  # whose outputs would come beside the masks'
    return network
