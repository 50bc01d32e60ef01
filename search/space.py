"""MnasNet's factorised hierarchical space over a table of MobileNetV3 (arXiv 1807.11626, Section 4.1).

The rows of one width and resolution are a stage, inside which all layers are alike; for each stage are chosen

- kernel: of the depthwise convolutions, 3 or 5;
- expansion: 3, 4 or 6 times the channels that come in, or "paper" where V3's own rows have another ratio (NetAdapt cut
  them), which is scaled with what comes in;
- squeeze: squeeze-and-excitation with 0.25 of the expanded channels, or 0 for none;
- layers: one less than the paper's, as many, or one more, and one at least;
- width: 0.75, 1 or 1.25 of the paper's channels, rounded to a multiple of 8.

Strides and activations stay with the stage. So do the stem, the first row and the last convolution stay as they are:
V3's authors shaped the ends by hand (V3 paper, Section 5.1), and taps, start strides and classifiers rely on them. V3's
own network is a member, and a search can begin there.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import Any

from backbones import Row, Table, TimmTable
from backbones.tables import make_divisible
from search.search_errors import SearchError

Choices = Mapping[str, Any]  # "stage1.kernel" -> 3, ...
PAPER = "paper"
EXPANSIONS = (3, 4, 6)
WIDTHS = (0.75, 1.0, 1.25)


@dataclass(frozen=True)
class Stage:
    """Rows of V3 that share a width and a resolution, and the channels that come into each of them."""

    rows: tuple[Row, ...]
    channels_in: tuple[int, ...]

    @property
    def ratios(self) -> list[float]:
        """Expanded channels over those that come in, for every row."""
        return [row.expanded / before for row, before in zip(self.rows, self.channels_in, strict=True)]

    def paper(self) -> dict[str, Any]:
        """The choices that V3 made."""
        first, ratios = self.rows[0], set(self.ratios)
        expansion = int(ratios.pop()) if len(ratios) == 1 and ratios <= set(EXPANSIONS) else PAPER
        squeeze = 0.25 if first.squeeze else 0
        return {"kernel": first.kernel, "expansion": expansion, "squeeze": squeeze, "layers": 0, "width": 1.0}

    def options(self) -> dict[str, list[Any]]:
        """Every choice that there is; no two of them make the same rows."""
        widths = {self.width(factor): factor for factor in (*WIDTHS, 1.0)}  # 1 where a narrow stage rounds to the same
        return {
            "kernel": [3, 5],
            "expansion": [*([PAPER] if self.paper()["expansion"] == PAPER else []), *EXPANSIONS],
            "squeeze": [0, 0.25],
            "layers": [change for change in (-1, 0, 1) if len(self.rows) + change >= 1],
            "width": sorted(widths.values()),
        }

    def width(self, factor: float) -> int:
        """Channels that come out."""
        return max(8, int(self.rows[0].out * factor / 8 + 0.5) * 8)

    def build(self, before: int, chosen: Choices) -> list[Row]:
        """The rows under some choices, for so many channels that come in."""
        rows, out, ratios = [], self.width(chosen["width"]), self.ratios
        for index in range(len(self.rows) + chosen["layers"]):
            ratio = ratios[min(index, len(ratios) - 1)] if chosen["expansion"] == PAPER else chosen["expansion"]
            expanded = make_divisible(before * ratio)
            squeeze = make_divisible(expanded / 4) if chosen["squeeze"] else 0
            stride = 1 if index else self.rows[0].stride
            activation = self.rows[0].activation
            rows.append(Row(chosen["kernel"], expanded, out, squeeze, activation, stride))
            before = out
        return rows


class Space:
    """All tables that some choices make of a table of MobileNetV3.

    Args:
        base: V3's own table under any of its options, such as a width, an output stride or a halved last stage; what
            is not chosen stays as it is there.

    Raises:
        SearchError: for a table that is none of V3's.
    """

    def __init__(self, base: Table | TimmTable) -> None:
        if not isinstance(base, Table) or base.name not in ("mobilenet_v3_large", "mobilenet_v3_small"):
            raise SearchError(f"--backbone: a search varies v3-large or v3-small, not {base.name}")
        self.base = base
        alike = [
            (level, row.out, row.kernel, row.squeeze > 0, row.activation)
            for level, row in zip(base.levels(), base.rows, strict=True)
        ]
        stages = groupby(range(1, len(base.rows)), key=alike.__getitem__)
        self.stages = [self._stage([*places]) for _, places in stages]

    def _stage(self, places: list[int]) -> Stage:
        rows = self.base.rows
        return Stage(tuple(rows[at] for at in places), tuple(rows[at - 1].out for at in places))

    def options(self) -> dict[str, list[Any]]:
        """What can be chosen, by its name: "stage1.kernel" -> [3, 5] and so on; all choices are free of each other."""
        return {
            f"stage{number}.{name}": choices
            for number, stage in enumerate(self.stages, 1)
            for name, choices in stage.options().items()
        }

    @property
    def paper(self) -> dict[str, Any]:
        """The choices whose table is V3's own."""
        return {
            f"stage{number}.{name}": choice
            for number, stage in enumerate(self.stages, 1)
            for name, choice in stage.paper().items()
        }

    @property
    def smallest(self) -> dict[str, Any]:
        """The choices with the fewest weights and multiply-adds."""
        return self.paper | {
            name: min(choice for choice in choices if choice != PAPER) for name, choices in self.options().items()
        }

    @property
    def largest(self) -> dict[str, Any]:
        """The choices with the most of them."""
        return self.paper | {
            name: max(choice for choice in choices if choice != PAPER) for name, choices in self.options().items()
        }

    def covering(self) -> Iterator[Table]:
        """Members that have, taken together, every layer that any member has: what a latency table is to measure.

        Layers depend on their own stage's choices and on the width of the stage before it, so that all stages can vary
        at once, if every width stands beside every other one in both orders.
        """
        stages = [stage.options() for stage in self.stages]
        widths = [stage.pop("width") for stage in stages]
        within = [[*product(*stage.values())] for stage in stages]
        for turn in range(max(map(len, within))):
            for pair in product(range(len(WIDTHS)), repeat=2):
                choices: dict[str, Any] = {}
                for at, (stage, combinations) in enumerate(zip(stages, within, strict=True)):
                    chosen = dict(zip(stage, combinations[turn % len(combinations)], strict=True))
                    chosen["width"] = widths[at][pair[at % 2] % len(widths[at])]
                    choices |= {f"stage{at + 1}.{name}": choice for name, choice in chosen.items()}
                yield self.table(choices)

    def random(self, seed: int) -> dict[str, Any]:
        """Choices of a member, each with the same probability."""
        draw = random.Random(seed)
        return {name: draw.choice(choices) for name, choices in self.options().items()}

    def table(self, choices: Choices) -> Table:
        """The table that some choices make: V3's own for `paper`, else one named "searched".

        Raises:
            SearchError: for choices that are not of this space.
        """
        wrong = [name for name, known in self.options().items() if choices.get(name) not in known]
        if wrong or len(choices) != len(self.options()):
            name = (wrong or sorted(choices.keys() - self.options().keys()))[0]
            raise SearchError(f"{name} {choices.get(name)}: is no choice of a search over {self.base}")
        rows, told = [self.base.rows[0]], []
        for number, stage in enumerate(self.stages, 1):
            chosen = {name: choices[f"stage{number}.{name}"] for name in stage.options()}
            made = stage.build(rows[-1].out, chosen)
            squeezed = " se" if chosen["squeeze"] else ""
            ratio = "V3's ratios" if chosen["expansion"] == PAPER else f"e{chosen['expansion']}"
            told.append(f"{len(made)}x k{chosen['kernel']} {ratio}{squeezed} {made[-1].out}")
            rows += made
        if tuple(rows) == self.base.rows:
            return self.base
        return replace(self.base, name="searched", rows=tuple(rows), variant=f"{self.base}: {', '.join(told)}")
