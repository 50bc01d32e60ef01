"""A latency table: what each layer takes on one device, and what a whole network takes, which is the sum.

The file is JSON, with one layer a line; docs/search.md describes it.
"""

import json
import math
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from datasets.faults import one_line
from search.layers import Layer, network_layers
from search.search_errors import SearchError
from tasks.base import Spec
from tasks.writing import whole

FORMAT = 1  # of the file
LAYER_FIELDS = tuple(entry.name for entry in fields(Layer) if entry.compare)
KINDS = {name: get_type_hints(Layer)[name] for name in LAYER_FIELDS}
ALIKE = tuple(name for name in LAYER_FIELDS if not name.startswith("channels"))


@dataclass
class LatencyTable:
    """Milliseconds of single layers, all measured in one runtime on one machine.

    Attributes:
        head: name of the head of the networks that it is for.
        size: height and width of the images.
        runtime: what ran the layers: torch, onnxruntime, litert, or another name that a file gives itself.
        threads: of the runtime.
        machine: in words.
        milliseconds: of each layer.
        factor: of every layer, as layers alone take another time than in a network; found by measuring whole networks.
        per_layer: milliseconds of every layer beside, found likewise; below 0 in ONNX Runtime, where a layer alone also
            takes the runtime's call, which a network takes once.
        overhead: milliseconds of any network beside its layers; 0 in tables that are measured here.
        complete: whether it has all that it is to have; a table that is being measured, or was stopped, prices nothing.
        interpolate: whether layers that are not there are interpolated between those with fewer and more channels.
    """

    head: str
    size: tuple[int, int]
    runtime: str
    threads: int
    machine: str
    milliseconds: dict[Layer, float] = field(default_factory=dict)
    factor: float = 1.0
    per_layer: float = 0.0
    overhead: float = 0.0
    complete: bool = True
    interpolate: bool = False
    file: str = "latency table"

    def latency(self, layer: Layer) -> float:
        """Milliseconds of a layer in a network.

        Raises:
            SearchError: naming the layer, if it is neither there nor to be interpolated.
        """
        found = self.milliseconds.get(layer)
        if found is None and self.interpolate:
            found = self._interpolated(layer)
        if found is None:
            advice = "measure it, or give --interpolate true" if not self.interpolate else "measure it"
            raise SearchError(f"{self.file}: has no {layer}; {advice}")
        return self.factor * found + self.per_layer

    def price(self, spec: Spec) -> float:
        """Milliseconds of a network: those of its layers and the overhead.

        Raises:
            SearchError: for a network with another head or size, or with a layer that is not there.
        """
        self.require(spec)
        return self.total(network_layers(spec, self.size))

    def total(self, layers: Iterable[Layer]) -> float:
        """Milliseconds of the network that these layers make; the sum is exact, and so the same on any Python.

        Raises:
            SearchError: for a layer that is not there.
        """
        return self.overhead + math.fsum(map(self.latency, layers))

    def require(self, spec: Spec) -> None:
        """Refuse a network that the table is not for.

        Raises:
            SearchError: for one with another head, or that is trained on images of another size; or if the table is not
                complete.
        """
        if not self.complete:
            raise SearchError(f"{self.file}: is not complete; go on with the command of tools/latency_table.py")
        if spec.head != self.head:
            raise SearchError(f"{self.file}: is for networks with {self.head}, and this one has {spec.head}")
        if tuple(spec.input_size) != tuple(self.size):
            ours, theirs = ("x".join(map(str, size)) for size in (self.size, spec.input_size))
            raise SearchError(f"{self.file}: is for images of {ours}, and this network is for {theirs}")

    def _interpolated(self, layer: Layer) -> float | None:
        """Linearly between the nearest layers with fewer and more channels, in and out unless they are tied."""
        alike = _of(layer, ALIKE)
        points: dict[int, dict[int, float]] = {}
        for one, ms in self.milliseconds.items():
            if _of(one, ALIKE) == alike:
                points.setdefault(one.channels_in, {})[one.channels_out] = ms
        if layer.kind == "squeeze_excite" or all(list(row) == [channels] for channels, row in points.items()):
            line = {channels: next(iter(row.values())) for channels, row in points.items()}
        else:
            found = {channels: _between(layer.channels_out, row) for channels, row in points.items()}
            line = {channels: ms for channels, ms in found.items() if ms is not None}
        return _between(layer.channels_in, line)

    def write(self, path: Path) -> None:
        """Write the table, whole or not at all.

        Raises:
            TaskError: if the file cannot be written.
        """
        head = {name: getattr(self, name) for name in ("head", "size", "runtime", "threads", "machine")}
        head |= {"unit": "ms", "factor": self.factor, "per_layer": self.per_layer, "overhead": self.overhead}
        head |= {"complete": self.complete}
        lines = [json.dumps({"format": FORMAT, **head})[:-1] + ', "layers": [']
        entries = [
            json.dumps({name: getattr(layer, name) for name in LAYER_FIELDS} | {"ms": ms})
            for layer, ms in self.milliseconds.items()
        ]
        lines.append(",\n".join(entries) + "]}")
        with whole(path) as unfinished:
            unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path, interpolate: bool = False) -> "LatencyTable":
        """A table from its file.

        Args:
            path: written by `write`, or by hand.
            interpolate: see above.

        Raises:
            SearchError: if it is not there, or no latency table; names the entry at fault.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SearchError(f"{path}: cannot be read ({error.strerror}); tools/latency_table.py makes one") from None
        except ValueError as error:
            raise SearchError(f"{path}: is no JSON ({one_line(error)})") from None
        try:
            return cls._from_content(content, path, interpolate)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else one_line(error)
            raise SearchError(f"{path}: is no latency table ({reason})") from None

    @classmethod
    def _from_content(cls, content: Any, path: Path, interpolate: bool) -> "LatencyTable":
        if content["format"] != FORMAT or content["unit"] != "ms":
            raise ValueError(f"format {content['format']}, unit {content['unit']}; this release reads 1 and ms")
        table = cls(
            head=str(content["head"]),
            size=(int(content["size"][0]), int(content["size"][1])),
            runtime=str(content["runtime"]),
            threads=int(content["threads"]),
            machine=str(content["machine"]),
            factor=float(content.get("factor", 1)),
            per_layer=float(content.get("per_layer", 0)),
            overhead=float(content.get("overhead", 0)),
            complete=content.get("complete", True),
            interpolate=interpolate,
            file=str(path),
        )
        if not isinstance(table.complete, bool):
            raise ValueError(f"complete cannot be {table.complete!r}")
        for name in ("factor", "per_layer", "overhead"):
            if not math.isfinite(getattr(table, name)):
                raise ValueError(f"{name} cannot be {getattr(table, name)}")
        for entry in content["layers"]:
            layer = Layer(**{name: value for name, value in entry.items() if name != "ms"})
            odd = [name for name, kind in KINDS.items() if type(getattr(layer, name)) is not kind]
            if odd:
                raise ValueError(f"{odd[0]} of a layer cannot be {getattr(layer, odd[0])!r}")
            if not 0 <= float(entry["ms"]) < float("inf"):
                raise ValueError(f"{layer} cannot take {entry['ms']} ms")
            table.milliseconds[layer] = float(entry["ms"])
        return table


def machine() -> str:
    """This machine's processor and system, in words."""
    told = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", told.read_text()) if told.is_file() else None
    return f"{found[1].strip() if found else platform.processor() or platform.machine()}, {platform.system()}"


def open_table(path: Path, spec: Spec, interpolate: bool = False) -> "LatencyTable":
    """A table that is to price the networks of a search, and a line on what it is for, or on another machine.

    Args:
        path: see `LatencyTable.read`.
        spec: of the widest network.
        interpolate: see `LatencyTable`.

    Raises:
        SearchError: if it is no table, or does not fit the network.
    """
    table = LatencyTable.read(path, interpolate)
    table.price(spec)
    print(f"latencies of {describe(table)}")
    if table.machine != machine():
        print(f"warning: they were not measured on this machine ({machine()})")
    return table


def describe(table: LatencyTable) -> str:
    """What a table is for, in words."""
    size = "x".join(map(str, table.size))
    return f"{table.head} at {size} in {table.runtime} with {table.threads} threads on {table.machine}"


def _of(layer: Layer, names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(getattr(layer, name) for name in names)


def _between(value: int, line: Mapping[int, float]) -> float | None:
    """Linear interpolation in a line of numbers; None outside of them."""
    below, above = [one for one in line if one <= value], [one for one in line if one >= value]
    if not below or not above:
        return None
    low, high = max(below), min(above)
    share = (value - low) / (high - low) if high > low else 0.0
    return line[low] + share * (line[high] - line[low])
