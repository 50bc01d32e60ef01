"""Curves of a run out of its metrics.csv."""

import cv2
import numpy as np
import pytest
from matplotlib import pyplot as plt

from tasks.curves import plot_curves, read_curves

TABLE = """step,epoch,lr/pg1,train/loss,train/miou,val/miou,val/loss
9,0,0.1,2.5,0.1,,
19,0,0.2,nan,0.2,,
19,0,,,,0.3,inf
29,1,0.1,1.5,0.3,0.25,0.9
"""


@pytest.fixture
def figures(monkeypatch):
    """What is drawn, in place of a file."""
    drawn = []
    monkeypatch.setattr("tasks.curves.write_plot", lambda path, figure: drawn.append(figure))
    yield drawn
    plt.close("all")


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_gaps_and_what_is_not_finite_are_left_out(tmp_path):
    curves = read_curves(write(tmp_path / "metrics.csv", TABLE))
    assert {name: [*zip(*curve, strict=True)] for name, curve in curves.items()} == {
        "lr/pg1": [(9, 0.1), (19, 0.2), (29, 0.1)],
        "train/loss": [(9, 2.5), (29, 1.5)],
        "train/miou": [(9, 0.1), (19, 0.2), (29, 0.3)],
        "val/miou": [(19, 0.3), (29, 0.25)],
        "val/loss": [(29, 0.9)],
    }


def test_losses_validation_and_rate_have_a_panel_each_and_the_best_is_named(tmp_path, figures):
    plot_curves(write(tmp_path / "metrics.csv", TABLE), "val/miou", tmp_path / "curves.png")
    panels = {axes.get_title(): [line.get_label() for line in axes.get_lines()] for axes in figures[0].axes}
    assert panels == {
        "losses": ["train/loss", "val/loss"],
        "validation": ["val/miou", "best 0.3000"],
        "learning rate": ["lr/pg1"],
    }
    assert figures[0].axes[1].get_lines()[1].get_xydata().tolist() == [[19, 0.3]]


def test_long_losses_are_averaged_over_what_they_were(tmp_path, figures):
    losses = np.random.default_rng(0).uniform(size=5000)
    rows = "".join(f"{step},0,{loss}\n" for step, loss in enumerate(losses))
    plot_curves(write(tmp_path / "metrics.csv", f"step,epoch,train/loss\n{rows}"), "val/ap", tmp_path / "curves.png")
    (axes,) = figures[0].axes
    each, mean = axes.get_lines()
    assert len(each.get_xdata()) == 5000
    assert mean.get_ydata() == pytest.approx(losses.reshape(100, 50).mean(1))


@pytest.mark.parametrize(
    "text", ["", "step,epoch\n", "step,epoch,train/loss\n9,0,nan\n", "step,epoch,train/top1\n9,0,1\n"]
)
def test_a_run_without_curves_has_no_image(text, tmp_path):
    plot_curves(write(tmp_path / "metrics.csv", text), "val/ap", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_it_is_a_png(tmp_path):
    plot_curves(write(tmp_path / "metrics.csv", TABLE), "val/ap", tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")).shape[1] > 1000
