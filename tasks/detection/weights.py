"""Start weights for detection: whole networks, whose classes may be others than ours, or a backbone alone."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights

from backbones import Backbone, LoadReport, Table, TimmTable, load_weights, start_normalisation
from backbones.keys import torchvision_keys
from backbones.narrow import narrow
from backbones.pretrained import fetch_weights, local_file
from backbones.weights_files import read_weights, require_usable
from tasks.detection.task import DetectionNetwork, DetectionSpec
from tasks.errors import TaskError

COCO = SSDLite320_MobileNet_V3_Large_Weights.COCO_V1
SCALED: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def load_detection_weights(network: DetectionNetwork, spec: DetectionSpec, source: str | Path) -> str:
    """Fill a detection network, or its backbone alone, and say what was taken.

    Args:
        network: filled in place.
        spec: what the network was built from.
        source: "coco" (torchvision's SSDLite320 on V3-Large, hash checked), "imagenet" (the backbone), or a file or
            "hf://OWNER/NAME": a detector or joint network of ours, a state dict of torchvision's SSDLite320, or any
            weights of the backbone.

    Returns:
        Text for the user. Classes of the same name keep their rows of the class branches; the others start anew.

    Raises:
        TaskError: if nothing in the source fits.
        BackboneError: if the file cannot be read, or holds values that are not finite.
        FileNotFoundError: if there is no such file.
        ConnectionError: if the download fails.
    """
    coco_names = list(COCO.meta["categories"][1:])
    if source == "coco":
        if spec.table.name != "mobilenet_v3_large":
            raise TaskError(f"torchvision publishes COCO weights for v3-large, not for {spec.table}")
        return _load(network, spec.names, from_torchvision(network, fetch_weights(COCO)), coco_names, "coco")
    if source == "imagenet":
        return str(load_weights(network.backbone, source))
    state, description = read_weights(local_file(source))
    same = description.get("table", {}).get("name") == spec.table.name
    named = {"detection": "names", "joint": "box_names"}.get(description.get("task", ""))
    if named is not None and same:
        state = {key.removeprefix("network."): tensor for key, tensor in state.items() if key.startswith("network.")}
        state = {key.replace("head.boxes.", "head."): tensor for key, tensor in state.items()}
        return _load(network, spec.names, state, description.get(named, []), str(source))
    bias = _torchvisions_bias(state)
    if bias is not None and spec.table.name == "mobilenet_v3_large":
        names = coco_names if len(bias) == 6 * (len(coco_names) + 1) else []
        return _load(network, spec.names, from_torchvision(network, state), names, str(source))
    return str(load_weights(network.backbone, source))


def start_detection_normalisation(table: Table | TimmTable, source: str | Path | None) -> dict[str, Any]:
    """`backbones.start_normalisation`, for torchvision's whole networks too, which had images scaled to -1 to 1."""
    if source == "coco":
        return SCALED
    known = start_normalisation(table, source)
    if known or source in (None, "imagenet"):
        return known
    return {} if _torchvisions_bias(read_weights(local_file(source))[0]) is None else SCALED


def _torchvisions_bias(state: dict[str, Tensor]) -> Tensor | None:
    """The biases of the classes in the second map, where a state dict is one of torchvision's SSDLite."""
    found = [tensor for key, tensor in state.items() if key.endswith("classification_head.module_list.1.1.bias")]
    return found[0] if found and found[0].ndim == 1 else None


def from_torchvision(network: DetectionNetwork, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of torchvision's `ssdlite320_mobilenet_v3_large` under our keys."""
    assert isinstance(network.backbone, Backbone)
    # torchvision cuts the backbone in two inside the first stride-32 block, after its expansion
    cut = network.backbone.table.levels().index(5) + 1
    plain = {}
    for key, tensor in state.items():
        key = re.sub(rf"^backbone\.features\.0\.{cut}\.", f"backbone.features.{cut}.block.0.", key)
        key = re.sub(r"^backbone\.features\.0\.", "backbone.features.", key)
        key = re.sub(r"^backbone\.features\.1\.0\.", f"backbone.features.{cut}.block.", key)
        key = re.sub(r"^backbone\.features\.1\.(\d+)\.", lambda m: f"backbone.features.{cut + int(m[1])}.", key)
        key = key.replace("backbone.extra.", "head.extra.")
        key = key.replace("head.classification_head.module_list.", "head.class_branches.")
        plain[key.replace("head.regression_head.module_list.", "head.box_branches.")] = tensor
    keys = {f"backbone.{ours}": f"backbone.{theirs}" for ours, theirs in torchvision_keys(network.backbone).items()}
    found = {ours: plain[theirs] for ours, theirs in keys.items() if theirs in plain}
    return found | {key: tensor for key, tensor in plain.items() if key.startswith("head.")}


def _narrowed(network: DetectionNetwork, state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Those tensors of a narrower backbone that wider ones of a state dict are cut for, see `narrow`."""
    own = network.backbone.state_dict()
    given = {key: state[f"backbone.{key}"] for key in own if f"backbone.{key}" in state}
    if not isinstance(network.backbone, Backbone) or all(x.shape == own[key].shape for key, x in given.items()):
        return {}
    for key, tensor in given.items():
        require_usable(source, f"backbone.{key}", tensor, own[key])
    return {f"backbone.{key}": tensor for key, tensor in narrow(given, network.backbone.table, own).items()}


def _load(
    network: DetectionNetwork, names: Sequence[str], state: dict[str, Tensor], their_names: Sequence[str], source: str
) -> str:
    kept = [name for name in names if name in their_names]
    ours = [0, *(names.index(name) + 1 for name in kept)]  # background is the first row
    theirs = [0, *(their_names.index(name) + 1 for name in kept)]
    taken, narrowed = {}, _narrowed(network, state, source)
    report = LoadReport(source, parameters={key: x.numel() for key, x in network.named_parameters()})
    for key, own in network.state_dict().items():
        tensor = state.get(key)
        if tensor is not None and re.match(r"head\.class_branches\.\d+\.1\.", key):
            cells = own.unflatten(0, (-1, len(names) + 1)).clone()
            if tensor.shape == (len(cells) * (len(their_names) + 1), *own.shape[1:]):
                require_usable(source, key, tensor, own)
                cells[:, ours] = tensor.unflatten(0, (-1, len(their_names) + 1))[:, theirs]
                taken[key] = cells.flatten(0, 1)
                report.taken += [key] if kept else []
        elif key in narrowed:
            taken[key] = narrowed[key]
            report.narrowed.append(key)
        elif tensor is not None and tensor.shape == own.shape:
            require_usable(source, key, tensor, own)
            taken[key] = tensor
            report.taken.append(key)
    if not any(tensor.ndim for tensor in taken.values()):
        raise TaskError(f"{source}: nothing in it fits this network")
    network.load_state_dict(taken, strict=False)
    report.warn("this network")
    total = network.state_dict().keys()
    text = f"{source}: took {len(taken)} of {len(total)} tensors"
    if len(taken) < len(total) or report.narrowed:
        text += f"; {report.shares()}"
    left = sorted({key.rpartition(".")[0] for key in total - taken.keys()})
    if left:
        more = f" and {len(left) - 6} more" if len(left) > 6 else ""
        text += f"; parts that keep their initial values: {', '.join(left[:6])}{more}"
    new = [name for name in names if name not in kept]
    return f"{text}\nclasses kept: {', '.join(kept) or 'none'}; new: {', '.join(new) or 'none'}"
