import json
import pickle
import re
import shlex
import subprocess
import sys
from dataclasses import replace

import pytest

pytest.importorskip("optuna")

from backbones import BackboneOptions, Table
from datasets import DataError, write_shapes
from search import SearchError
from search.architecture_search import _command, _sampler, _settings, search_architecture
from search.proxy import Judge
from search.search_options import Controller, Place, Proxy, SearchData
from search.trials import WHO, Storage
from tasks import load_task
from tasks.errors import RunError
from tasks.options import Network
from tests.conftest import ROOT, class_folders

SIZES = {"classification": (32, 32), "segmentation": (64, 64), "detection": (64, 64)}


def toy(spec):
    """A price that is there at once, in place of milliseconds."""
    return sum(row.expanded * (row.out + row.kernel**2) for row in spec.table.rows) / 5000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    shapes, tree = (tmp_path_factory.mktemp("data") / name for name in ("shapes", "tree"))
    write_shapes(shapes, splits={"train": 24, "val": 1})
    class_folders(shapes, tree)
    return {
        "classification": {"dataset": "folder", "data_root": tree},
        "segmentation": {"dataset": "voc", "data_root": shapes},
        "detection": {"dataset": "coco", "data_root": shapes},
    }


@pytest.fixture
def judge(data):
    def make(kind="classification", target=20.0, proxy=(), controller=(), **given):
        given = data[kind] | {"max_images": 24, "holdout": 0.34, "check_data": False} | given
        short = {"size": SIZES[kind], "steps": 2, "batch_size": 4} | dict(proxy)
        how = {"trials": 4, "population": 2, "tournament": 2} | dict(controller)
        options = SearchData(**given), Proxy(**short), Controller(**how)
        return Judge(kind, Network("v3-small"), BackboneOptions(width=0.35), *options, target, lambda _: toy)

    return make


def test_a_search_from_end_to_end(judge, tmp_path, capsys):
    place = Place("søk", tmp_path)
    folder = search_architecture(judge(controller={"check": 3, "check_steps": 3}), place, "a: 1\n")
    said = capsys.readouterr().out
    written = json.loads((folder / "history.json").read_text())
    trials, best = written["trials"], max(written["trials"], key=lambda trial: trial["reward"])
    assert len(trials) == 4 and written["settings"]["steps"] == 2
    assert trials[0]["choices"] == judge().space.paper
    for trial in trials:
        spec = judge().spec_of(trial["choices"])
        assert trial["price"] == toy(spec)
        assert trial["reward"] == pytest.approx(trial["accuracy"] * (trial["price"] / 20) ** -0.07)
    task, table = load_task(folder / "best.ckpt"), Table.from_dict(json.loads((folder / "best_table.json").read_text()))
    assert task.spec.table == table == judge().space.table(best["choices"])
    assert judge().score(task) == best["accuracy"]
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == 3 and "Spearman" in page and "http" not in page
    assert said.splitlines()[-1].startswith("to train it fully: python tools/train_cls.py --backbone ")
    assert said.splitlines()[-1].endswith("--size 32 32")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".db"}
    resumed, options = replace(place, resume=True), "a: 1\nresume: true\n"
    search_architecture(judge(controller={"check": 3, "check_steps": 3}), resumed, options)
    assert "after 3 steps: Spearman" in capsys.readouterr().out
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".db"}


@pytest.mark.parametrize("kind", ["segmentation", "detection"])
def test_dense_networks_are_searched_too(judge, kind, tmp_path):
    made = judge(kind, controller={"trials": 1}, cache=True)
    folder = search_architecture(made, Place("dense", tmp_path), "")
    assert load_task(folder / "best.ckpt").kind == kind
    (trial,) = json.loads((folder / "history.json").read_text())["trials"]
    copied = pickle.loads(pickle.dumps(made))  # as processes have it
    assert copied(trial["choices"]) == (trial["accuracy"], trial["price"], trial["reward"])


def test_networks_are_judged_by_other_images_than_they_are_trained_on(judge):
    train, held = (parts := judge().parts).train, parts.held
    assert len(train.image_paths) == 16 and len(held.image_paths) == 8
    assert not {*train.image_paths} & {*held.image_paths}
    assert train.split == held.split == "train"
    again, other = judge().parts.held, judge(proxy={"seed": 1}).parts.held
    assert held.image_paths == again.image_paths != other.image_paths


def test_a_network_that_diverges_is_worth_nothing(judge, capsys):
    made = judge(proxy={"lr": 1e29, "steps": 6})
    made.check()
    assert made(made.space.paper)[0] == 0
    assert "taken for useless: the loss became" in capsys.readouterr().out


def test_a_table_by_which_networks_cost_nothing_is_refused(judge):
    made = judge()
    made.price = lambda _: -0.25
    with pytest.raises(SearchError, match=r"the smallest network of the space costs -0.25 ms by this latency table"):
        made.check()


