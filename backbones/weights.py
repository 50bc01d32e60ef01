"""Pretrained weights: torchvision's through its own hub, or a local file, with a report of what was taken."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from backbones.mobilenet import Backbone, ConvNormAct

PUBLISHED = {"mobilenet_v3_large": "MobileNet_V3_Large_Weights", "mobilenet_v3_small": "MobileNet_V3_Small_Weights"}


@dataclass
class LoadReport:
    """What a load took and what it left. `str()` of it is the line to show a user.

    Attributes:
        taken: keys of ours that were filled.
        missing: keys of ours that the source lacks; they keep their initial values.
        unused: keys of the source that have no place in the backbone (a classifier, say).
        mismatched: keys of ours with (our shape, the source's shape); they keep their initial values.
    """

    source: str
    taken: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def __str__(self) -> str:
        total = len(self.taken) + len(self.missing) + len(self.mismatched)
        text = f"{self.source}: took {len(self.taken)} of {total} tensors"
        if self.missing:
            text += f"; not in the source: {_some(self.missing)}"
        if self.mismatched:
            shapes = [f"{key} {list(ours)} (source {list(theirs)})" for key, (ours, theirs) in self.mismatched.items()]
            text += f"; other shape: {_some(shapes)}"
        if self.unused:
            text += f"; not used: {_some(self.unused)}"
        return text


def _some(items: list[str], most: int = 3) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def torchvision_keys(backbone: Backbone) -> dict[str, str]:
    """Our state-dict key -> torchvision's, as in `torchvision.models.mobilenet_v3_large().state_dict()`."""

    def layer(ours: str, theirs: str, module: nn.Module) -> dict[str, str]:
        names = {"conv": "0", "norm": "1"} if isinstance(module, ConvNormAct) else {"reduce": "fc1", "expand": "fc2"}
        return {
            f"{ours}.{part}.{key}": f"{theirs}.{their_part}.{key}"
            for part, their_part in names.items()
            for key in module.get_submodule(part).state_dict()
        }

    keys = layer("stem", "features.0", backbone.stem)
    for index, block in enumerate(backbone.blocks):
        present = [(name, module) for name, module in block.named_children() if not isinstance(module, nn.Identity)]
        for place, (name, module) in enumerate(present):
            keys |= layer(f"blocks.{index}.{name}", f"features.{index + 1}.block.{place}", module)
    if backbone.last is not None:
        keys |= layer("last", f"features.{len(backbone.blocks) + 1}", backbone.last)
    return keys


def load_weights(backbone: Backbone, source: str | Path) -> LoadReport:
    """Fill a backbone from torchvision's published ImageNet weights or from a file.

    Args:
        backbone: filled in place.
        source: "imagenet" (torchvision's hub, hash checked), or a .pth, .pt, .ckpt or .safetensors file whose keys are
            ours or torchvision's, bare or under a prefix such as "backbone.".

    Raises:
        ValueError: if there are no published weights, or the file holds no tensor that fits.
        FileNotFoundError: if there is no such file.
        ConnectionError: if the download fails.
    """
    state = _published(backbone) if source == "imagenet" else read_weights(Path(source))[0]
    own = backbone.state_dict()
    renamed = _rename(state, own, torchvision_keys(backbone))
    report = LoadReport(str(source))
    for key, tensor in own.items():
        if key not in renamed:
            report.missing.append(key)
        elif renamed[key][1].shape != tensor.shape:
            report.mismatched[key] = (tuple(tensor.shape), tuple(renamed[key][1].shape))
        else:
            report.taken.append(key)
    used = {theirs for theirs, _ in renamed.values()}
    report.unused = [key for key in state if key not in used]
    if not any(own[key].ndim for key in report.taken):  # batch norm's counters fit anything
        raise ValueError(f"{source}: nothing in it fits {backbone.table.name}; its first keys are {_some(list(state))}")
    backbone.load_state_dict({key: renamed[key][1] for key in report.taken}, strict=False)
    return report


def _published(backbone: Backbone) -> dict[str, Tensor]:
    name = backbone.table.name
    if name not in PUBLISHED:
        raise ValueError(f"torchvision publishes no ImageNet weights for {name}")
    return fetch_weights(getattr(torchvision.models, PUBLISHED[name]).DEFAULT)


def fetch_weights(weights: torchvision.models.WeightsEnum) -> dict[str, Tensor]:
    """A state dict that torchvision publishes, through its hub's cache, hash checked.

    Raises:
        ConnectionError: if the download fails.
    """
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:  # torch raises the latter for a wrong hash
        raise ConnectionError(
            f"could not fetch {weights.url} ({error}); download it elsewhere and give the file as the weights"
        ) from error


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a weights file, and what a checkpoint of ours says of its network (nothing for other files).

    Args:
        path: a .pth, .pt, .ckpt or .safetensors file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read or holds no tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such weights file (published ones are "imagenet" and, for detection, "coco")'
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path), {}
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no weights can raise anything at all in an unpickler
        reason = (str(error).splitlines() or [""])[0].split(". ")[0]
        raise ValueError(f"{path}: not a readable weights file ({type(error).__name__}: {reason})") from error
    description = content.get("mobiledense", {}) if isinstance(content, dict) else {}
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    entries = content.items() if isinstance(content, dict) else ()
    tensors = {key: value for key, value in entries if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{path}: holds no state dict")
    return tensors, description


def _rename(state: dict[str, Tensor], own: dict[str, Tensor], theirs: dict[str, str]) -> dict[str, tuple[str, Tensor]]:
    """Our key -> (the source's key, tensor), under whichever naming and prefix fits the most of our keys."""
    best: dict[str, tuple[str, Tensor]] = {}
    # torchvision's segmentation and detection models hold `features` as numbered children of their backbone
    namings = [{key: key for key in own}, theirs, {k: v.removeprefix("features.") for k, v in theirs.items()}]
    for naming in namings:
        probe = next(iter(naming.values()))
        for prefix in {key.removesuffix(probe) for key in state if key.endswith(probe)}:
            found = {ours: prefix + name for ours, name in naming.items() if prefix + name in state}
            if len(found) > len(best):
                best = {ours: (name, state[name]) for ours, name in found.items()}
    return best
