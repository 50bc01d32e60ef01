"""A network in ONNX for images of any size and number: normalised images in, its raw outputs out."""

import copy
import warnings

import torch
from torch import Tensor, nn

from datasets.faults import one_line
from deploy.extras import DeployError
from deploy.onnx_file import OPSET
from heads.lraspp import WindowPool
from tasks.base import Task

OUTPUTS = {"classification": ("logits",), "segmentation": ("logits",), "detection": ("logits", "offsets")}
OUTPUTS["joint"] = ("mask_logits", *OUTPUTS["detection"])


class MatrixPool(nn.Module):
    """`WindowPool` as two matrix products, since windows of ONNX's own pooling have a fixed size."""

    def __init__(self, pool: WindowPool) -> None:
        super().__init__()
        self.window, self.stride = pool.window, pool.stride

    def forward(self, x: Tensor) -> Tensor:
        down, across = (_means(side, self.window, step) for side, step in zip(x.shape[2:], self.stride, strict=True))
        return down @ (x @ across.T)


def _means(side: int, window: int, stride: int) -> Tensor:
    """float32 [windows, side]: each row is the mean over one window; `side` may be symbolic."""
    window = torch.sym_min(window, side)  # type: ignore[assignment]
    first = torch.arange((side - window) // stride + 1)[:, None] * stride
    place = torch.arange(side)[None]
    return ((place >= first) & (place < first + window)).float() / window


def export_network(task: Task) -> bytes:
    """The network of a task as an ONNX file.

    `images`, float32 [N, 3, H, W], go in, normalised. N is free, and so are H and W for segmentation, which sees every
    image at its own size; otherwise they are those of training. What comes out has the names of `OUTPUTS`.

    Raises:
        DeployError: if the network does not convert.
    """
    network = copy.deepcopy(task.network).cpu().eval().to(memory_format=torch.contiguous_format)
    for name, module in [*network.named_modules()]:
        if hasattr(module, "inplace"):
            module.inplace = False  # of what works in place, the exporter takes several times as long
        if isinstance(module, WindowPool):
            network.set_submodule(name, MatrixPool(module))
    free = (0, 2, 3) if task.kind == "segmentation" else (0,)
    height, width = task.spec.input_size
    # a side or number that is 1 would not become free
    example = torch.zeros(2, 3, max(height, 64), max(width, 64)) if len(free) > 1 else torch.zeros(2, 3, height, width)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, to its developers
            program = torch.onnx.export(
                network,
                (example,),
                input_names=["images"],
                output_names=list(OUTPUTS[task.kind]),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                dynamic_shapes=({axis: torch.export.Dim.DYNAMIC for axis in free},),
                optimize=False,  # runtimes do that themselves
                verbose=False,
            )
    except Exception as error:  # of the exporter's many kinds
        raise DeployError(f"it does not convert to ONNX ({one_line(error)})") from None
    assert program is not None
    return program.model_proto.SerializeToString()