@pytest.mark.parametrize(
    "how, said",
    [
        ({"target": 0.1}, r"--target-ms 0.1: the smallest network of the space takes [\d.]+ ms"),
        ({"holdout": 0.001}, "--holdout 0.001 of 24 images leaves 24 to train on and 0 to judge by"),
        ({"dataset": "nonsense"}, "nonsense"),
        ({"train_split": "nonsense"}, "nonsense"),
        ({"proxy": {"batch_size": 17}}, "17"),
        ({"proxy": {"trainer": {"bogus": 1}}}, "bogus"),
    ],
)
def test_what_is_refused_before_the_first_trial(judge, tmp_path, how, said):
    with pytest.raises((SearchError, DataError, ValueError), match=said):
        search_architecture(judge(**how), Place("none", tmp_path), "")
    assert not [*tmp_path.iterdir()]


def test_another_search_is_not_gone_on_with(judge, tmp_path):
    place = Place("one", tmp_path)
    search_architecture(judge(controller={"trials": 1}), place, "")
    with pytest.raises(SearchError, match="has a search; go on with it by --resume, or name another --name"):
        search_architecture(judge(), place, "")
    resumed = replace(place, resume=True)
    other = {"proxy": {"steps": 3}, "target": 30.0, "max_images": 20}
    with pytest.raises(SearchError, match=re.escape("images 16 (and not 13)")) as refused:
        search_architecture(judge(**other), resumed, "")
    assert "steps 2 (and not 3)" in str(refused.value) and "target 20.0 (and not 30.0)" in str(refused.value)
    folder = search_architecture(judge(controller={"trials": 2}), resumed, "")
    assert len(json.loads((folder / "history.json").read_text())["trials"]) == 2


def test_another_search_is_replaced_if_asked(judge, tmp_path):
    place = Place("one", tmp_path)
    made = judge(controller={"trials": 1})
    folder = search_architecture(made, place, "")
    before, weights = (folder / "trials.db").stat().st_ino, (folder / "best.ckpt").read_bytes()
    with pytest.raises(SearchError, match="--overwrite leaves a --storage alone"):
        search_architecture(judge(controller={"storage": "sqlite://"}), replace(place, overwrite=True), "")
    with pytest.raises(DataError, match="17"):
        search_architecture(judge(proxy={"batch_size": 17}), replace(place, overwrite=True), "")
    assert (folder / "trials.db").stat().st_ino == before and (folder / "best.ckpt").read_bytes() == weights
    search_architecture(judge(proxy={"steps": 1}, controller={"trials": 1}), replace(place, overwrite=True), "")
    assert json.loads((folder / "history.json").read_text())["settings"]["steps"] == 1
    assert (folder / "best.ckpt").read_bytes() != weights  # of the same network, after another training
    with pytest.raises(RunError, match="give one of the two"):
        replace(place, overwrite=True, resume=True)


@pytest.mark.parametrize("action", [{}, {"overwrite": True}, {"resume": True}])
def test_no_other_run_is_replaced(judge, tmp_path, action):
    left = {"training": ("last.ckpt", "best.ckpt"), "NetAdapt": ("iteration_00.ckpt", "history.json")}
    for kind, names in (left | {"mine": ("config.yaml", "notes.txt")}).items():
        (tmp_path / kind).mkdir()
        for name in names:
            (tmp_path / kind / name).write_text("kept")
        said = f"files of a {kind} run" if kind in left else "a config.yaml that no run wrote"
        with pytest.raises(RunError, match=f"holds {said}; name another --name or --output"):
            search_architecture(judge(), Place(kind, tmp_path, **action), "")
        assert {path.name: path.read_text() for path in (tmp_path / kind).iterdir()} == dict.fromkeys(names, "kept")


def test_results_wait_for_the_network_that_another_machine_trains(judge, tmp_path):
    own = judge(controller={"trials": 2, "storage": f"sqlite:///{tmp_path}/trials.db"})
    sampler = _sampler(own)
    study = Storage(tmp_path, own.controller.storage, "joined").begin(sampler, _settings(own), True)
    trial = study.ask()  # V3's own
    for name, known in sampler.options.items():
        trial.suggest_categorical(name, known)
    trial.set_user_attr(WHO, "another")
    with pytest.raises(SearchError, match="have begun all 2 trials, and not finished that of V3's own network"):
        search_architecture(own, Place("joined", tmp_path, resume=True), "")
    assert not (tmp_path / "joined" / "best.ckpt").exists()


def test_the_command_that_trains_has_the_searchs_head_and_data(judge, tmp_path):
    own = judge(kind="segmentation")
    own.network = Network("v3-small", "lraspp", head_options={"filters": 64})
    own.data = replace(own.data, group_by="([a-z]+)_", classes="voc")
    said = shlex.split(_command(own, tmp_path / "best_table.json"))
    for words in (
        "--head lraspp",
        "--head-options.filters 64",
        "--group-by ([a-z]+)_",
        "--classes voc",
        "--crop 64 64",
    ):
        assert words in " ".join(said)
    assert "--train-split" not in said


def test_a_folder_is_one_searchs(judge, tmp_path):
    (tmp_path / "one").mkdir()
    lock = tmp_path / "one" / ".lock"
    code = f"from tasks.lock import locked\nwith locked({str(lock)!r}):\n    print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as other:
        other.stdout.readline()
        with pytest.raises(SearchError, match="another process is searching there"):
            search_architecture(judge(), Place("one", tmp_path), "")
        other.stdin.write(b"\n")
