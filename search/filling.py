"""Filling a latency table on this machine, and holding it to whole networks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.stats import spearmanr

from search.latencies import LatencyTable
from search.layer_runtimes import Runtime
from search.layers import Layer, network_layers
from search.timing import time_in_turn
from tasks.base import Spec
from tasks.drawing import write_plot
from tasks.writing import write_json

TOGETHER = 200  # layers that are in memory at once


def fill(table: LatencyTable, layers: Sequence[Layer], runtime: Runtime, rounds: int, path: Path) -> None:
    """Measure the layers that a table lacks, and write it again and again, so that nothing is lost if this is stopped.

    Layers are taken in a random order, some at a time and these in turn, so that a slow minute of the machine does not
    fall on one kind of them.

    Args:
        table: filled in place.
        layers: that it is to have.
        runtime: what runs them.
        rounds: see `time_in_turn`.
        path: of the table's file.

    Raises:
        DeployError, TaskError: if a package is missing, or the file cannot be written.
    """
    missing = [layer for layer in dict.fromkeys(layers) if layer not in table.milliseconds]
    order = np.random.default_rng(0).permutation(len(missing))
    parts = [[missing[index] for index in order[start : start + TOGETHER]] for start in range(0, len(order), TOGETHER)]
    for part in track(parts, f"Measuring {len(missing)} layers", transient=True):
        times = time_in_turn([runtime.layer(layer) for layer in part], rounds)
        table.milliseconds |= dict(zip(part, times, strict=True))
        table.write(path)


def measure_networks(specs: Sequence[Spec], runtime: Runtime, rounds: int) -> NDArray[np.float64]:
    """Milliseconds of whole networks, float64 [2, N]: measured twice, one time after the other."""
    calls = [runtime.network(spec) for spec in specs]
    return np.array([time_in_turn(calls, rounds, seed) for seed in (1, 2)])


def calibrate(table: LatencyTable, specs: Sequence[Spec], measured: NDArray[np.float64]) -> None:
    """Find a table's factor and what it takes per layer: the least squares of some networks' relative errors.

    Args:
        table: filled; changed in place.
        specs: of at least two networks.
        measured: milliseconds, float64 [N].
    """
    table.factor, table.per_layer, table.overhead = 1.0, 0.0, 0.0
    layers = [network_layers(spec, table.size) for spec in specs]
    sums = np.array([sum(map(table.latency, one)) for one in layers])
    sides = np.stack([sums, np.array([len(one) for one in layers])], axis=1) / measured[:, None]
    (factor, per_layer), *_ = np.linalg.lstsq(sides, np.ones_like(sums), rcond=None)
    if factor <= 0:  # of networks that hardly differ, or a machine that was busy
        factor, per_layer = float(np.median(measured / sums)), 0.0
    table.factor, table.per_layer = float(factor), float(per_layer)


@dataclass(frozen=True)
class Check:
    """How near a table's prices are to what whole networks take that were not used to fill it.

    Attributes:
        predicted: milliseconds of each network by the table.
        measured: likewise, measured.
        again: likewise, measured once more.
        error: median of the relative errors of the predictions.
        repeated: the same of measuring again in place of predicting.
        spearman: rank correlation of predicted and measured.
    """

    predicted: list[float]
    measured: list[float]
    again: list[float]
    error: float
    repeated: float
    spearman: float

    def __str__(self) -> str:
        return (
            f"{len(self.predicted)} networks: median error {self.error:.1%} (measuring again: {self.repeated:.1%}), "
            f"Spearman {self.spearman:.3f}"
        )


def check(table: LatencyTable, specs: Sequence[Spec], measured: NDArray[np.float64], path: Path) -> Check:
    """Hold a table to networks, and write what came of it as JSON and as a plot.

    Args:
        table: filled and calibrated.
        specs: of networks that did neither.
        measured: see `measure_networks`.
        path: of the table's file, beside which .check.json and .png are written.
    """
    predicted = np.array([table.price(spec) for spec in specs])
    one, again = measured
    errors, repeated = (float(np.median(abs(other / one - 1))) for other in (predicted, again))
    rank = float(spearmanr(predicted, one).statistic)
    found = Check(predicted.tolist(), one.tolist(), again.tolist(), errors, repeated, rank)
    write_json(path.with_suffix(".check.json"), asdict(found))
    _plot(found, table, path.with_suffix(".png"))
    return found


def _plot(found: Check, table: LatencyTable, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 6))
    most = 1.05 * max(*found.predicted, *found.measured, *found.again)
    axes.plot([0, most], [0, most], color="0.8")
    axes.scatter(found.again, found.measured, marker="x", color="0.6", label="measured again")
    axes.scatter(found.predicted, found.measured, label="predicted")
    size = "x".join(map(str, table.size))
    axes.set(xlabel="milliseconds", ylabel="milliseconds, measured", title=f"{table.runtime}, {table.head}, {size}")
    axes.set(xlim=(0, most), ylim=(0, most), aspect="equal")
    axes.legend()
    write_plot(path, figure)
