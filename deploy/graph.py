"""The module that is exported, the same for all formats: normalisation, network, and decoding up to NMS."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from backbones.mobilenet import Bottleneck, SqueezeExcite
from deploy.extras import DeployError
from deploy.mediapipe_outputs import detector_outputs
from deploy.pools import fix_pools
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
# boxes as in detection, behind the masks' logits or, for mask, the mask
OUTPUTS["joint"] = {
    "boxes": ("mask_logits", *OUTPUTS["detection"]["boxes"]),
    "mask": ("mask", *OUTPUTS["detection"]["boxes"]),
    "raw": ("mask_logits", *OUTPUTS["detection"]["raw"]),
}
# the same of a .tflite for MediaPipe Tasks
MEDIAPIPE_OUTPUTS: dict[str, dict[str, tuple[str, ...]]] = {
    "classification": {"probabilities": ("probabilities",)},
    "segmentation": {"logits": ("logits",)},  # [1, h, w, K] at MEDIAPIPE_STRIDE
    "detection": {
        # all float32: [1, n, 4] as ymin, xmin, ymax, xmax in shares of the image, [1, n], [1, n], [1]; of boxes by
        # LiteRT's own operator (see `deploy.litert_postprocess`), of plain by operators that are in every runtime
        "boxes": ("location", "category", "score", "count"),
        "plain": ("location", "category", "score", "count"),
        "raw": ("location", "score"),  # [1, A, 4], offsets of y, x, height, width; [1, A, K] without background
    },
}
# MediaPipe enlarges logits with their corners aligned, so that cells of stride 8 move by up to half of that: a trained
# network loses 3.7 points of mIoU on Shapes, 0.8 at stride 4, and nothing at 2
MEDIAPIPE_STRIDE = 2
TARGETS = {None: OUTPUTS, "mediapipe": MEDIAPIPE_OUTPUTS}


class Graph(nn.Module):
    """A trained network as an app uses it, for `torch.export` as it is.

    `graph(image)` takes one RGB image, [1, H, W, 3] of values 0 to 255, uint8 or float32, and returns a tuple of what
    `OUTPUTS` says, or for MediaPipe what `detector_outputs` does. Batch norms are folded, and no pool depends on the
    size of what it is given.

    Args:
        task: trained; it is copied.
        output_kind: of `TARGETS[target]`.
        size: height and width of the image; None for those of training.
        target: None, or "mediapipe".

    Raises:
        DeployError: for a kind that the task does not have, or a mask of more than 256 classes.
    """

    mean: Tensor
    scale: Tensor
    anchors: Tensor

    def __init__(
        self, task: Task, output_kind: str, size: Sequence[int] | None = None, target: str | None = None
    ) -> None:
        super().__init__()
        outputs = TARGETS[target].get(task.kind)
        if outputs is None:
            raise DeployError(f"--target {target}: MediaPipe has no task of masks and boxes together")
        if output_kind not in outputs:
            told = f" for --target {target}" if target else ""
            raise DeployError(f"--output-kind {output_kind}: {task.kind}{told} has {', '.join(outputs)}")
        if output_kind == "mask" and len(task.spec.names) > 256:
            raise DeployError(
                f"--output-kind mask holds 256 classes, and there are {len(task.spec.names)}; give logits"
            )
        self.kind, self.output_kind, self.target = task.kind, output_kind, target
        self.size = tuple(size or task.spec.input_size)
        self.names = outputs[output_kind]
        network = copy.deepcopy(task).cpu().eval().fold().network.to(memory_format=torch.contiguous_format)
        self.network = fix_pools(network)
        _fold_gates(self.network)
        self.register_buffer("mean", task.mean.cpu())
        self.register_buffer("scale", 1 / task.std.cpu())
        self.sigmoid = getattr(task.spec, "sigmoid", False)
        if self.kind in ("detection", "joint"):
            self.register_buffer("anchors", self.network.head.anchors(self.size).boxes)
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = (image.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        raw = self.network(x)
        if self.kind == "classification":
            return (raw.softmax(1),)
        if self.kind == "segmentation":
            return (self._masks(raw),)
        *masks, logits, offsets = raw
        if self.target == "mediapipe":
            return detector_outputs(self.output_kind, logits, offsets, self.anchors, self.sigmoid)
        found = tuple(map(self._masks, masks))
        if self.output_kind == "raw":
            return *found, offsets, logits
        return *found, decode_boxes(offsets, self.anchors).clamp(0, 1), class_scores(logits, self.sigmoid)

    def _masks(self, logits: Tensor) -> Tensor:
        """The mask of logits, or the logits themselves with their classes last."""
        if self.output_kind == "mask":
            return resize(logits, self.size).argmax(1).to(torch.uint8)
        if self.target == "mediapipe":
            logits = resize(logits, tuple(-(-side // MEDIAPIPE_STRIDE) for side in self.size))
        return logits.permute(0, 2, 3, 1)


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
            bias: Any = gated.expand.bias
            gated.expand.bias = nn.Parameter(bias + 3)
            behind.weight = nn.Parameter(behind.weight / 6)
