"""The card of a task on the Hugging Face hub: what it is, how good, under which terms, and how to load it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCardData

from backbones.counting import count_costs
from backbones.hub import HUB
from tasks.licenses import License

# what the hub calls a metric of ours
HUB_METRICS = {"miou": "mean_iou", "pixel_accuracy": "accuracy", "top1": "accuracy"}
NO_METRIC = ("images", "loss")
LIBRARY = "mobiledense"

CARD = """---
{header}
---
# {name}

{backbone} with {head} for {kind} of {count} classes: {params:,} parameters, {madds:,.1f} M multiply-adds at \
{height}x{width}. Made with MobileDense.

```python
from tasks import {task}

task = {task}.from_pretrained("{repository}")
{predicts} = task.predict([image])  # image: uint8 [H, W, 3] RGB of any size
```

Every tool takes it as a checkpoint: `python tools/predict.py --checkpoint {address} --source DIR`.

## Images

Trained at {height}x{width}. With values in 0 to 1, the network expects mean {mean} taken off and a division by {std};
`predict` does that itself.
{license}{scores}
## Classes

{classes}
{files}"""


def write_card(
    task: Any, repository: str, license: License | None, scores: Mapping[str, float], files: Sequence[Path]
) -> str:
    """A README.md with the header that the hub reads.

    Args:
        task: a `Task`.
        repository: "OWNER/NAME".
        license: of the weights, if it was told.
        scores: as `read_scores` has them.
        files: exported from the task.
    """
    spec, name = task.spec, repository.rpartition("/")[2]
    height, width = spec.input_size
    with torch.device("meta"):
        costs = count_costs(type(task.network)(spec), height, width)
    boxes = ""
    if task.kind == "joint":
        boxes = f"\n\nOf boxes:\n\n{_classes(spec.box_names, spec.box_colours)}"
    return CARD.format(
        header=_header(task, name, license, scores),
        name=name,
        repository=repository,
        address=HUB + repository,
        backbone=spec.table,
        head=spec.head,
        kind=task.kind,
        count=len(spec.names),
        params=costs.params,
        madds=costs.madds / 1e6,
        height=height,
        width=width,
        task=type(task).__name__,
        predicts=task.predicts,
        mean=_numbers(spec.mean),
        std=_numbers(spec.std),
        license=_license(license),
        scores=_scores(scores),
        classes=_classes(spec.names, spec.colours) + boxes,
        files=_files(files),
    )


def _classes(names: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> str:
    rows = (
        f"| {index} | {_cell(name)} | #{bytes(colour).hex()} |"
        for index, (name, colour) in enumerate(zip(names, colours, strict=True))
    )
    return "\n".join(["| index | name | colour |", "|---|---|---|", *rows])


def _header(task: Any, name: str, license: License | None, scores: Mapping[str, float]) -> str:
    results = [
        EvalResult(
            task_type=task.pipeline_tag,
            dataset_type=data,
            dataset_name=data,
            dataset_split=split,
            metric_type=HUB_METRICS.get(metric, metric),
            metric_name=metric,
            metric_value=round(value, 6),
        )
        for data, split, metric, value in _rows(scores)
        if metric.partition(" (")[0] not in NO_METRIC
    ]
    terms: dict[str, Any] = {}
    if license is not None:
        terms = {"license": license.id, "license_name": license.name, "license_link": license.link}
    data = ModelCardData(
        **terms,
        library_name=LIBRARY,
        pipeline_tag=task.pipeline_tag,
        tags=[LIBRARY, task.kind, task.spec.table.name, task.spec.head],
        datasets=sorted({result.dataset_name for result in results}) or None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=name,
        eval_results=results or None,
    )
    return str(data.to_yaml())


def _license(license: License | None) -> str:
    if license is None:
        return ""
    return f"\n## License\n\n{license}: the terms of the data that it was trained on hold for the weights too.\n"


def _scores(scores: Mapping[str, float]) -> str:
    if not scores:
        return ""
    rows = [
        f"| {_cell(data)} | {_cell(split)} | {_cell(metric)} | {value:.{0 if metric == 'images' else 4}f} |"
        for data, split, metric, value in _rows(scores)
    ]
    return "\n## Scores\n\n| data | split | metric | value |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _rows(scores: Mapping[str, float]) -> list[tuple[str, str, str, float]]:
    """Data, split, metric and value of each score."""
    found = []
    for key, value in scores.items():
        data, split, metric = key.split("/")
        found.append((data, split, metric, value))
    return found


def _files(files: Sequence[Path]) -> str:
    if not files:
        return ""
    rows = [f"| {_cell(path.name)} | {path.stat().st_size / 1e6:.2f} |" for path in files]
    return "\n## Exported files\n\n| file | MB |\n|---|---|\n" + "\n".join(rows) + "\n"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _cell(text: str) -> str:
    """A text that stays within its cell of a table."""
    return " ".join(text.replace("|", "\\|").split())
