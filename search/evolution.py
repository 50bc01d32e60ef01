"""Regularised evolution (arXiv 1802.01548, Algorithm 1) as a sampler of Optuna's.

The population is the last networks that were judged: who is old leaves it, however good it was, so that a network that
owes its place to a lucky training does not stay. A child is the best of a few that are drawn from it, with a choice
changed. MnasNet's own controller is a recurrent network, trained by PPO. Evolution has found as good networks at an
equal budget, has nothing to train beside them, and is a function of the history alone: a search that was stopped goes
on from what is stored, and not from weights of a controller that would have to be stored too.

Random numbers depend on the seed and on how many trials there were, so that a trial that is begun again is the same.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


@dataclass(frozen=True)
class AgeingEvolution(BaseSampler):
    """What is tried next.

    No choices come twice. The first trial is `first`, the next ones are random until the population is full.

    Attributes:
        options: what can be chosen, by name.
        first: choices of the first trial.
        seed: of all random numbers.
        population: how many of the last finished trials may have children.
        tournament: how many of these are drawn, of which the best has one.
    """

    options: Mapping[str, Sequence[Any]]
    first: Mapping[str, Any]
    seed: int = 0
    population: int = 20
    tournament: int = 5

    @property
    def size(self) -> int:
        """How many members the space has."""
        return math.prod(map(len, self.options.values()))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {name: CategoricalDistribution(choices) for name, choices in self.options.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        trials = study.get_trials(deepcopy=False)
        finished = [one for one in trials if one.state == TrialState.COMPLETE]
        taken = [one.params for one in trials if one.number != trial.number and one.state in LIVE]
        judged = [(one.params, float(one.value or 0)) for one in finished]
        return self.draw(judged, taken, place(trials, trial.number))

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        raise ValueError(f"{param_name} is none of {', '.join(self.options)}")

    def draw(
        self, judged: Sequence[tuple[Mapping[str, Any], float]], taken: Sequence[Mapping[str, Any]], at: int
    ) -> dict[str, Any]:
        """Choices that are not taken yet, of which there must be some.

        Args:
            judged: choices and rewards of finished trials, the oldest first.
            taken: choices of all trials, running ones included.
            at: how many there were before this one.
        """
        draw = random.Random(f"{self.seed} {at}")
        if at == 0:
            choices = dict(self.first)
        elif at < self.population or not judged:
            choices = {name: draw.choice(known) for name, known in self.options.items()}
        else:
            alive = judged[-self.population :]
            drawn = draw.sample(alive, min(self.tournament, len(alive)))
            choices = dict(max(drawn, key=lambda one: one[1])[0])
        several = [name for name, known in self.options.items() if len(known) > 1]
        while choices in taken:
            name = draw.choice(several)
            choices[name] = draw.choice([choice for choice in self.options[name] if choice != choices[name]])
        return choices


LIVE = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)


def place(trials: Sequence[FrozenTrial], number: float = math.inf) -> int:
    """How many trials come before the one of a number: those that finished, and those of lower numbers that run."""
    finished = sum(trial.state == TrialState.COMPLETE and trial.number != number for trial in trials)
    return finished + sum(trial.state == TrialState.RUNNING and trial.number < number for trial in trials)
