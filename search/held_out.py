"""The part of a training split that a search judges by, so that no other split chooses its networks."""

from typing import Any

import numpy as np

from search.search_errors import SearchError
from tasks.wing import Wing


def hold_out(wing: Wing, files: Any, share: float, seed: int) -> tuple[Any, Any]:
    """A training split in two: what trains, and what judges.

    Args:
        wing: of the task.
        files: of the split.
        share: of the images that judge, 0 to 1, drawn at random; the same ones for the same seed.
        seed: of the draw.

    Raises:
        SearchError: if one of the two parts is empty.
    """
    count = len(wing.images(files))
    held = round(share * count)
    if not 0 < held < count:
        raise SearchError(
            f"--holdout {share} of {count} images leaves {count - held} to train on and {held} to judge by"
        )
    order = np.random.default_rng(seed).permutation(count)
    return files.at(np.sort(order[held:])), files.at(np.sort(order[:held]))
