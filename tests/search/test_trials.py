import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("optuna")

from optuna.trial import TrialState

from search import SearchError
from search.evolution import AgeingEvolution
from search.trials import Judged, Storage, history, work, work_in_processes
from tests.conftest import ROOT

SAMPLER = AgeingEvolution({f"x{at}": [0, 1, 2] for at in range(4)}, dict.fromkeys(["x0", "x1", "x2", "x3"], 0), 1, 4, 2)
TRIALS = 9


def judge(choices):
    accuracy = sum(choices.values()) / 8
    return Judged(accuracy, 2.0, accuracy)


def slow_judge(choices):
    time.sleep(0.3)
    return judge(choices)


def searched(folder, judge=judge, resume=False, trials=TRIALS):
    study = Storage(folder).begin(SAMPLER, {"steps": 5}, resume)
    work(Storage(folder), SAMPLER, judge, trials)
    return history(study)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return searched(tmp_path_factory.mktemp("search"))


def test_a_history(expected):
    assert [trial["number"] for trial in expected] == list(range(TRIALS))
    assert expected[0]["choices"] == SAMPLER.first and expected[0]["accuracy"] == 0
    assert len({tuple(trial["choices"].values()) for trial in expected}) == TRIALS


def test_what_fails_is_begun_again_to_the_same_history(tmp_path, expected):
    judged = []

    def failing(choices):
        judged.append(choices)
        if len(judged) in (1, 4, 8):
            raise (KeyboardInterrupt if len(judged) == 4 else RuntimeError)("the power went")
        return judge(choices)

    for attempt in range(3):
        with pytest.raises((RuntimeError, KeyboardInterrupt)):
            searched(tmp_path, failing, resume=attempt > 0)
    assert searched(tmp_path, failing, resume=True) == expected


def test_what_was_killed_is_begun_again_to_the_same_history(tmp_path, expected):
    code = (
        "import pathlib; from tests.search.test_trials import searched, slow_judge; "
        f"searched(pathlib.Path({str(tmp_path)!r}), slow_judge, resume=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("trial 2"):
                break
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
    study = Storage(tmp_path).study()
    assert [trial.state for trial in study.trials[:3]] == [TrialState.COMPLETE] * 3
    assert searched(tmp_path, resume=True) == expected


def test_what_was_killed_while_its_choices_were_written_is_begun_again(tmp_path, expected):
    study = Storage(tmp_path).begin(SAMPLER, {"steps": 5}, False)
    work(Storage(tmp_path), SAMPLER, judge, 5)
    study.sampler = SAMPLER
    trial = study.ask()
    trial.suggest_categorical("x0", SAMPLER.options["x0"])
    assert searched(tmp_path, resume=True) == expected


def test_two_processes_lose_and_repeat_nothing(tmp_path):
    begun = Storage(tmp_path)
    study = begun.begin(SAMPLER, {}, False)
    work_in_processes(begun, SAMPLER, slow_judge, TRIALS, 2)
    trials = history(study)
    assert len(trials) == TRIALS
    assert len({tuple(trial["choices"].values()) for trial in trials}) == TRIALS


def test_trials_of_other_machines_are_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path}/trials.db"
    ours, theirs = (Storage(tmp_path / who, url, "both") for who in ("we", "they"))
    study = ours.begin(SAMPLER, {}, False)
    study.sampler = SAMPLER
    for one in (ours, theirs):
        trial = study.ask(SAMPLER.infer_relative_search_space(study, None))
        trial.set_user_attr("searched by", one.who)
    theirs.begin(SAMPLER, {}, True)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING, TrialState.FAIL, TrialState.WAITING]
    assert study.trials[2].params == study.trials[1].params


def test_a_trial_that_another_machine_took_is_left_to_it(tmp_path, expected, capsys):
    url = f"sqlite:///{tmp_path}/trials.db"
    ours = Storage(tmp_path / "we", url, "both")
    study = ours.begin(SAMPLER, {}, False)
    taken = []

    def sleeping(choices):
        if not taken:
            taken.append(study.trials[0])
            ours.begin(SAMPLER, {}, True)  # which gives up what was begun here
        return judge(choices)

    work(ours, SAMPLER, sleeping, 3)
    assert "no sign of life" in capsys.readouterr().out
    assert history(study) == expected[:3]
    assert taken[0].params == expected[0]["choices"]


def test_a_small_space_is_searched_to_its_end(tmp_path):
    small = AgeingEvolution({"a": [0, 1], "b": [0, 1]}, {"a": 0, "b": 0}, 0, 2, 2)
    study = Storage(tmp_path).begin(small, {}, False)
    work(Storage(tmp_path), small, judge, 100)
    assert len(history(study)) == 4


def test_what_is_refused(tmp_path):
    Storage(tmp_path).begin(SAMPLER, {"steps": 5}, False)
    with pytest.raises(SearchError, match="has a search; go on with it by --resume"):
        Storage(tmp_path).begin(SAMPLER, {"steps": 5}, False)
    with pytest.raises(SearchError, match=r"was begun with steps 5 \(and not 6\); go on"):
        Storage(tmp_path).begin(SAMPLER, {"steps": 6}, True)
    for url in (
        "nonsense",
        "bogus://x",
        f"sqlite:///{tmp_path}/none/trials.db",
        f"sqlite:///{__file__}",
    ):
        with pytest.raises(SearchError, match="--storage, --name x: the database of trials cannot be used"):
            Storage(tmp_path, url, "x").begin(SAMPLER, {}, False)
    with pytest.raises(SearchError, match=r"the database's driver is not installed \(psycopg\[binary\]"):
        Storage(tmp_path, "oracle://x", "x").begin(SAMPLER, {}, False)


def test_a_process_that_is_killed_is_told(tmp_path):
    begun = Storage(tmp_path)
    begun.begin(SAMPLER, {}, False)
    with pytest.raises(SearchError, match="--resume goes on"):
        work_in_processes(begun, SAMPLER, kill_oneself, TRIALS, 1)


def kill_oneself(choices):
    import os

    os.kill(os.getpid(), signal.SIGKILL)
