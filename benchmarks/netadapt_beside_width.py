"""Networks that tools/netadapt.py cut beside width multipliers of equal latency, for as many images seen.

    python benchmarks/netadapt_beside_width.py --search DIR --backbone v3-large --iterations 6 12 --steps 5000

Both start from the checkpoint that the search began with: an iteration from its own weights, the width multiplier
from the most important channels of the checkpoint's (`backbones.narrow`). It is the widest of which the table's
latency is at most 5 % above the iteration's. The search's short trainings are counted: the width multiplier trains for
as many steps more. Printed are means and ranges of the test split over seeds, of last.ckpt. What was stopped goes on
with the same command.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import yaml
from rich.console import Console
from rich.table import Table

from backbones import BackboneOptions
from search.latencies import LatencyTable
from tasks.costs import build_spec
from tasks.wings import WINGS, load_task
from tools.cli import command

TOOLS = {"classification": "cls", "segmentation": "seg", "detection": "det"}


def main(
    search: Path,
    backbone: str,
    iterations: list[int],
    steps: int,
    output: Path = Path("runs"),
    seeds: int = 3,
    split: str = "test",
    batch_size: int | None = None,
    training: Path | None = None,
) -> None:
    """Run what has not run yet, and print the table.

    Args:
        search: folder of the search.
        backbone: of the network that it began with: v3-large or v3-small.
        iterations: of the search, that are compared.
        steps: of the long training of each.
        output: folder for the runs.
        seeds: runs of each.
        split: that is evaluated.
        batch_size: of the long trainings; by default that of the search. Steps of short trainings count as many images.
        training: YAML with more options of the training tool, such as lr, crop and train_split.
    """
    history = json.loads((search / "history.json").read_text())
    config, entries = yaml.safe_load(history["config"]), history["iterations"]
    task = load_task(Path(config["checkpoint"]), "cpu")
    wing, tool = WINGS[task.kind], TOOLS[task.kind]
    table = LatencyTable.read(Path(config["latency"]), config["interpolate"])
    batch_size = batch_size or config["batch_size"] or wing.batch_size
    how_else = [] if training is None else ["--config", str(training.absolute())]
    root = [] if config["data_root"] is None else ["--data-root", config["data_root"]]
    data = ["--dataset", config["dataset"], *root]
    shown = Table("latency", "network", "images seen", wing.measure, title="mean (range) over seeds")
    for number in iterations:
        entry, cut = entries[number], str(search / f"iteration_{number:02d}.ckpt")
        width, price = as_fast(task, backbone, table, entry["price"])
        more = round(entry["images_seen"] / batch_size)
        kinds = {
            f"netadapt_{number}": (["--backbone", cut, "--weights", cut], steps, entry["price"]),
            f"width_{width}_{steps + more}_steps": (
                ["--backbone", backbone, "--width", str(width), "--weights", config["checkpoint"]],
                steps + more,
                price,
            ),
        }
        for name, (network, count, costs) in kinds.items():
            found = []
            for seed in range(seeds):
                folder = output / f"{name}_{seed}"
                if not (folder / f"eval_{split}" / "scores.json").is_file():
                    how = ["--trainer.max_steps", str(count), "--epochs", "1000000", "--batch-size", str(batch_size)]
                    where = ["--seed", str(seed), "--name", folder.name, "--output", str(output), "--resume"]
                    run(f"train_{tool}", *how_else, *network, *data, *how, *where)
                    run(f"eval_{tool}", "--checkpoint", str(folder / "last.ckpt"), *data, "--split", split)
                found.append(100 * score(folder / f"eval_{split}" / "scores.json"))
            seen = batch_size * count + (entry["images_seen"] if name.startswith("netadapt") else 0)
            told = f"{sum(found) / len(found):.1f} ({min(found):.1f} to {max(found):.1f})"
            shown.add_row(f"{costs:.3g}", name, f"{seen:,}", told)
    Console().print(shown)


def as_fast(task: Any, backbone: str, table: LatencyTable, wanted: float) -> tuple[float, float]:
    """The largest width multiplier, in hundredths, whose price is at most 5 % above another, and that price.

    Latency jumps up and down from one multiplier to the next, as channels go in steps of 8; the nearest one would often
    be a narrow network that is no faster than a wider one.
    """
    spec = task.spec
    for hundredths in range(99, 9, -1):
        width = BackboneOptions(width=hundredths / 100)
        network = build_spec(backbone, spec.head, len(spec.names), spec.head_options, width, spec.input_size)
        price = table.price(network)
        if price <= 1.05 * wanted:
            return hundredths / 100, price
    sys.exit(f"no width multiplier of {backbone} is as fast as {wanted:.3g}")


def score(path: Path) -> float:
    """mIoU, AP50 or top-1 of a scores.json, 0 to 1."""
    content = json.loads(path.read_text())
    scores = content.get("coco", content)
    return float(next(scores[name] for name in ("miou", "top1", "AP50") if name in scores))


def run(name: str, *options: str) -> None:
    """Run a tool, which says itself what is wrong with its options."""
    if subprocess.run([sys.executable, f"tools/{name}.py", *options], cwd=ROOT).returncode:
        sys.exit(f"tools/{name}.py failed; the same command goes on")


if __name__ == "__main__":
    command(main)
