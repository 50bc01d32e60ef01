"""Start weights of a head, from another of its kind whose classes may be others."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from backbones.weights_files import require_usable


def fill_head(
    head: Any, names: Sequence[str], state: Mapping[str, Tensor], their_names: Sequence[str], source: str
) -> str:
    """Fill a head out of another of its kind, and say what was taken.

    Args:
        head: filled in place; has `last_layers`.
        names: of its classes.
        state: of the other one.
        their_names: of the other one's classes; those of the same name keep their rows of the last layers.
        source: for messages.
    """
    kept = [name for name in names if name in their_names]
    ours, theirs = ([*map(list(all_names).index, kept)] for all_names in (names, their_names))
    last = {id(parameter) for layer in head.last_layers for parameter in layer.parameters()}
    taken = 0
    for key, own in head.state_dict(keep_vars=True).items():
        found = state.get(key)
        if found is None or found.shape[1:] != own.shape[1:] or not (id(own) in last or found.shape == own.shape):
            continue
        require_usable(source, key, found, own)
        with torch.no_grad():
            if id(own) in last:
                own[ours] = found[theirs]
            else:
                own.copy_(found)
        taken += 1
    return f"took {taken} tensors; classes kept: {', '.join(kept) or 'none'}"
