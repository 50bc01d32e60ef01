"""Single layers as files for a phone, and what its benchmark tool said of them.

A folder holds layers.json, a file for each layer, and measure.sh, which runs a runtime's own tool on each and keeps
what it prints as NAME.txt: TensorFlow Lite's `benchmark_model`, or `onnxruntime_perf_test`.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rich.progress import track

from search.latencies import LatencyTable
from search.layer_graphs import layer_graph
from search.layer_runtimes import layer_tflite
from search.layers import Layer
from search.search_errors import SearchError
from tasks.writing import whole

INDEX = "layers.json"  # a latency table, not complete, whose milliseconds are numbers of files
WRITERS = {"litert": (".tflite", layer_tflite), "onnxruntime": (".onnx", layer_graph)}
COMMANDS = {
    "litert": '"$tool" --graph="$file" --num_threads={threads}',
    "onnxruntime": '"$tool" -I -m times -r 50 -x {threads} "$file"',
}
SAID = {  # by the tools, and milliseconds in their unit
    "litert": (re.compile(r"Inference \(avg\): ([\d.e+-]+)"), 0.001),
    "onnxruntime": (re.compile(r"Average inference time cost(?: total)?: ([\d.e+-]+) ms"), 1.0),
}
SCRIPT = """#!/bin/sh
# On the device, in this folder: sh measure.sh ./{name}
# What is measured stays, so that it goes on where it was if it is stopped.
tool=${{1:-./{name}}}
for file in *{suffix}; do
    said="${{file%{suffix}}}.txt"
    [ -s "$said" ] && continue
    {command} > "$said.part" 2>&1 && mv "$said.part" "$said" || echo "$file failed: $said.part says why"
done
"""


def write_layers(table: LatencyTable, layers: Sequence[Layer], folder: Path) -> None:
    """Write a file for each layer, the index and the script; files that are there from a run before are kept.

    Args:
        table: empty; says what it is to be for.
        layers: that are to be measured.
        folder: for all of it.

    Raises:
        SearchError: if the folder has layers for something else, or the runtime takes no files of layers.
        DeployError, TaskError: if a package is missing, or a file cannot be written.
    """
    if table.runtime not in WRITERS:
        raise SearchError(f"--runtime {table.runtime}: has no files; give {' or '.join(WRITERS)}")
    suffix, make = WRITERS[table.runtime]
    numbers = {layer: float(number) for number, layer in enumerate(dict.fromkeys(layers))}
    index = replace(table, milliseconds=numbers, complete=False)
    if (folder / INDEX).exists():
        there = LatencyTable.read(folder / INDEX)
        if replace(there, file=index.file) != index:
            raise SearchError(f"{folder / INDEX}: is of other layers; name another --output")
    index.write(folder / INDEX)
    for layer, number in track(numbers.items(), f"Writing {len(numbers)} layers", transient=True):
        path = folder / f"{_name(number)}{suffix}"
        if not path.exists():
            with whole(path) as unfinished:
                unfinished.write_bytes(make(layer))
    name = {"litert": "benchmark_model", "onnxruntime": "onnxruntime_perf_test"}[table.runtime]
    command = COMMANDS[table.runtime].format(threads=table.threads)
    with whole(folder / "measure.sh") as unfinished:
        unfinished.write_text(SCRIPT.format(name=name, suffix=suffix, command=command), encoding="utf-8")


def read_layers(folder: Path, machine: str) -> LatencyTable:
    """The latency table of a folder that `write_layers` made, once its script ran on a device.

    Args:
        folder: with layers.json and a .txt for each layer.
        machine: the device, in words.

    Raises:
        SearchError: if layers were not measured, or a tool's words are others than are known; names the file.
    """
    index = LatencyTable.read(folder / INDEX)
    pattern, unit = SAID.get(index.runtime, (None, 1.0))
    if pattern is None:
        raise SearchError(f"{folder / INDEX}: is of {index.runtime}, of which no files are written")
    missing = [number for number in index.milliseconds.values() if not (folder / f"{_name(number)}.txt").is_file()]
    if missing:
        raise SearchError(f"{folder}: {len(missing)} of {len(index.milliseconds)} layers have no .txt; run measure.sh")
    found: dict[Layer, float] = {}
    for layer, number in index.milliseconds.items():
        path = folder / f"{_name(number)}.txt"
        said = pattern.findall(path.read_text(encoding="utf-8", errors="replace"))
        found[layer] = unit * _positive(said[-1]) if said else 0.0
        if not found[layer]:
            raise SearchError(f"{path}: has no time above 0 as {pattern.pattern!r}; remove it and run measure.sh again")
    return replace(index, milliseconds=found, machine=machine, complete=True)


def _positive(text: str) -> float:
    """A finite number above 0, or 0 for whatever else."""
    with suppress(ValueError):
        number = float(text)
        return number if 0 < number < float("inf") else 0.0
    return 0.0


def _name(number: float) -> str:
    return f"layer_{int(number):05d}"
