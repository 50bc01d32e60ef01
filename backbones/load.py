"""Pretrained weights: torchvision's and timm's, from the hub, or a local file, with a report of what was taken."""

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.hub import HUB, fetch_table, split_address
from backbones.keys import timm_keys, torchvision_keys
from backbones.mobilenet import Backbone
from backbones.narrow import narrow
from backbones.papers import TABLES
from backbones.pretrained import known_normalisation, local_file, published_weights
from backbones.tables import BackboneError
from backbones.taps import Tapped
from backbones.weights_files import read_weights, require_usable

LEAST_SHARE = 0.9  # of the parameters; where fewer come from the source, a line of warning says so


@dataclass
class LoadReport:
    """What a load took and what it left. `str()` of it is the line to show a user.

    Attributes:
        taken: keys of ours that were filled as they are.
        narrowed: keys of ours that were filled with the most important channels of wider layers, see `narrow`.
        missing: keys of ours that the source lacks; they keep their initial values.
        unused: keys of the source that have no place in the backbone (a classifier, say).
        mismatched: keys of ours with (our shape, the source's shape); they keep their initial values.
        parameters: our parameters' keys and how many numbers each has.
    """

    source: str
    taken: list[str] = field(default_factory=list)
    narrowed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)

    def share(self, *parts: list[str]) -> float:
        """The share of our parameters, 0 to 1, that some lists of keys have."""
        return sum(self.parameters.get(key, 0) for part in parts for key in part) / sum(self.parameters.values())

    def shares(self) -> str:
        """The shares of the parameters, in words."""
        left = 1 - self.share(self.taken, self.narrowed)
        return (
            f"{self.share(self.taken):.1%} of the parameters as they are, {self.share(self.narrowed):.1%} narrowed to "
            f"the most important channels, {abs(left):.1%} left at random"
        )

    def warn(self, network: object) -> None:
        """Write a line into the log if less than 90 % of the parameters come from the source."""
        share = self.share(self.taken, self.narrowed)
        if share < LEAST_SHARE:
            logging.getLogger(__name__).warning(
                "warning: only %.1f %% of the parameters of %s come from %s; the others start at random",
                *(100 * share, network, self.source),
            )

    def __str__(self) -> str:
        total = len(self.taken) + len(self.narrowed) + len(self.missing) + len(self.mismatched)
        text = f"{self.source}: took {len(self.taken)} of {total} tensors"
        if len(self.taken) < total:
            text += f"; {self.shares()}"
        if self.missing:
            text += f"; not in the source: {_some(self.missing)}"
        if self.mismatched:
            text += f"; {self.shapes()}"
        if self.unused:
            text += f"; not used: {_some(self.unused)}"
        return text

    def shapes(self) -> str:
        """The tensors whose shape differs, or nothing."""
        shapes = [f"{key} {list(ours)} (source {list(theirs)})" for key, (ours, theirs) in self.mismatched.items()]
        return f"other shape: {_some(shapes)}" if shapes else ""


def _some(items: list[str], most: int = 3) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def load_weights(backbone: Tapped, source: str | Path) -> LoadReport:
    """Fill a backbone from published ImageNet weights, from the Hugging Face hub, or from a file.

    Layers with fewer channels than the source's, such as a halved last stage, get the most important ones of them. If
    less than 90 % of the parameters come from the source, the log has a warning.

    "imagenet" is torchvision's file for V2, V3 and MnasNet-B1, and timm's for V1, MnasNet-A1, minimalistic V3 and
    timm's own networks. Some of timm's were trained on images of another mean and standard deviation than
    ImageNet's, see `start_normalisation`; minimalistic V3 with TensorFlow's padding: its outputs and ours are the same
    on sides of 32 n + 1, and shifted by up to a pixel on others.

    Args:
        backbone: filled in place.
        source: "imagenet"; "hf://OWNER/NAME" or "hf://OWNER/NAME/FILE"; or a .pth, .pt, .ckpt or .safetensors file.
            Keys are ours, torchvision's or timm's, bare or under a prefix such as "backbone.".

    Raises:
        BackboneError: if there are no published weights, or the source holds another architecture, nothing that fits,
            or values that are not finite.
        FileNotFoundError: if there is no such file.
        ConnectionError: if the download fails.
    """
    state, description = _read(backbone, str(source))
    own = backbone.state_dict()
    renamed = _rename(state, _namings(backbone))
    report = LoadReport(str(source), parameters={key: x.numel() for key, x in backbone.named_parameters()})
    for key, tensor in own.items():
        if key not in renamed:
            report.missing.append(key)
        elif renamed[key][1].shape != tensor.shape:
            report.mismatched[key] = (tuple(tensor.shape), tuple(renamed[key][1].shape))
        else:
            report.taken.append(key)
    used = {theirs for theirs, _ in renamed.values()}
    report.unused = [key for key in state if key not in used]
    _require_architecture(backbone, report, state, description)
    for key in [*report.taken, *(key for key in report.mismatched if _is_wider(*report.mismatched[key]))]:
        require_usable(source, *renamed[key], own[key])
    filled = {key: renamed[key][1] for key in report.taken}
    if isinstance(backbone, Backbone) and report.mismatched and _has_all_blocks(report):
        filled |= narrow({key: tensor for key, (_, tensor) in renamed.items()}, backbone.table, own)
        report.narrowed = [key for key in report.mismatched if key in filled]
        report.mismatched = {key: shapes for key, shapes in report.mismatched.items() if key not in filled}
    backbone.normalisation = known_normalisation(backbone.table, str(source), description)
    backbone.load_state_dict(filled, strict=False)
    report.warn(backbone.table)
    return report


