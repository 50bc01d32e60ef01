"""Where weights come from: torchvision's and timm's published ones, and files."""

from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor

from backbones.hub import HUB
from backbones.papers import TABLES
from backbones.tables import BackboneError, Table
from backbones.taps import Tapped
from backbones.timm_backbone import PREFIX, TimmTable

# ImageNet weights by the table's name; minimalistic V3 is timm's too
TORCHVISION = {
    "mobilenet_v2": "MobileNet_V2_Weights",
    "mobilenet_v3_large": "MobileNet_V3_Large_Weights",
    "mobilenet_v3_small": "MobileNet_V3_Small_Weights",
    "mnasnet_b1": "MNASNet1_0_Weights",
}
TIMM = {"mobilenet_v1": "mobilenetv1_100", "mnasnet_a1": "semnasnet_100"}
TIMM_MINIMALISTIC = {
    "mobilenet_v3_large": "tf_mobilenetv3_large_minimal_100",
    "mobilenet_v3_small": "tf_mobilenetv3_small_minimal_100",
}


def published_weights(backbone: Tapped) -> dict[str, Tensor]:
    """The ImageNet weights of a backbone, as torchvision or timm names them.

    Raises:
        BackboneError: if nobody publishes any, or not at this width.
        ConnectionError: if the download fails.
    """
    name, theirs = backbone.table.name, _timm_name(backbone.table)
    _require_full_width(backbone.table)
    if theirs is not None:
        return _fetch_timm(theirs, **({"features_only": True} if name.startswith(PREFIX) else {}))
    if name in TORCHVISION:
        return fetch_weights(getattr(torchvision.models, TORCHVISION[name]).DEFAULT)
    raise BackboneError(f"neither torchvision nor timm publishes ImageNet weights for {name}")


def _require_full_width(table: Table | TimmTable) -> None:
    """Refuse a table of another width multiplier than 1: most rows differ, not counting those that a tail halves."""
    plain = {found.name: found for found in (create() for create in TABLES.values())}.get(table.name)
    if isinstance(table, Table) and plain is not None:
        rows = zip(table.rows, plain.rows, plain.levels(), strict=False)
        differs = [ours.out != theirs.out for ours, theirs, level in rows if level < 5]
        if 2 * sum(differs) > len(differs):
            raise BackboneError(
                f"the ImageNet weights of {table.name} are for width 1; leave --width out, or give a file"
            )


def start_normalisation(table: Table | TimmTable, source: str | Path | None) -> dict[str, Any]:
    """The mean and std, as a spec has them, of the pictures that start weights were trained on, where it is known.

    Args:
        table: of the backbone that is to be filled.
        source: as for `load_weights`, or None.

    Raises:
        FileNotFoundError: if there is no such file.
        BackboneError: if the file cannot be read.
    """
    if source is None or str(source).startswith(HUB):
        return {}
    if source != "imagenet":
        description = read_weights(Path(source))[1]
        return {key: tuple(description[key]) for key in ("mean", "std") if description}
    theirs = _timm_name(table)
    if theirs is None:
        return {}
    import timm

    config = timm.get_pretrained_cfg(theirs)
    return {"mean": tuple(config.mean), "std": tuple(config.std)} if config else {}


def _timm_name(table: Table | TimmTable) -> str | None:
    """What timm calls the network whose weights a backbone starts from, if they are timm's."""
    if isinstance(table, TimmTable):
        return table.name.removeprefix(PREFIX)
    if table.name in TIMM_MINIMALISTIC and not any(row.squeeze for row in table.rows):
        return TIMM_MINIMALISTIC[table.name]
    return TIMM.get(table.name)


def _fetch_timm(name: str, **options: Any) -> dict[str, Tensor]:
    import timm

    try:
        return timm.create_model(name, pretrained=True, **options).state_dict()
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConnectionError(
            f"could not fetch timm's {name} ({reason}); download it elsewhere and give the file as the weights"
        ) from error


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
        BackboneError: if it cannot be read or holds no tensors.
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
        raise BackboneError(f"{path}: not a readable weights file ({type(error).__name__}: {reason})") from error
    description = content.get("mobiledense", {}) if isinstance(content, dict) else {}
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    entries = content.items() if isinstance(content, dict) else ()
    tensors = {key: value for key, value in entries if isinstance(value, Tensor)}
    if not tensors:
        raise BackboneError(f"{path}: holds no state dict")
    return tensors, description
