"""The page of a search over V3's tables: the Pareto front, the best rewards, and the chosen network beside V3's."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from backbones import Table
from search.rank_correlation import RankCorrelation
from search.report_page import figure_png, page, rows_beside, section
from tasks.data_check.html import Html, img, table, tag

SHOWN = 12  # networks that are listed


def pareto(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that no other one beats in accuracy at the same price or less, the cheapest first."""
    front: list[Mapping[str, Any]] = []
    for trial in sorted(trials, key=lambda trial: (trial["price"], -trial["accuracy"])):
        if not front or trial["accuracy"] > front[-1]["accuracy"]:
            front.append(trial)
    return front


def search_page(
    title: str,
    trials: Sequence[Mapping[str, Any]],
    target: float,
    measure: str,
    paper: tuple[Table, Mapping[str, Any]],
    chosen: tuple[Table, Mapping[str, Any]],
    settings: Mapping[str, Any],
    correlation: RankCorrelation | None,
) -> str:
    """The page as HTML, with all its plots in it.

    Args:
        title: of the page.
        trials: finished ones, see `search.trials.history`.
        target: of the price, in ms.
        measure: what the accuracy is called.
        paper: V3's own table, and its trial.
        chosen: the table of highest reward, and its trial.
        settings: what the search was begun with.
        correlation: of short and longer trainings, if there were any.
    """
    table_of, best = chosen
    found = f"Trial {best['number']}: {tell(best, measure)}. V3's own network: {tell(paper[1], measure)}."
    parts = [
        section("Chosen", tag("p", found), tag("p", str(table_of)), rows_beside(paper[0], table_of)),
        section(
            "Accuracy over latency",
            img(_plot_front(trials, target, measure, paper[1], best)),
            tag("p", "The front, the cheapest first:"),
            _listing(pareto(trials), measure),
        ),
        section("Reward", img(_plot_rewards(trials)), _listing(_best(trials), measure)),
    ]
    if correlation is not None:
        parts.append(_correlation(correlation, measure))
    parts.append(section("Settings", table(("option", "value"), settings.items())))
    return page(title, parts)


def tell(trial: Mapping[str, Any], measure: str) -> str:
    """What a network reached, in words."""
    return f"{measure} {100 * trial['accuracy']:.2f} %, {trial['price']:.4g} ms, reward {trial['reward']:.4f}"


def _best(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(trials, key=lambda trial: -trial["reward"])[:SHOWN]


def _listing(trials: Sequence[Mapping[str, Any]], measure: str) -> Html:
    rows = [
        (trial["number"], f"{100 * trial['accuracy']:.2f}", f"{trial['price']:.4g}", f"{trial['reward']:.4f}")
        for trial in trials
    ]
    return table(("trial", f"{measure} %", "ms", "reward"), rows)


def _plot_front(
    trials: Sequence[Mapping[str, Any]],
    target: float,
    measure: str,
    paper: Mapping[str, Any],
    best: Mapping[str, Any],
) -> bytes:
    """All trials, coloured by age, and the front."""
    drawing = Figure(figsize=(8, 4.6), layout="constrained")
    axes = drawing.subplots()

    def points(some: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
        return [trial["price"] for trial in some], [100 * trial["accuracy"] for trial in some]

    front = points(pareto(trials))
    axes.step(*front, where="post", color="#2a6fbb", label="Pareto front")
    ages = axes.scatter(*points(trials), c=[trial["number"] for trial in trials], cmap="viridis", s=18, label="trials")
    axes.plot(*points([paper]), "s", color="#d62728", markersize=9, label="MobileNetV3's own")
    axes.plot(*points([best]), "*", color="black", markersize=14, label="chosen")
    axes.axvline(target, color="#888", linestyle="--", label="target")
    drawing.colorbar(ages, label="trial")
    axes.set(xlabel="latency by the table, ms", ylabel=f"{measure} on held-out images, %")
    axes.legend(fontsize=8)
    return figure_png(drawing)


def _plot_rewards(trials: Sequence[Mapping[str, Any]]) -> bytes:
    """The reward of each trial, and the best so far."""
    drawing = Figure(figsize=(8, 3.2), layout="constrained")
    axes = drawing.subplots()
    numbers, rewards = [trial["number"] for trial in trials], [trial["reward"] for trial in trials]
    best = [max(rewards[: at + 1]) for at in range(len(rewards))]
    axes.plot(numbers, rewards, ".", color="#888", label="of a trial")
    axes.step(numbers, best, where="post", color="#2a6fbb", label="best so far")
    axes.set(xlabel="trial", ylabel="reward")
    axes.legend(fontsize=8)
    return figure_png(drawing)


def _correlation(correlation: RankCorrelation, measure: str) -> Html:
    drawing = Figure(figsize=(5, 3.6), layout="constrained")
    axes = drawing.subplots()
    axes.plot([100 * one for one in correlation.short], [100 * one for one in correlation.long], "o", color="#2a6fbb")
    axes.set(xlabel=f"{measure} of the trial, %", ylabel=f"after {correlation.steps} steps, %")
    rows = [
        (number, f"{100 * short:.2f}", f"{100 * long:.2f}")
        for number, short, long in zip(correlation.numbers, correlation.short, correlation.long, strict=True)
    ]
    listing = table(("trial", f"{measure} %", f"after {correlation.steps} steps"), rows)
    both = tag("div", img(figure_png(drawing)), listing, class_="drawn")
    return section("Short and longer trainings", tag("p", str(correlation)), both)
