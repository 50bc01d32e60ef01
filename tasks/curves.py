"""The curves of a run as an image: what training and validation logged over its steps."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.drawing import write_plot

PANELS = {"loss": "losses", "val": "validation", "lr": "learning rate"}
SMOOTHED = 100  # parts of a run that a loss is averaged over, as that of a single batch says little
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_curves(table: Path) -> dict[str, Curve]:
    """Steps and values of each column of a metrics.csv, float64 [n] both; without those that are not finite."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    curves = {}
    for name in (name for name in (rows[0] if rows else ()) if name not in ("step", "epoch")):
        points = np.array([(float(row["step"]), float(row[name])) for row in rows if row[name]]).reshape(-1, 2)
        curves[name] = (*points[np.isfinite(points).all(1)].T,)
    return curves


def plot_curves(table: Path, monitor: str, path: Path) -> None:
    """Write losses, the metrics of validation and the learning rate over the steps of a run; nothing if there are none.

    Args:
        table: a metrics.csv.
        monitor: the metric that chooses the best checkpoint, whose highest value is named.
        path: the file.

    Raises:
        TaskError: if the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    curves = {name: curve for name, curve in read_curves(table).items() if len(curve[0])}
    panels = {panel: [name for name in curves if _panel(name) == panel] for panel in PANELS}
    panels = {panel: names for panel, names in panels.items() if names}
    if not panels:
        return
    figure, every = plt.subplots(
        1, len(panels), figsize=(5 * len(panels), 4.5), sharex=True, squeeze=False, layout="constrained"
    )
    for axes, (panel, names) in zip(every[0], panels.items(), strict=True):
        for number, name in enumerate(names):
            steps, values = curves[name]
            if panel == "loss" and len(steps) > 2 * SMOOTHED:
                axes.plot(steps, values, color=f"C{number}", alpha=0.2, linewidth=0.8)
                steps, values = _smooth(steps), _smooth(values)
            axes.plot(steps, values, marker="." if len(steps) < 30 else "", color=f"C{number}", label=name)
        if monitor in names:
            steps, values = curves[monitor]
            best = values.argmax()
            axes.plot(steps[best], values[best], "*", color="black", markersize=10, label=f"best {values[best]:.4f}")
        axes.set(title=PANELS[panel], xlabel="step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    write_plot(path, figure)


def _panel(name: str) -> str | None:
    """Which of `PANELS` a column belongs to, if any."""
    if name.startswith("lr/"):
        return "lr"
    if "loss" in name:
        return "loss"
    return "val" if name.startswith("val/") else None


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of `SMOOTHED` parts of about the same length."""
    return np.array([part.mean() for part in np.array_split(values, SMOOTHED)])
