"""Class-uniform sampling: images drawn by the classes that they hold, so that rare ones are seen more often.

As Zhu et al. train on Cityscapes (arXiv 1812.01593, Section 4), and fastseg after them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassUniform:
    """What part of each epoch is drawn by class, and from which images.

    Attributes:
        share: of the entries of an epoch, 0 to 1.
        holders: for every class the indices of the samples that hold it, int64 [any].
    """

    share: float
    holders: Sequence[NDArray[np.int64]]

    def draw(self, order: NDArray[np.int64], random: np.random.Generator) -> list[tuple[int, ...]]:
        """The entries of an epoch: (index,) as in `order`, or for those drawn by class (index, place, class).

        Classes that occur come up equally often, and so do the images of a class, up to one. The place in the epoch
        tells the entries of an image apart, which may come up several times and is then augmented in several ways.

        Args:
            order: int64 [n], what the epoch would be otherwise; what is drawn takes the place of some of it at random.
            random: what all choices come from.
        """
        entries: list[tuple[int, ...]] = [(index,) for index in order.tolist()]
        places = random.permutation(len(order))[: round(self.share * len(order))]
        labels = random.permutation([label for label, images in enumerate(self.holders) if len(images)]).tolist()
        for number, label in enumerate(labels):
            taken, images = places[number :: len(labels)], self.holders[label]
            passes = max(1, -(-len(taken) // len(images)))
            drawn = np.concatenate([random.permutation(images) for _ in range(passes)])
            for place, index in zip(taken.tolist(), drawn.tolist(), strict=False):
                entries[place] = (index, place, label)
        return entries


def holders(present: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """From which images hold which classes, bool [images, classes], the images of every class."""
    return [np.flatnonzero(column) for column in present.T]
