"""Networks drawn at random from those that a search can make, to measure a latency table by."""

from dataclasses import replace

import numpy as np

from search.space import Space
from search.widths import DIVISOR, find_widths, with_widths
from tasks.base import Spec, Task

LEAST = 0.2  # of the channels of the widest network


def draw_variations(spec: Spec, count: int, seed: int) -> list[Spec]:
    """Different networks that a search over V3's table can make of a network, see `Space`."""
    space, found = Space(spec.table), dict[str, Spec]()
    while len(found) < count:
        table = space.table(space.random(seed=1000 * seed + len(found)))
        seed += str(table) in found
        found[str(table)] = replace(spec, table=table)
    return list(found.values())


def draw_narrower(task: Task, count: int, seed: int) -> list[Spec]:
    """Networks of the same rows with fewer channels: each has a least share of its own, above which all are drawn.

    Args:
        task: the widest network; its spec is not among them.
        count: how many.
        seed: of the draws.
    """
    widths, random = find_widths(task), np.random.default_rng(seed)
    found: list[Spec] = []
    while len(found) < count:
        least = random.uniform(LEAST, 1)
        drawn = {
            name: DIVISOR * max(1, round(most * random.uniform(least, 1) / DIVISOR)) for name, most in widths.items()
        }
        spec = with_widths(task.spec, {name: min(one, widths[name]) for name, one in drawn.items()})
        if spec is not None and spec != task.spec and spec not in found:
            found.append(spec)
    return found
