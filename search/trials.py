"""Trials of a search in Optuna's storage: begun, judged, given up and begun again, by any number of processes.

What a search knows is its storage. A trial counts once its value is stored, which is one transaction: what is killed
before leaves an entry that runs for ever, which is marked as failed and begun again with the same choices. That is done
at once for those of this folder, which one search has to itself (tasks/lock.py), and for those of other machines on
one database once their heart has not beaten for some minutes.
"""

import multiprocessing
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import torch
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from search.evolution import LIVE, AgeingEvolution, place
from search.search_errors import SearchError

BEAT, STALE = 30, 240  # seconds between signs of life, and without one until a trial is given up
WHO, FOUND = "searched by", "found"  # attributes of a trial: a folder and its machine, and what it found


class Judged(NamedTuple):
    """What a trial found.

    Attributes:
        accuracy: on images held out of the training split, 0 to 1.
        price: such as milliseconds.
        reward: of both.
    """

    accuracy: float
    price: float
    reward: float

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:.4f}, {self.price:.4g} ms, reward {self.reward:.4f}"


Judge = Callable[[Mapping[str, Any]], Judged]


@dataclass(frozen=True)
class Storage:
    """Where trials are.

    Attributes:
        folder: of the search, which no other one has at the same time.
        url: of a database that machines share, as SQLAlchemy has it; None for a file in the folder.
        name: of the search in that database.
    """

    folder: Path
    url: str | None = None
    name: str = "search"

    @property
    def who(self) -> str:
        """Works at the trials that this folder's search begins."""
        return f"{socket.gethostname()}:{self.folder.absolute()}"

    @property
    def where(self) -> str:
        """As messages have it; the URL may hold a password."""
        return str(self.folder) if self.url is None else f"--storage, --name {self.name}"

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell in a line what is wrong with the database.

        Raises:
            SearchError: if anything is, such as a disk that is full.
        """
        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            said = str(error.__cause__ or error).splitlines()[0]
            raise SearchError(f"{self.where}: the database of trials cannot be used ({said})") from None

    def study(self, sampler: AgeingEvolution | None = None, resume: bool = True) -> optuna.Study:
        """The search, begun if there is none.

        Raises:
            SearchError: if the database cannot be used, or has such a search and `resume` is False.
        """
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # what fails ends a search, with a line
        file = URL.create("sqlite", database=str(self.folder.absolute() / "trials.db")).render_as_string()
        url = (self.url or file).replace("{", "{{").replace("}", "}}")  # Optuna fills templates in
        waits = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
        beats: dict[str, Any] = {} if self.url is None else {"heartbeat_interval": BEAT, "grace_period": STALE}
        with self.told(), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                storage = RDBStorage(url, waits, heartbeat_stale_trial_callback=_begin_again, **beats)
                return optuna.create_study(
                    study_name=self.name, storage=storage, sampler=sampler, direction="maximize", load_if_exists=resume
                )
            except optuna.exceptions.DuplicatedStudyError:
                replaced = "; --overwrite replaces it" if self.url is None else ""
                raise SearchError(
                    f"{self.where}: has a search; go on with it by --resume, or name another --name{replaced}"
                ) from None
            except ImportError:
                raise SearchError(
                    f"{self.where}: the database's driver is not installed (psycopg[binary] for postgresql+psycopg://)"
                ) from None
            except ValueError as error:  # of a URL
                said = str(error).splitlines()[0]
                raise SearchError(f"{self.where}: the database of trials cannot be used ({said})") from None

    def begin(self, sampler: AgeingEvolution, settings: dict[str, Any], resume: bool) -> optuna.Study:
        """The search, whose trials that nobody works on any more are given up; one process at a time may call this.

        Args:
            sampler: of its choices.
            settings: whatever its trials depend on, plain values.
            resume: whether it may have been begun before.

        Raises:
            SearchError: if it was begun under other settings.
        """
        study = self.study(sampler, resume)
        begun = study.user_attrs.get("settings", settings)
        changed = [name for name in sorted(begun.keys() | settings.keys()) if begun.get(name) != settings.get(name)]
        if changed:
            said = ", ".join(f"{name} {begun.get(name)} (and not {settings.get(name)})" for name in changed)
            raise SearchError(f"{self.where}: was begun with {said}; go on with the same, or name another --name")
        study.set_user_attr("settings", settings)
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if self._is_dead(trial):
                study.tell(trial.number, state=TrialState.FAIL)
                if trial.params.keys() == sampler.options.keys():
                    _begin_again(study, trial)
        return study

    def _is_dead(self, trial: FrozenTrial) -> bool:
        who, started = trial.user_attrs.get(WHO), trial.datetime_start
        old = started is not None and datetime.now() - started > timedelta(seconds=STALE)
        return self.url is None or who == self.who or (who is None and old)


def _begin_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Have the choices of a trial that failed tried next."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback()(study, trial)


def work(storage: Storage, sampler: AgeingEvolution, judge: Judge, trials: int) -> None:
    """Judge networks until a search has so many trials, together with all others who work at it.

    Args:
        storage: of a search that was begun.
        sampler: of its choices.
        judge: of a network; its result is a function of the choices.
        trials: finished ones and those that run elsewhere.
    """
    study = storage.study(sampler)
    trials = min(trials, sampler.size)

    def objective(trial: Trial) -> float:
        trial.set_user_attr(WHO, storage.who)
        choices = {name: trial.suggest_categorical(name, known) for name, known in sampler.options.items()}
        every = study.get_trials(deepcopy=False)
        before = [one for one in every if one.number < trial.number and one.state in LIVE]
        if place(every, trial.number) >= trials or any(one.params == choices for one in before):
            raise optuna.TrialPruned  # another process was there at the same moment
        found = judge(choices)
        trial.set_user_attr(FOUND, found._asdict())
        print(f"trial {place(every, trial.number)}: {found}", flush=True)
        return found.reward

    with storage.told():
        while place(study.get_trials(deepcopy=False)) < trials:
            try:
                study.optimize(objective, n_trials=1)
            except ValueError as error:
                if not str(error).startswith("Cannot tell a FAIL trial"):
                    raise
                # this machine slept, say, and another one has its trial
                print("a trial that gave no sign of life for minutes is left to whoever began it again", flush=True)


def work_in_processes(storage: Storage, sampler: AgeingEvolution, judge: Judge, trials: int, processes: int) -> None:
    """`work` in so many processes, each of which ends with this one.

    Args:
        storage: of a search that was begun.
        sampler: of its choices.
        judge: see `work`; it can be pickled.
        trials: see `work`.
        processes: 2 or more.

    Raises:
        SearchError: if one of them was killed.
    """
    threads = max(1, torch.get_num_threads() // processes)
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, context, _begin_process, (threads,)) as pool:
            for one in [pool.submit(work, storage, sampler, judge, trials) for _ in range(processes)]:
                one.result()
    except BrokenProcessPool:
        raise SearchError(
            "a process of the search was killed, perhaps for its memory; --resume goes on, with fewer --processes"
        ) from None


def _begin_process(threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def history(study: optuna.Study) -> list[dict[str, Any]]:
    """Every finished trial: its number among them from 0, its choices, accuracy, price and reward; the oldest first."""
    finished = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return [{"number": at, "choices": one.params, **one.user_attrs[FOUND]} for at, one in enumerate(finished)]
