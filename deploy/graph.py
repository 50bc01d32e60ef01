"""The module that is exported, the same for all formats: normalisation, network, and decoding up to NMS."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from backbones.mobilenet import Bottleneck, SqueezeExcite
from deploy.extras import DeployError
from heads.anchors import decode_boxes
from heads.decoding import class_scores
from heads.lraspp import resize
from tasks.base import Task

# what comes out, by task and kind; the first kind is the default. All are float32 but for mask
OUTPUTS: dict[str, dict[str, tuple[str, ...]]] = {
    "classification": {"probabilities": ("probabilities",)},  # [1, K]
    "segmentation": {
        "logits": ("logits",),  # [1, h, w, K] at the head's own stride
        "mask": ("mask",),  # uint8 [1, H, W] of class indices
    },
    "detection": {
        "boxes": ("boxes", "scores"),  # [1, A, 4] corners in shares of the image; [1, A, K] without background
        "raw": ("offsets", "logits"),  # [1, A, 4]; [1, A, K + 1] with background first
    },
}


class Graph(nn.Module):
    """A trained network as an app uses it, for `torch.export` as it is.

    `graph(image)` takes one RGB image, [1, H, W, 3] of values 0 to 255, uint8 or float32, and returns a tuple of what
    `OUTPUTS` says. Batch norms are folded.

    Args:
        task: trained; it is copied.
        output_kind: of `OUTPUTS`.
        size: height and width of the image; None for those of training.

    Raises:
        DeployError: for a kind that the task does not have, or a mask of more than 256 classes.
    """

    mean: Tensor
    scale: Tensor
    anchors: Tensor

    def __init__(self, task: Task, output_kind: str, size: Sequence[int] | None = None) -> None:
        super().__init__()
        if output_kind not in OUTPUTS[task.kind]:
            known = ", ".join(OUTPUTS[task.kind])
            raise DeployError(f"--output-kind {output_kind}: {task.kind} has {known}")
        if output_kind == "mask" and len(task.spec.names) > 256:
            raise DeployError(
                f"--output-kind mask holds 256 classes, and there are {len(task.spec.names)}; give logits"
            )
        self.kind, self.output_kind = task.kind, output_kind
        self.size = tuple(size or task.spec.input_size)
        self.names = OUTPUTS[task.kind][output_kind]
        self.network = copy.deepcopy(task).cpu().eval().fold().network.to(memory_format=torch.contiguous_format)
        _fold_gates(self.network)
        self.register_buffer("mean", task.mean.cpu())
        self.register_buffer("scale", 1 / task.std.cpu())
        self.sigmoid = getattr(task.spec, "sigmoid", False)
        if self.kind == "detection":
            self.register_buffer("anchors", self.network.head.anchors(self.size).boxes)
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = (image.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        raw = self.network(x)
        if self.kind == "classification":
            return (raw.softmax(1),)
        if self.output_kind == "logits":
            return (raw.permute(0, 2, 3, 1),)
        if self.output_kind == "mask":
            return (resize(raw, self.size).argmax(1).to(torch.uint8),)
        logits, offsets = raw
        if self.output_kind == "raw":
            return offsets, logits
        return decode_boxes(offsets, self.anchors).clamp(0, 1), class_scores(logits, self.sigmoid)


def _fold_gates(network: nn.Module) -> None:
    """Have the gates of squeeze-and-excitation be ReLU6, which runtimes have, where they are hard sigmoids.

    A hard sigmoid is ReLU6(x + 3) / 6: the sum goes into the convolution before it, the quotient into the one behind.
    """
    for module in network.modules():
        if not isinstance(module, Bottleneck) or not isinstance(module.squeeze_excite, SqueezeExcite):
            continue
        gated, behind = module.squeeze_excite, module.project.conv
        if isinstance(gated.gate, nn.Hardsigmoid):
            gated.gate = nn.ReLU6()
            gated.expand.bias = nn.Parameter(gated.expand.bias + 3)  # type: ignore[arg-type, operator]
            behind.weight = nn.Parameter(behind.weight / 6)
