"""Networks drawn at random from those that a search can make, to measure a latency table by."""

import numpy as np

from search.widths import DIVISOR, find_widths, with_widths
from tasks.base import Spec, Task

LEAST = 0.2  # of the channels of the widest network


def draw_members(task: Task, count: int, seed: int) -> list[Spec]:
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
