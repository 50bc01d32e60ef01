from types import SimpleNamespace

import pytest

pytest.importorskip("optuna")

from search.rank_correlation import RankCorrelation, correlate


def test_correlations_by_hand():
    found = RankCorrelation([0, 1, 2, 3], [0.1, 0.2, 0.3, 0.4], [0.5, 0.7, 0.6, 0.8], 100)
    assert found.spearman == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert found.kendall == pytest.approx(4 / 6)  # five pairs in order, one not
    assert "4 networks after 100 steps: Spearman's rho 0.800, Kendall's tau 0.667" in str(found)


class Study:
    def __init__(self):
        self.user_attrs = {}

    def set_user_attr(self, name, value):
        self.user_attrs[name] = value


def test_networks_from_all_over_the_history_are_trained_once():
    trained, study = [], Study()

    def train(choices, steps):
        trained.append((choices, steps))
        return choices

    judge = SimpleNamespace(train=train, score=lambda choices: choices["a"] / 10)
    history = [{"number": at, "choices": {"a": at}, "accuracy": at / 20} for at in range(10)]
    found = correlate(study, history, judge, 4, 50)
    assert list(found.numbers) == [0, 3, 6, 9] and found.spearman == 1
    assert correlate(study, history, judge, 4, 50) == found
    assert trained == [({"a": at}, 50) for at in (0, 3, 6, 9)]
