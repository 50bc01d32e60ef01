"""Classifiers side by side: accuracy against multiply-adds and time on a CPU, as a table and a plot.

    python benchmarks/family.py --runs runs/cifar10_v1 runs/cifar10_v2 runs/cifar10_v3-large --output family.png

Each run is a folder of tools/train_cls.py that tools/eval_cls.py --split SPLIT has evaluated. Time is the median of one
image at a time, on one thread, batch norms folded in as tools/predict.py does.
"""

import json
import statistics
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from rich.console import Console
from rich.table import Table

from backbones.counting import count_costs
from tasks import ClassificationTask
from tools.cli import command


def main(runs: list[Path], output: Path, split: str = "test", rounds: int = 60) -> None:
    """Print the table and write the plot.

    Args:
        runs: folders of training runs.
        output: the plot, a PNG or SVG file.
        split: that the runs were evaluated on.
        rounds: images that time is the median of; the networks take turns.
    """
    torch.set_num_threads(1)
    tasks = [ClassificationTask.load(folder / "best.ckpt", "cpu") for folder in runs]
    costs = [count_costs(task.network, *task.spec.input_size) for task in tasks]
    accuracy = [100 * json.loads((folder / f"eval_{split}" / "scores.json").read_text())["top1"] for folder in runs]
    milliseconds = latencies([task.fold() for task in tasks], rounds)
    table = Table("run", "params, M", f"MAdds, M at {tasks[0].spec.input_size[0]}", "ms, 1 thread", f"top-1 on {split}")
    names = [folder.name for folder in runs]
    for name, cost, spent, right in zip(names, costs, milliseconds, accuracy, strict=True):
        table.add_row(name, f"{cost.params / 1e6:.2f}", f"{cost.madds / 1e6:.1f}", f"{spent:.2f}", f"{right:.2f} %")
    Console().print(table)
    plot(names, [cost.madds / 1e6 for cost in costs], milliseconds, accuracy, f"top-1 on {split}, %", output)
    print(f"wrote {output}")


@torch.inference_mode()
def latencies(tasks: list[ClassificationTask], rounds: int) -> list[float]:
    """Median milliseconds of each network for one image, the networks in turn after ten rounds of warm-up."""
    spent: list[list[float]] = [[] for _ in tasks]
    images = [torch.randint(0, 256, (1, 3, *task.spec.input_size), dtype=torch.uint8) for task in tasks]
    for number in range(rounds + 10):
        for task, image, found in zip(tasks, images, spent, strict=True):
            started = time.perf_counter()
            task.network(task.normalise(image))
            if number >= 10:
                found.append(1000 * (time.perf_counter() - started))
    return [statistics.median(found) for found in spent]


def plot(names: list[str], madds: list[float], spent: list[float], right: list[float], label: str, path: Path) -> None:
    """Accuracy over both kinds of cost."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for axes, cost, title in zip(panels, (madds, spent), ("multiply-adds, M", "ms an image, one thread"), strict=True):
        for name, x, y in zip(names, cost, right, strict=True):
            axes.scatter(x, y, s=60, label=name)
        axes.set_xlabel(title)
        axes.set_xlim(0, 1.08 * max(cost))
        axes.margins(y=0.1)
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    panels[0].set_ylabel(label)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    command(main)
