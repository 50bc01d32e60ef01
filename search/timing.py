"""Times of many things, taken in turn, so that what disturbs the machine for a while disturbs all of them."""

import time
from collections.abc import Sequence

import numpy as np

from search.runtimes import Call


def time_in_turn(calls: Sequence[Call], rounds: int, seed: int = 0) -> list[float]:
    """Median milliseconds of each call over some rounds, in each of which all run once, in another order.

    Each runs twice at its turn, and the second time is taken: what it works on is then in the cache as far as it fits,
    as in a network it was written by the layer before.

    Args:
        calls: what is timed.
        rounds: how often; one more comes first to warm up.
        seed: of the orders.
    """
    random, times = np.random.default_rng(seed), np.empty((rounds + 1, len(calls)))
    for number in range(rounds + 1):
        for index in random.permutation(len(calls)):
            calls[index]()
            started = time.perf_counter()
            calls[index]()
            times[number, index] = time.perf_counter() - started
    found: list[float] = (1000 * np.median(times[1:], axis=0)).tolist()
    return found
