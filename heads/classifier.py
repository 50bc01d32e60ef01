"""The classifier of the papers: global pool, a hidden layer in V3 alone, dropout, and one linear layer."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from heads.head_options import check_options
from heads.inputs import tap_channels

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hard_swish": nn.Hardswish}


class ClassifierTable(Protocol):
    """What a backbone's table says of its paper's classifier."""

    @property
    def hidden(self) -> int: ...

    @property
    def activation(self) -> str: ...


class Classifier(nn.Module):
    """Raw class logits, float32 [N, num_classes], from the deepest tap (V1, V2 and V3 papers; Table 1 of each).

    Args:
        channels: of the backbone's taps.
        num_classes: logits per image.
        hidden: width of the hidden layer, 0 for none; it has a bias and no batch norm.
        activation: of the hidden layer: relu, relu6 or hard_swish.
        dropout: share of values that training drops before the last layer.
    """

    taps = ("c5",)

    def __init__(
        self,
        channels: Mapping[str, int],
        num_classes: int,
        hidden: int = 0,
        activation: str = "relu",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        (width,) = tap_channels(channels, self.taps)
        self.hidden = nn.Sequential()
        if hidden:
            self.hidden = nn.Sequential(nn.Linear(width, hidden), ACTIVATIONS[activation](inplace=True))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(hidden or width, num_classes)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.classify]

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        return self.classify(self.dropout(self.hidden(features["c5"].mean((2, 3)))))


def create_classifier(
    channels: Mapping[str, int], table: ClassifierTable, num_classes: int, **options: Any
) -> Classifier:
    """The classifier of a backbone's paper: V3's has a hidden layer of 1280 or 1024, the others' have none.

    Args:
        channels: the backbone's `channels`.
        table: the backbone's table.
        num_classes: logits per image.
        **options: dropout, see `Classifier`.

    Raises:
        HeadError: for another option, or a dropout outside 0 to 0.99.
    """
    check_options("classifier", {"dropout": float}, options)
    return Classifier(channels, num_classes, table.hidden, table.activation, **options)