def _is_wider(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Whether a tensor of the source is ours but for more channels."""
    return len(ours) == len(theirs) and ours[2:] == theirs[2:] and all(map(int.__le__, ours, theirs))


def _has_all_blocks(report: LoadReport) -> bool:
    return all(key.startswith("last.") for key in report.missing)


def _read(backbone: Tapped, source: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if source == "imagenet":
        return published_weights(backbone), {}
    state, description = read_weights(local_file(source))
    if source.startswith(HUB) and not split_address(source).file and "table" not in description:
        with suppress(FileNotFoundError):  # others than push_to_hub put weights there too
            description = {**description, "table": fetch_table(source)}
    return state, description


def _require_architecture(
    backbone: Tapped, report: LoadReport, state: dict[str, Tensor], description: dict[str, Any]
) -> None:
    """Refuse a source that was made for another network, or of which less than half of our weights can be filled."""
    own, name = backbone.state_dict(), backbone.table.name
    weights = [key for key in own if own[key].ndim]  # batch norm's counters fit anything
    fitting = [key for key in report.taken if own[key].ndim]
    wider = [key for key, shapes in report.mismatched.items() if _is_wider(*shapes)] if _has_all_blocks(report) else []
    held, said = (description.get("table", {}).get(entry) for entry in ("name", "variant"))
    enough = 2 * len(fitting + wider) >= len(weights)
    if held is None and (wider or not enough):
        held = _architecture(state)
    if held in (None, name) and enough:
        return
    table = backbone.table
    what = f"{len(fitting)} of {len(weights)} tensors fit {table}" if fitting else f"nothing in it fits {table}"
    if held not in (None, name) or said:
        what = f"holds {held}{f' ({said})' if said else ''}, not {table}"
    raise BackboneError(f"{report.source}: {what}; {report.shapes() or f'its first keys are {_some(list(state))}'}")


def _architecture(state: dict[str, Tensor]) -> str | None:
    """The name of the plain table whose weights all are in a state dict of any naming."""
    for create in TABLES.values():
        with torch.device("meta"):
            backbone = Backbone(create())
        own = backbone.state_dict()
        found = _rename(state, _namings(backbone))
        if all(key in found and found[key][1].shape == tensor.shape for key, tensor in own.items()):
            return backbone.table.name
    return None


def _namings(backbone: Tapped) -> list[dict[str, str]]:
    """Our key -> a source's, in every naming there is."""
    own = {key: key for key in backbone.state_dict()}
    if not isinstance(backbone, Backbone):  # timm's network is a part of ours, and may itself wrap one
        return [own, *({key: key.removeprefix(wrapper) for key in own} for wrapper in ("network.", "network.model."))]
    theirs = torchvision_keys(backbone)
    # torchvision's segmentation and detection models hold `features` as numbered children of their backbone
    bare = {key: value.removeprefix("features.") for key, value in theirs.items()}
    return [naming for naming in (own, theirs, bare, timm_keys(backbone)) if naming]


def _rename(state: dict[str, Tensor], namings: list[dict[str, str]]) -> dict[str, tuple[str, Tensor]]:
    """Our key -> (the source's key, tensor), under whichever naming and prefix fits the most of our keys."""
    best: dict[str, tuple[str, Tensor]] = {}
    for naming in namings:
        probe = next(iter(naming.values()))
        for prefix in {key.removesuffix(probe) for key in state if key.endswith(probe)}:
            found = {ours: prefix + name for ours, name in naming.items() if prefix + name in state}
            if len(found) > len(best):
                best = {ours: (name, state[name]) for ours, name in found.items()}
    return best
