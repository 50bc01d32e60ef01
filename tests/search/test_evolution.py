import random

import pytest

pytest.importorskip("optuna")

from search.evolution import AgeingEvolution

OPTIONS = {f"x{number}": [0, 1, 2, 3] for number in range(6)}
FIRST = dict.fromkeys(OPTIONS, 1)
BEST = {name: number % 4 for number, name in enumerate(OPTIONS)}


def value(choices):
    return -float(sum(abs(choices[name] - BEST[name]) for name in OPTIONS))


def run(draw, trials):
    judged = []
    for at in range(trials):
        choices = draw([choices for choices, _ in judged], judged, at)
        judged.append((choices, value(choices)))
    return judged


def evolve(seed, trials, **options):
    sampler = AgeingEvolution(OPTIONS, FIRST, seed, **{"population": 16, "tournament": 5} | options)
    return run(lambda taken, judged, at: sampler.draw(judged, taken, at), trials)


def test_the_optimum_is_found_and_sooner_than_at_random():
    ours, randoms = [], []
    for seed in range(20):
        judged = evolve(seed, 120)
        ours.append(max(value for _, value in judged))
        draw = random.Random(seed)
        randoms.append(max(value({name: draw.choice(known) for name, known in OPTIONS.items()}) for _ in range(120)))
    assert sum(ours) / 20 > sum(randoms) / 20 + 0.5
    assert ours.count(0) >= 15 > randoms.count(0)


def test_the_same_seed_gives_the_same_history_and_another_another():
    assert evolve(3, 40) == evolve(3, 40) != evolve(4, 40)
    assert evolve(3, 40)[0][0] == evolve(4, 40)[0][0] == FIRST


def test_no_choices_come_twice_until_the_space_is_exhausted():
    sampler = AgeingEvolution({"a": [0, 1, 2], "b": ["x", "y"], "c": [5]}, {"a": 0, "b": "x", "c": 5}, 0, 2, 2)
    judged = run_small(sampler)
    assert len({tuple(choices.values()) for choices, _ in judged}) == sampler.size == 6


def run_small(sampler):
    judged = []
    for at in range(6):
        choices = sampler.draw(judged, [choices for choices, _ in judged], at)
        judged.append((choices, float(choices["a"])))
    return judged


def test_who_is_old_has_no_children():
    sampler = AgeingEvolution(OPTIONS, FIRST, 0, population=5, tournament=5)
    young = [({**BEST, "x0": 3, "x1": number % 4, "x2": number // 4}, 0.0) for number in range(5)]
    judged = [(FIRST, 100.0), *young]  # the best one, and five that came after it
    taken = [choices for choices, _ in judged]
    for seed in range(10):
        child = AgeingEvolution(OPTIONS, FIRST, seed, 5, 5).draw(judged, taken, 6)
        nearest = min(sum(child[name] != choices[name] for name in OPTIONS) for choices, _ in young)
        assert nearest == 1 or child not in taken
        assert sum(child[name] != FIRST[name] for name in OPTIONS) > 1
    child = sampler.draw([*young[1:], (FIRST, 100.0)], taken, 6)
    assert sum(child[name] != FIRST[name] for name in OPTIONS) == 1
