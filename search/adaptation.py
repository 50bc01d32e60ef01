"""NetAdapt (arXiv 1804.03230), with the choice of MobileNetV3 (arXiv 1905.02244, Section 4.2).

Until the network is fast enough: for each width the cut that saves enough, trained shortly and judged on images held
out of the training split; the best of these networks is the next one.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backbones.weights_download import sha256
from search.adaptation_history import History, save
from search.adaptation_options import LEAST, Adaptation
from search.adaptation_report import in_words, write_report
from search.beside import marked, plain, read_beside
from search.judge import Judge
from search.latencies import open_table
from search.layers import network_layers
from search.proposals import Prices, multiply_adds
from search.proxy import OPTIONS
from search.search_errors import SearchError
from search.search_options import Place, SearchData
from search.training import TOOLS
from search.widths import carry, find_widths, with_widths
from tasks.checkpoints import unchanged
from tasks.folders import require_own
from tasks.readiness import require_folder
from tasks.resume import config_without_actions
from tasks.wings import load_task


def adapt(
    checkpoint: Path,
    latency: Path | None,
    interpolate: bool,
    beside: Sequence[Path],
    data: SearchData,
    options: Adaptation,
    place: Place,
    config_text: str,
) -> Path:
    """Cut a trained network until it takes a share of its time, and say how training goes on from there.

    Args:
        checkpoint: of a classifier, LR-ASPP or SSDLite on a table of rows.
        latency: a latency table; None to count multiply-adds.
        interpolate: what the table lacks between layers that it has.
        beside: scores of networks that are drawn beside the search's own, see `search.beside.read_beside`.
        data: what proposals are trained and judged on.
        options: how the network is cut.
        place: where the search goes.
        config_text: the options as YAML; a search goes on only under the same.

    Returns:
        The search's folder.

    Raises:
        SearchError: for a network that it does not work on, a target that no cut reaches, or a folder of another
            search.
        DataError, TaskError: for whatever else the user can mend, in one line.
    """
    require_folder(place.output)
    with unchanged(checkpoint) as digest:
        task = load_task(checkpoint, "cpu")
    if plain(task.spec) != task.spec:
        task = carry(task, plain(task.spec))
    network_layers(task.spec)  # which refuses other networks
    table = None if latency is None else open_table(latency, task.spec, interpolate)
    widths = find_widths(task)
    prices = Prices(task.spec, widths, multiply_adds if table is None else table.total)
    price, least = prices.at(widths), prices.least(widths)
    unit = "M multiply-adds" if table is None else "ms"
    if least > options.target * price:
        raise SearchError(
            f"--target {options.target} is {options.target * price:.4g} {unit} of {price:.4g}, and the smallest "
            f"network that can be cut from this one needs {least:.4g}; give {least / price + 0.005:.2f} or more"
        )
    most = prices.most_saved(widths) / price
    if most < options.delta:
        raise SearchError(f"--delta {options.delta:g}: no width alone saves so much; the most is {most:.3f}")
    priced = table.price if table is not None else lambda spec: multiply_adds(network_layers(spec))
    others = read_beside(beside, priced, task.spec)
    judge = Judge(task, data, options)
    history = History(place.run(f"netadapt_{data.dataset}_{task.spec.head}").folder)
    if checkpoint.resolve().parent == history.folder.resolve():
        raise SearchError(f"--checkpoint {checkpoint}: lies in the folder of this search; name another --name")
    require_own(history.folder, "NetAdapt")
    settings = {"config": config_without_actions(config_text), "checkpoint": digest, "images": judge.parts.images}
    settings |= {"latency table": None if latency is None else sha256(latency), "unit": unit}
    settings["measure"] = judge.parts.wing.measure

    def report() -> None:
        found = [prices.layers_at(entry["widths"]) for entry in history.iterations]
        write_report(history.begun, history.folder, marked(others, found))

    with history.alone():
        if place.overwrite:
            judge.prepare()  # which refuses what it cannot begin anew with
            history.clear()
        if history.read():
            if not place.resume:
                raise SearchError(
                    f"{history.folder}: holds a search; name another --name, go on with --resume, or replace it with "
                    f"--overwrite"
                )
            history.require_same(settings)
        else:
            _begin(history, judge, task, settings, {"widths": widths, "price": price})
        report()  # which a search that was killed may not have come to
        while history.iterations[-1]["price"] > options.target * price:
            _iterate(history, judge, prices, options)
            report()
    last = history.checkpoint(len(history.iterations) - 1)
    line = ["--backbone", str(last), "--weights", str(last), *data.words]
    if task.kind != "classification" or data.dataset == "folder":  # others have images of one size
        line += [f"--{OPTIONS[task.kind][1]}", *map(str, task.spec.input_size)]
    print(f"train it for long: python tools/{TOOLS[task.kind]}.py {shlex.join(line)}")
    return history.folder


def _begin(history: History, judge: Judge, task: Any, settings: dict[str, Any], seed: dict[str, Any]) -> None:
    """Write iteration 0, which is the given network, once it is known that it can be trained."""
    judge.prepare()
    accuracy = judge.accuracy(task)
    entry = {"number": 0, "width": None, **seed, "accuracy": accuracy, "images_seen": 0, "proposals": []}
    save(task, history.checkpoint(0), entry)
    history.begun = settings | {"iterations": []}
    history.complete(entry)
    print(f"{history.folder}: {in_words(history.begun, 0)}")


def _iterate(history: History, judge: Judge, prices: Prices, options: Adaptation) -> None:
    """Train and judge all proposals that are not there yet, and take the best one.

    The choice by ratio also trains the network uncut for as many steps: what a cut costs is the difference to that, as
    training alone moves the accuracy too.
    """
    first, before = history.iterations[0], history.iterations[-1]
    number, widths = before["number"] + 1, before["widths"]
    delta = max(options.delta * options.delta_decay ** before["number"], LEAST)
    proposals = list(prices.propose(widths, before["price"] - delta * first["price"]))
    if not proposals:
        most = prices.most_saved(widths) / first["price"]
        raise SearchError(
            f"{history.folder}: no width is left that saves {delta:.3g} of the first network's price (at most "
            f"{most:.3f}); what was found is kept, and a smaller --delta under another --name goes on from "
            f"{history.checkpoint(number - 1)}"
        )
    cuts: list[tuple[str | None, int | None, float]] = [(one.width, one.channels, one.price) for one in proposals]
    if options.choose == "ratio":
        cuts.insert(0, (None, None, before["price"]))
    current, trained = history.load(number - 1), history.trained(number)
    for width, channels, price in cuts:
        if width in trained:
            continue
        changed = widths if width is None else widths | {width: channels}
        task = carry(current, with_widths(prices.seed, changed))
        accuracy, seconds = judge.train(task, number)
        record = {"iteration": number, "width": width, "channels": channels, "price": price}
        trained[width] = record | {"accuracy": accuracy, "seconds": seconds}
        history.keep(task, trained[width])
    records = [trained[width] for width, _, _ in cuts]
    best = choose(records, before["price"])
    entry = {
        **{"number": number, "width": best["width"], "widths": widths | {best["width"]: best["channels"]}},
        **{"price": best["price"], "accuracy": best["accuracy"], "seconds": sum(one["seconds"] for one in records)},
        "images_seen": before["images_seen"] + len(records) * options.steps * judge.batch_size,
        "proposals": records,
    }
    history.complete(entry, best)
    print(in_words(history.begun, number))


def choose(records: Sequence[dict[str, Any]], price: float) -> dict[str, Any]:
    """The proposal that is taken.

    With the network that was trained uncut among the records (its width is None), that is the one which loses least
    accuracy for what it saves, compared to it. A proposal that is no worse loses nothing, however much better it is: a
    cut does not add accuracy, so that the rest is chance, of which small savings would profit most, as it would be
    divided by them. Of several that lose nothing the one that saves most is taken. Without, it is the one of the
    highest accuracy.

    Args:
        records: of the proposals: "width", "price" and "accuracy".
        price: of the network that they cut.
    """
    uncut = next((one["accuracy"] for one in records if one["width"] is None), None)
    cuts = [one for one in records if one["width"] is not None]
    if uncut is None:
        return max(cuts, key=lambda one: (one["accuracy"], -one["price"]))
    return min(cuts, key=lambda one: (max(0.0, uncut - one["accuracy"]) / (price - one["price"]), one["price"]))
