"""Where weights come from: torchvision's and timm's published ones, and the normalisation that goes with them."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torchvision
from torch import Tensor

from backbones.hub import CONFIG_FILE, HUB, WEIGHTS_FILE, fetch, split_address
from backbones.papers import plain_table
from backbones.tables import BackboneError, Table
from backbones.taps import Tapped
from backbones.timm_backbone import PREFIX, TimmTable
from backbones.weights_download import fetch_url
from backbones.weights_files import is_normalisation, read_weights

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
    _refuse_wider(backbone.table)
    if theirs is not None:
        return timm_pretrained(theirs, **({"features_only": True} if name.startswith(PREFIX) else {})).state_dict()
    if name in TORCHVISION:
        return fetch_weights(getattr(torchvision.models, TORCHVISION[name]).DEFAULT)
    raise BackboneError(f"neither torchvision nor timm publishes ImageNet weights for {backbone.table}")


def _refuse_wider(table: Table | TimmTable) -> None:
    """Refuse a table of which most rows are wider than those that were published; narrower ones can be filled."""
    plain = plain_table(table.name)
    if isinstance(table, Table) and plain is not None:
        wider = [ours.out > theirs.out for ours, theirs in zip(table.rows, plain.rows, strict=False)]
        if 2 * sum(wider) > len(wider):
            raise BackboneError(f"the ImageNet weights of {plain} are for width 1 and less, not for {table}")


def start_normalisation(table: Table | TimmTable, source: str | Path | None) -> dict[str, Any]:
    """The mean and std, as a spec has them, of the images that start weights were trained on, where it is known.

    Args:
        table: of the backbone that is to be filled.
        source: as for `load_weights`, or None.

    Raises:
        FileNotFoundError: if there is no such file.
        BackboneError: if the file cannot be read.
        ConnectionError: if the download fails.
    """
    if source is None:
        return {}
    description = {} if source == "imagenet" else read_weights(local_file(source))[1]
    return known_normalisation(table, str(source), description)


def known_normalisation(table: Table | TimmTable, source: str, description: dict[str, Any]) -> dict[str, Any]:
    """What `start_normalisation` returns, where the source has been read.

    Args:
        table: likewise.
        source: likewise.
        description: what the source's file says of its network.
    """
    if source == "imagenet":
        theirs = _timm_name(table)
        if theirs is None:
            return {}
        import timm

        config = timm.get_pretrained_cfg(theirs)
        description = config.to_dict() if config else {}
    elif not description and source.startswith(HUB):
        description = _timm_config(source)
    found: dict[str, Any] = {key: description.get(key) for key in ("mean", "std")}
    return {key: tuple(value) for key, value in found.items()} if all(map(is_normalisation, found.values())) else {}


def local_file(source: str | Path) -> Path:
    """The file that a source of weights names, fetched if it is on the hub."""
    return fetch(str(source)) if str(source).startswith(HUB) else Path(source)


def _timm_config(address: str) -> dict[str, Any]:
    """What timm's own repositories on the hub say of how their weights were trained; nothing for others."""
    try:
        path = fetch(split_address(address).of(CONFIG_FILE))
        return dict(json.loads(path.read_text(encoding="utf-8"))["pretrained_cfg"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _timm_name(table: Table | TimmTable) -> str | None:
    """What timm calls the network whose weights a backbone starts from, if they are timm's."""
    if isinstance(table, TimmTable):
        return table.name.removeprefix(PREFIX)
    if table.name in TIMM_MINIMALISTIC and not any(row.squeeze for row in table.rows):
        return TIMM_MINIMALISTIC[table.name]
    return TIMM.get(table.name)


def timm_pretrained(name: str, **options: Any) -> Any:
    """A network of timm's with the weights that timm publishes for it.

    timm would fetch them too, and without a network try for a minute; here it is given the file.

    Args:
        name: timm's.
        **options: of `timm.create_model`.

    Raises:
        BackboneError: if timm publishes none.
        ConnectionError: if the download fails.
    """
    import timm

    config: Any = None
    with suppress(RuntimeError):  # an architecture without the weights that are named behind its dot
        config = timm.get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        raise BackboneError(f"timm publishes no weights for {name}")
    if config.hf_hub_id:
        home = f"{HUB}{config.hf_hub_id}/"
        try:
            path = fetch(home + (config.hf_hub_filename or WEIGHTS_FILE))
        except FileNotFoundError:  # old ones are pickles alone
            path = fetch(home + "pytorch_model.bin")
    else:
        path = fetch_url(config.url)
    given = {"file": str(path), "custom_load": False}
    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=given, **options)


def fetch_weights(weights: torchvision.models.WeightsEnum) -> dict[str, Tensor]:
    """A state dict that torchvision publishes, through torch's cache, hash checked.

    Raises:
        ConnectionError: if the download fails.
    """
    return read_weights(fetch_url(weights.url))[0]
