"""Times of many things, taken in turn, so that what disturbs the machine for a while disturbs all of them."""

import time
from collections.abc import Sequence

import numpy as np

from search.layer_runtimes import Call


def time_in_turn(calls: Sequence[Call], rounds: int, seed: int = 0) -> list[float]:
    """Milliseconds of each call: the lower quartile over some rounds, in each of which all run, in another order.

    Each runs twice at its turn, and both count: the first time it finds its weights and its input far from the
    processor, the second time near. In a network the weights are far, and the input, which was just written, is near.
    What disturbs a machine only slows it, so that the quicker rounds tell more.

    Args:
        calls: what is timed.
        rounds: how often; one more comes first to warm up.
        seed: of the orders.
    """
    random, times = np.random.default_rng(seed), np.empty((rounds + 1, len(calls)))
    for number in range(rounds + 1):
        for index in random.permutation(len(calls)):
            started = time.perf_counter()
            calls[index]()
            calls[index]()
            times[number, index] = (time.perf_counter() - started) / 2
    found: list[float] = (1000 * np.quantile(times[1:], 0.25, axis=0)).tolist()
    return found
