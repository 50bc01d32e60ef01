"""What a file format of a deployed network offers, the same for all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deploy.description import Description
from deploy.graph import Graph

Image = NDArray[np.uint8]
Run = Callable[[Image], dict[str, NDArray[Any]]]  # image [1, H, W, 3] -> outputs by name


class Format(ABC):
    """One file format, and the runtime that runs it here.

    Attributes:
        name: as given to --format.
        suffix: of its files.
        beside: suffix of the file that lies beside each, if one does.
        extra: of the install, which has its packages.
        precisions: of its numbers, which it can have.
        suppresses: whether non-maximum suppression goes into the file.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    beside: ClassVar[str] = ""
    extra: ClassVar[str]
    suppresses: ClassVar[bool] = False
    precisions: ClassVar[tuple[str, ...]] = ("float32",)

    @abstractmethod
    def write(self, graph: Graph, description: Description, path: Path, calibration: Sequence[Image] = ()) -> None:
        """Write a file, complete or not at all.

        Args:
            graph: what is written.
            description: goes into it; its `precision` says how numbers are kept.
            path: of the file.
            calibration: for int8: images as the graph takes them, uint8 [1, H, W, 3].

        Raises:
            DeployError: if a package is missing, or the network does not convert.
            TaskError: if the file cannot be written.
        """

    @abstractmethod
    def read_description(self, path: Path) -> Description:
        """What a file says of itself, once it is known to be as it was written.

        Raises:
            DeployError: if it is damaged, changed, or none of ours.
        """

    @abstractmethod
    def open(self, path: Path, description: Description, threads: int | None = None) -> Run:
        """Run a file with its runtime.

        Args:
            path: of the file.
            description: as read from it.
            threads: None for as many as the runtime likes.

        Raises:
            DeployError: if the runtime is missing, or cannot load the file.
        """
