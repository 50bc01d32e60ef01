"""Put a backbone on the Hugging Face hub: weights, table, and a card that says what it is and how to load it."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file

from backbones.counting import count_costs
from backbones.factory import build_backbone
from backbones.given_tables import table_from_dict
from backbones.hub import HUB, TABLE_FILE, WEIGHTS_FILE
from backbones.load import load_weights
from backbones.tables import BackboneError, Table
from backbones.taps import Tapped
from backbones.timm_backbone import TimmTable
from backbones.uploading import upload
from backbones.weights_files import CHECKSUM, DESCRIPTION, checksum, read_torch, read_weights

CARD = """---
library_name: mobiledense
tags:
- backbone
---
# {name}

A backbone of MobileDense: {params:,} parameters, {madds:.1f} M multiply-adds at {height}x{width}.

```python
from backbones import create_backbone

backbone = create_backbone("{address}", weights="{address}")
features = backbone(images)  # {{"c1": ..., ..., "c5": ...}}
```

`python tools/train_seg.py --backbone {address} --weights {address}` trains a segmentation network on it, train_det a
detection network.
{images}{training}
## Table

{table}
"""


def push_to_hub(source: Tapped | str | Path, repository: str, private: bool = False) -> str:
    """Put a backbone with its card on the Hugging Face hub, under the token that `hf auth login` stored.

    Args:
        source: a backbone, or a checkpoint of any task, of which the backbone is taken and the score is told.
        repository: "OWNER/NAME"; it is made if it is not there.
        private: whether it is to be private, which one that is there must be already.

    Returns:
        The address that `create_backbone` takes as a name and `load_weights` as a source.

    Raises:
        BackboneError: if the file was not written by this package.
        FileNotFoundError: if there is no such file.
        ConnectionError: if the hub refuses or cannot be reached.
    """
    with TemporaryDirectory() as folder:
        write_model(source, repository, Path(folder))
        return upload(Path(folder), repository, private, "Backbone, table and card")


def write_model(source: Tapped | str | Path, repository: str, folder: Path) -> None:
    """Write the files that `push_to_hub` puts on the hub: model.safetensors, table.json and README.md.

    Args:
        source: as for `push_to_hub`.
        repository: "OWNER/NAME", for the card.
        folder: to write into.

    Raises:
        BackboneError: if the file was not written by this package.
        FileNotFoundError: if there is no such file.
    """
    size, training = (224, 224), ""
    if isinstance(source, Tapped):
        backbone = source
    else:
        description = read_weights(Path(source))[1]
        if not description:
            raise BackboneError(f"{source}: not a checkpoint of this package, so that the network is not known")
        try:
            backbone = build_backbone(table_from_dict(description["table"]))
            size, training = tuple(description["input_size"]), _training(Path(source), description)
        except KeyError as error:
            raise BackboneError(f"{source}: it does not say of its network what its {error} is") from None
        load_weights(backbone, source)
    state = {key: tensor.contiguous() for key, tensor in backbone.state_dict().items()}
    table, normalisation = backbone.table, backbone.normalisation
    described = json.dumps({"table": table.to_dict(), **normalisation})
    metadata = {"format": "pt", DESCRIPTION: described, CHECKSUM: checksum(state, described)}
    save_file(state, folder / WEIGHTS_FILE, metadata)
    (folder / TABLE_FILE).write_text(json.dumps(table.to_dict(), indent=1), encoding="utf-8")
    with torch.device("meta"):
        costs = count_costs(build_backbone(table), *size)
    card = CARD.format(
        name=repository.rpartition("/")[2],
        address=HUB + repository,
        params=costs.params,
        madds=costs.madds / 1e6,
        height=size[0],
        width=size[1],
        images=_images(normalisation),
        training=training,
        table=_rows(table),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def _images(normalisation: dict[str, Any]) -> str:
    if not normalisation:
        return ""
    mean, std = normalisation["mean"], normalisation["std"]
    return f"\nImages had mean {mean} taken off and were divided by {std}, with values in 0 to 1.\n"


def _training(checkpoint: Path, description: dict[str, Any]) -> str:
    content = read_torch(checkpoint)
    scores = [
        f"{state['monitor']} {float(state['best_model_score']):.4f}"
        for state in content.get("callbacks", {}).values()
        if isinstance(state, dict) and state.get("monitor") and state.get("best_model_score") is not None
    ]
    names, (height, width) = description["names"], description["input_size"]
    sentences = [
        f"Trained for {description['task']} of {len(names)} classes ({', '.join(names)}) at {height}x{width}.",
        f"{content.get('global_step', 0)} steps; best {', '.join(scores) or 'score not recorded'}.",
    ]
    return "\n## Training\n\n" + "\n".join(sentences) + "\n"


def _rows(table: Table | TimmTable) -> str:
    if isinstance(table, TimmTable):
        return f"{table}, output stride {table.output_stride}"
    lines = ["| block | kernel | expanded | out | squeeze | activation | stride |", "|---|---|---|---|---|---|---|"]
    lines.append(f"| stem | 3 | | {table.stem} | | {table.activation} | {table.stem_stride} |")
    for number, (row, (stride, _)) in enumerate(zip(table.rows, table.geometry(), strict=True), start=1):
        cells = (number, row.kernel, row.expanded, row.out, row.squeeze or "", row.activation, stride)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    if table.last:
        lines.append(f"| last | 1 | | {table.last} | | {table.activation} | 1 |")
    return "\n".join(lines)
