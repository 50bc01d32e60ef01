"""What it is worth to fill halved layers from full ones: CamVid and BCCD from CIFAR-10 weights, with and without.

    python benchmarks/narrowed_weights.py --cifar10 DIR --camvid DIR --bccd DIR --output runs/narrowed

Both heads halve the last stage of MobileNetV3-Small. "narrowed" fills it with the most important channels of the
classifier, see `backbones.narrow`; "random" leaves it at random, as before there was that: its start weights are a copy
without the layers that would be narrowed. Commands are those of configs/, each with as many seeds as asked; what is
printed is the mean and the range of the test split's scores.

The pretraining takes half an hour on 2 cores, CamVid 15 and BCCD 12 minutes a run, so that three seeds take 3 hours. It
can be stopped at any time: the same command goes on where it was.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import torch
from rich.console import Console
from rich.table import Table

from backbones import build_backbone, create_table, load_weights
from backbones.weights_files import read_torch
from tools.cli import command

SCORES = {"camvid": ("miou",), "bccd": ("AP50", "AP")}
HALVED = {"camvid": "rf2", "bccd": "reduced_tail"}  # by LR-ASPP and SSDLite


def main(
    output: Path,
    cifar10: Path | None = None,
    weights: Path | None = None,
    camvid: Path | None = None,
    bccd: Path | None = None,
    seeds: int = 3,
) -> None:
    """Run what has not run yet, and print the table.

    Args:
        output: folder for the runs.
        cifar10: its folder, for the pretraining.
        weights: a checkpoint of tools/train_cls.py on v3-small, in place of a pretraining.
        camvid: its folder; left out if there is none.
        bccd: likewise.
        seeds: runs of each kind.
    """
    full = weights or pretrain(cifar10, output)
    table = Table("data", "score", "random", "narrowed", title="mean (range) over seeds")
    for data, root in (("camvid", camvid), ("bccd", bccd)):
        if root is None:
            continue
        starts = {"random": without_narrowed(full, output / f"{data}.ckpt", HALVED[data]), "narrowed": full}
        # seed by seed, so that what is there of a measurement that was stopped can be compared
        found = [
            {kind: run(data, root, file, output, kind, seed) for kind, file in starts.items()} for seed in range(seeds)
        ]
        for score in SCORES[data]:
            cells = ([100 * scores[kind][score] for scores in found] for kind in starts)
            table.add_row(data, score, *(f"{sum(x) / len(x):.1f} ({min(x):.1f} to {max(x):.1f})" for x in cells))
    Console().print(table)


def pretrain(cifar10: Path | None, output: Path) -> Path:
    """The checkpoint of README's CIFAR-10 run."""
    options = ["--config", "configs/cls/cifar10_v3-small.yaml", "--data-root", str(cifar10), "--output", str(output)]
    tool("train_cls", *options, "--resume")
    return output / "cifar10_v3-small" / "last.ckpt"


def without_narrowed(full: Path, path: Path, option: str) -> Path:
    """A copy of a checkpoint that lacks the layers which a halved last stage narrows."""
    content = read_torch(full)
    report = load_weights(build_backbone(create_table("v3-small", **{option: True})), full)
    gone = {f"network.backbone.{key}" for key in report.narrowed}
    kept = {key: tensor for key, tensor in content["state_dict"].items() if key not in gone}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"mobiledense": content["mobiledense"], "state_dict": kept}, path)
    return path


def run(data: str, root: Path, weights: Path, output: Path, kind: str, seed: int) -> dict[str, float]:
    """Train and evaluate once, unless it is done: the scores of the test split."""
    name = f"{data}_{kind}_{seed}"
    scores = output / name / "eval_test" / "scores.json"
    if not scores.is_file():
        task, kept = ("seg", "best") if data == "camvid" else ("det", "last")
        config = ["--config", f"configs/{task}/{data}_v3-small.yaml", "--data-root", str(root), "--name", name]
        how = ["--weights", str(weights), "--seed", str(seed), "--output", str(output), "--resume"]
        tool(f"train_{task}", *config, *how)
        checkpoint = ["--checkpoint", str(output / name / f"{kept}.ckpt"), "--dataset", "voc", "--data-root", str(root)]
        tool(f"eval_{task}", *checkpoint, "--split", "test")
    content = json.loads(scores.read_text())
    return content if data == "camvid" else content["coco"]


def tool(name: str, *options: str) -> None:
    """Run a tool."""
    subprocess.run([sys.executable, f"tools/{name}.py", *options], cwd=ROOT, check=True)


if __name__ == "__main__":
    command(main)
