"""Making a latency table: measured here, or from what a phone's tools printed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from search.configurations import STEP, layers_of, narrower_layers
from search.filling import calibrate, check, fill, measure_networks
from search.latencies import LatencyTable, describe, machine
from search.layer_files import read_layers, write_layers
from search.layer_runtimes import RUNTIMES
from search.layers import Layer
from search.members import draw_narrower, draw_variations
from search.search_errors import SearchError
from search.space import Space
from tasks.base import Spec
from tasks.lock import Locked, locked
from tasks.readiness import require_folder
from tasks.wings import wing_of

LOCK = ".latency.lock"  # in the folder of a table
CALIBRATED = 24  # networks that give the factor and the time per layer; others check them


def layers_for(spec: Spec, space: str, step: int) -> list[Layer]:
    """The layers that tools/netadapt.py ("netadapt") or tools/search.py ("search") can meet from a network on.

    Args:
        spec: of the network.
        space: which of both.
        step: between numbers of channels of NetAdapt's, see `narrower_layers`.
    """
    if space == "netadapt":
        return narrower_layers(spec, step)
    return layers_of(replace(spec, table=table) for table in Space(spec.table).covering())


def measure_table(
    spec: Spec,
    space: str,
    runtime: str,
    threads: int,
    step: int,
    rounds: int,
    checked: int,
    path: Path,
    overwrite: bool = False,
) -> Path:
    """Measure all layers that a search from a network can meet, and hold the table to whole networks.

    A table that is there already, for the same networks on the same machine, gets what it lacks.

    Args:
        spec: of the network.
        space: see `layers_for`.
        runtime: a key of `RUNTIMES`.
        threads: of the runtime.
        step: see `layers_for`.
        rounds: how often each layer and network is timed.
        checked: networks that the table is held to; 0 for none.
        path: of the table's file.
        overwrite: measure all anew, and replace a table for something else.

    Raises:
        SearchError: if the file is a table for something else, or another process measures it.
        DeployError, TaskError: if a package is missing, or the file cannot be written.
    """
    require_folder(path.parent)
    layers, count = layers_for(spec, space, step), CALIBRATED + checked
    task: Any = wing_of(spec).task
    drawn = draw_narrower(task(spec), count, 1) if space == "netadapt" else draw_variations(spec, count, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(path.parent / LOCK):
            table = _begun(spec, runtime, threads, path, overwrite)
            runner = RUNTIMES[runtime](threads)
            fill(table, layers, runner, rounds, path)
            print(f"{len(table.milliseconds)} layers measured")
            table.interpolate = step > STEP
            measured = measure_networks(drawn, runner, rounds)
            calibrate(table, drawn[:CALIBRATED], measured[0, :CALIBRATED])
            table.complete = True
            table.write(path)
    except Locked:
        raise SearchError(
            f"{path.parent}: another process is measuring a table there, and both would be wrong"
        ) from None
    print(f"a network takes {table.factor:.3f} times the sum of its layers and {table.per_layer:.4f} ms for each")
    written = [path.name]
    if checked:
        print(check(table, drawn[CALIBRATED:], measured[:, CALIBRATED:], path))
        written += [path.with_suffix(suffix).name for suffix in (".check.json", ".png")]
    print(f"wrote {', '.join(written)} to {path.parent}")
    return path


def _begun(spec: Spec, runtime: str, threads: int, path: Path, overwrite: bool) -> LatencyTable:
    """The table that is there, to be gone on with, or an empty one; no file of another kind is replaced."""
    table = LatencyTable(spec.head, spec.input_size, runtime, threads, machine(), complete=False, file=str(path))
    there = LatencyTable.read(path) if path.exists() else table
    if not overwrite:
        if describe(there) != describe(table):
            raise SearchError(f"{path}: is for {describe(there)}, not for {describe(table)}; give --overwrite true")
        table.milliseconds = there.milliseconds
    return table


def layers_for_phone(spec: Spec, space: str, runtime: str, threads: int, step: int, folder: Path) -> Path:
    """Write the layers that a search from a network can meet as files, see `layer_files`."""
    table = LatencyTable(spec.head, spec.input_size, runtime, threads, "not measured yet")
    write_layers(table, layers_for(spec, space, step), require_folder(folder))
    print(f"wrote the layers to {folder}; on the device, sh measure.sh there; then give --read-layers {folder}")
    return folder


def table_of_phone(folder: Path, device: str, path: Path, overwrite: bool = False) -> Path:
    """Write the latency table of a folder of layers that were measured on a device, see `layer_files`."""
    if path.exists() and not overwrite:
        raise SearchError(f"{path}: is there already; name another --output, or give --overwrite true")
    if path.exists():
        LatencyTable.read(path)  # no file of another kind is replaced
    table = replace(read_layers(folder, device), file=str(path))
    table.write(path)
    print(f"wrote {len(table.milliseconds)} layers to {path}")
    return path
