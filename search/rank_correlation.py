"""How far short trainings put networks in the order of longer ones, which is what makes them worth something."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from scipy.stats import ConstantInputWarning, kendalltau, spearmanr

from search.proxy import Judge


@dataclass(frozen=True)
class RankCorrelation:
    """Accuracies of the same networks after short and longer trainings.

    Attributes:
        numbers: of their trials.
        short: accuracies after the short ones.
        long: after the longer ones.
        steps: of the longer ones.
    """

    numbers: Sequence[int]
    short: Sequence[float]
    long: Sequence[float]
    steps: int

    @property
    def spearman(self) -> float:
        """Spearman's rho, -1 to 1; nan where all networks of one side are alike."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)
            return float(spearmanr(self.short, self.long).statistic)

    @property
    def kendall(self) -> float:
        """Kendall's tau-b, likewise."""
        return float(kendalltau(self.short, self.long).statistic)

    def __str__(self) -> str:
        return (
            f"{len(self.numbers)} networks after {self.steps} steps: Spearman's rho {self.spearman:.3f}, "
            f"Kendall's tau {self.kendall:.3f} with their trials"
        )


def correlate(
    study: optuna.Study, history: Sequence[dict[str, Any]], judge: Judge, count: int, steps: int
) -> RankCorrelation:
    """Train networks from all over a history longer; each one that is done is stored, and not done again.

    Args:
        study: of the search, where results are stored.
        history: of finished trials.
        judge: trains them, and judges by the same images.
        count: of networks; all for a shorter history.
        steps: of the longer trainings.
    """
    places = np.unique(np.linspace(0, len(history) - 1, count).round().astype(int))
    chosen, long = [history[at] for at in places], []
    for trial in chosen:
        key = f"accuracy of {trial['number']} after {steps} steps"
        if key not in study.user_attrs:
            study.set_user_attr(key, judge.score(judge.train(trial["choices"], steps)))
            print(f"trial {trial['number']}: accuracy {study.user_attrs[key]:.4f} after {steps} steps", flush=True)
        long.append(study.user_attrs[key])
    numbers = [trial["number"] for trial in chosen]
    return RankCorrelation(numbers, [trial["accuracy"] for trial in chosen], long, steps)
