"""Platform-aware search (MnasNet, arXiv 1807.11626) over V3's tables, from its options to its results."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.evolution import AgeingEvolution
from search.proxy import OPTIONS, Judge
from search.rank_correlation import correlate
from search.report import search_page, tell
from search.search_errors import SearchError
from search.search_options import Place
from search.training import TOOLS
from search.trials import Storage, history, work, work_in_processes
from tasks.checkpoints import AtomicCheckpointIO, read_checkpoint
from tasks.errors import CheckpointError
from tasks.folders import require_own
from tasks.lock import Locked, locked
from tasks.readiness import require_folder
from tasks.resume import config_without_actions
from tasks.writing import whole, write_json

RESULTS = ("history.json", "best_table.json", "best.ckpt", "report.html")


def search_architecture(judge: Judge, place: Place, config_text: str) -> Path:
    """Search, and write what was found: trials.db, history.json, best_table.json, best.ckpt and report.html.

    Args:
        judge: of networks.
        place: where the search goes.
        config_text: the options as YAML, written into its folder.

    Returns:
        The folder.

    Raises:
        BackboneError, HeadError, DataError, TaskError: for whatever the user can mend, in one line.
    """
    run = place.run(f"search_{judge.data.dataset}_{judge.network.backbone}")
    folder = require_folder(run.folder)
    if place.overwrite and judge.controller.storage is not None:
        raise SearchError("--overwrite leaves a --storage alone, where others may be searching; name another --name")
    require_own(folder, "search", ("config.yaml", *RESULTS))
    judge.check()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / ".lock"):
            if place.overwrite:
                _clear(folder)
            _search(judge, str(run.name), folder, place.resume, config_text)
    except Locked:
        raise SearchError(f"{folder}: another process is searching there; name another --name") from None
    return folder


def _clear(folder: Path) -> None:
    """Remove what a search leaves, its trials last: what of it remains without them could be taken for another's."""
    for path in (*(folder / name for name in RESULTS), *sorted(folder.glob("trials.db*"))):
        path.unlink(missing_ok=True)


def _search(judge: Judge, name: str, folder: Path, resume: bool, config_text: str) -> None:
    how, sampler = judge.controller, _sampler(judge)
    storage = Storage(folder) if how.storage is None else Storage(folder, how.storage, name)
    settings = _settings(judge)
    with storage.told():
        study = storage.begin(sampler, settings, resume)
        with whole(folder / "config.yaml") as unfinished:
            unfinished.write_text(config_without_actions(config_text), encoding="utf-8")
        print(
            f"{sampler.size:,} networks in the space; trains on {judge.parts.images[0]:,} images and judges by "
            f"{judge.parts.images[1]:,} others of {judge.data.train_split}; writing to {folder}",
            flush=True,
        )
        if how.processes > 1:
            work_in_processes(storage, sampler, judge, how.trials, how.processes)
        else:
            work(storage, sampler, judge, how.trials)
        _write(judge, study, settings, folder)


def _sampler(judge: Judge) -> AgeingEvolution:
    how, space = judge.controller, judge.space
    return AgeingEvolution(space.options(), space.paper, judge.proxy.seed, how.population, how.tournament)


def _settings(judge: Judge) -> dict[str, Any]:
    """Whatever the trials depend on: a search that goes on must have the same; where data lies may change."""
    data, proxy, how = asdict(judge.data), asdict(judge.proxy), asdict(judge.controller)
    parted = ("dataset", "train_split", "holdout", "max_holdout", "max_images", "group_by", "classes")
    settings = {name: data[name] for name in parted}
    settings |= {name: proxy[name] for name in ("size", "steps", "lr", "seed", "trainer")}
    settings |= {name: how[name] for name in ("alpha", "beta", "population", "tournament")}
    settings |= {"task": judge.kind, "images": f"{judge.parts.images[0]:,}"}
    settings |= {"batch_size": judge.batch_size, "target": judge.target}
    # the tables tell the backbone's options apart, and prices those of the latency table
    settings |= {"backbone": str(judge.spec.table), "head": judge.spec.head, "head_options": judge.spec.head_options}
    settings["price of V3"] = judge.price(judge.spec)
    settings["price of the smallest network"] = judge.price(judge.spec_of(judge.space.smallest))
    return json.loads(json.dumps(settings))  # as the storage has it


def _write(judge: Judge, study: Any, settings: dict[str, Any], folder: Path) -> None:
    """All results; what is there already is written again as it was."""
    trials, how, measure = history(study), judge.controller, judge.wing.measure
    paper = next((trial for trial in trials if trial["choices"] == judge.space.paper), None)
    if paper is None:
        raise SearchError(
            f"{folder}: other processes have begun all {how.trials} trials, and not finished that of V3's own network; "
            "--resume writes the results once they have"
        )
    best = max(trials, key=lambda trial: trial["reward"])
    table = judge.space.table(best["choices"])
    write_json(folder / "history.json", {"settings": settings, "trials": trials})
    write_json(folder / "best_table.json", table.to_dict())
    _write_checkpoint(judge, best, folder / "best.ckpt")
    steps = how.check_steps or 10 * judge.proxy.steps
    correlation = correlate(study, trials, judge, how.check, steps) if how.check else None
    content = search_page(
        f"{folder.name}: {judge.kind} on {judge.data.dataset}, {len(trials)} networks",
        trials,
        judge.target,
        measure,
        (judge.space.base, paper),
        (table, best),
        settings,
        correlation,
    )
    with whole(folder / "report.html") as unfinished:
        unfinished.write_text(content, encoding="utf-8")
    print(f"V3's own network: {tell(paper, measure)}")
    print(f"best network, trial {best['number']}: {tell(best, measure)}; {table}")
    if correlation is not None:
        print(correlation)
    print(f"wrote {', '.join(RESULTS)} to {folder}")
    if best["price"] > judge.target:
        print(f"it takes more than the {judge.target:g} ms aimed at; a --beta down to -1 keeps nearer to them")
    print(f"to train it fully: {_command(judge, folder / 'best_table.json')}")


def _command(judge: Judge, table: Path) -> str:
    """What trains a network by all that there is to learn from."""
    words = ["python", f"tools/{TOOLS[judge.kind]}.py", "--backbone", str(table), *judge.data.words]
    words += [] if judge.network.head is None else ["--head", judge.network.head]
    for name, value in (judge.network.head_options or {}).items():
        words += [f"--head-options.{name}", str(value)]
    size = judge.proxy.size
    words += [] if size is None else [f"--{OPTIONS[judge.kind][1]}", *map(str, size)]
    return shlex.join(words)


def _write_checkpoint(judge: Judge, best: dict[str, Any], path: Path) -> None:
    """The best network after its short training, which is done again: as it was, to the same weights."""
    table = judge.spec_of(best["choices"]).table.to_dict()
    try:
        if read_checkpoint(path)["mobiledense"]["table"] == table:
            return
    except CheckpointError:  # there is none yet
        pass
    task = judge.train(best["choices"], judge.proxy.steps)
    AtomicCheckpointIO().save_checkpoint({"state_dict": task.state_dict(), "mobiledense": task.describe()}, path)
