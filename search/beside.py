"""Networks that a search's are compared to: what they cost by the same prices, and what an evaluation says of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy.latency_report import is_of, read_score
from search.layers import Layer, network_layers
from search.search_errors import SearchError
from tasks.base import Spec
from tasks.wings import load_task


@dataclass(frozen=True)
class Beside:
    """A network that was evaluated.

    Attributes:
        name: of its run.
        price: see `search.proposals.Price`.
        accuracy: 0 to 1, of all images of a split.
        split: its name.
        layers: what the network is made of.
        is_iteration: whether that is what one of the search's iterations is made of, too.
    """

    name: str
    price: float
    accuracy: float
    split: str
    layers: Sequence[Layer]
    is_iteration: bool = False


def read_beside(paths: Iterable[Path], price: Callable[[Spec], float], seed: Spec) -> list[Beside]:
    """Networks by their scores; those without a price are told in a line, and left out.

    Args:
        paths: of scores.json of the evaluation tools, or folders with it.
        price: of the network that a spec describes.
        seed: of the search's first network.

    Raises:
        CheckpointError, DeployError, SearchError: for what is no scores.json, or not of a checkpoint that is there.
    """
    found = []
    for path in paths:
        said, accuracy = read_score(path, "--beside")
        checkpoint = _checkpoint(path, said)
        spec, name = plain(load_task(checkpoint, "cpu").spec), checkpoint.resolve().parent.name
        try:
            if type(spec) is not type(seed):
                raise SearchError(f"{checkpoint}: is for another task")
            layers, stride = network_layers(spec), spec.table.output_stride
            if said.get("output_stride", stride) != stride:
                raise SearchError(f"{checkpoint}: was evaluated at another output stride than it was trained at")
            found.append(Beside(name, price(spec), accuracy, str(said.get("split")), layers))
        except SearchError as error:
            print(f"--beside {path}: is left out; {error}")
    return found


def plain(spec: Any) -> Any:
    """The spec of a network without LR-ASPP's second output, which prediction does not run."""
    return replace(spec, auxiliary=False) if getattr(spec, "auxiliary", False) else spec


def marked(beside: Iterable[Beside], iterations: Sequence[Sequence[Layer]]) -> list[Beside]:
    """Those that are a search's own iterations told as such, by the layers of all of these."""
    return [replace(one, is_iteration=one.layers in iterations) for one in beside]


def _checkpoint(path: Path, said: dict[str, Any]) -> Path:
    """What scores are of: where they say, or where it is by their own folder if both were moved."""
    named = Path(said["checkpoint"])
    folder = path if path.is_dir() else path.parent
    for file in (named, folder.resolve().parent / named.name):
        if file.is_file() and is_of(said | {"checkpoint": str(file)}, file):
            return file
    raise SearchError(f"--beside {path}: is of {named}, which is not there, or is not what it was")
