"""Networks drawn at random from those that a search can make, to measure a latency table by."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from search.search_errors import SearchError
from search.space import Space
from search.widths import DIVISOR, find_widths, with_widths
from tasks.base import Spec, Task

LEAST = 0.2  # of the channels of the widest network
MISSES = 200  # draws in a row that were there already


def draw_variations(spec: Spec, count: int, seed: int) -> list[Spec]:
    """Different networks that a search over V3's table can make of a network, see `Space`.

    Raises:
        SearchError: if there are not so many.
    """
    space, drawn = Space(spec.table), itertools.count(10**6 * seed)
    return _different(lambda: replace(spec, table=space.table(space.random(next(drawn)))), count)


def draw_narrower(task: Task, count: int, seed: int) -> list[Spec]:
    """Networks of the same rows with fewer channels: each has a least share of its own, above which all are drawn.

    Args:
        task: the widest network; its spec is not among them.
        count: how many.
        seed: of the draws.

    Raises:
        SearchError: if there are not so many.
    """
    widths, random = find_widths(task), np.random.default_rng(seed)

    def draw() -> Spec | None:
        least = random.uniform(LEAST, 1)
        drawn = {
            name: DIVISOR * max(1, round(most * random.uniform(least, 1) / DIVISOR)) for name, most in widths.items()
        }
        spec: Spec | None = with_widths(task.spec, {name: min(one, widths[name]) for name, one in drawn.items()})
        return None if spec == task.spec else spec

    return _different(draw, count)


def _different(draw: Callable[[], Spec | None], count: int) -> list[Spec]:
    found: dict[str, Spec] = {}
    missed = 0
    while len(found) < count:
        spec = draw()
        missed = missed + 1 if spec is None or str(spec) in found else 0
        if missed > MISSES:
            raise SearchError(
                f"only {len(found)} different networks of {count} could be drawn to measure; give a lower --check or a "
                f"wider network"
            )
        if spec is not None:
            found.setdefault(str(spec), spec)
    return list(found.values())
