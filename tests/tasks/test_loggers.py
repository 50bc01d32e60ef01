"""Where a run's numbers go, by name; wandb and mlflow are tried where they are installed."""

from importlib.machinery import ModuleSpec

import pytest
import torch

from tasks import loggers
from tests.conftest import quick_run


def events(folder):
    return list(folder.glob("events.out.tfevents.*"))


@pytest.mark.parametrize("found", [None, ModuleSpec("wandb", None)], ids=["absent", "a folder of wandb's"])
@pytest.mark.parametrize("name", loggers.TRACKERS)
def test_a_package_that_is_not_there_is_named_before_anything_is_read(found, name, monkeypatch, tool_here, tmp_path):
    monkeypatch.setattr(loggers, "find_spec", lambda _: found)
    loggers.require_loggers(["csv", "tensorboard"])
    (tmp_path / "empty").mkdir()
    options = ["--dataset", "voc", "--data-root", str(tmp_path / "empty"), "--output", str(tmp_path / "runs")]
    said = tool_here("train_seg", *options, "--logger", "csv", name, succeeds=False)
    assert f"--logger {name} needs {name}, which is not installed; in the checkout: pip install -e '.[{name}]'" in said
    assert not (tmp_path / "runs").exists()


def test_csv_alone_is_metrics_and_no_events(shapes, tmp_path, tool_here):
    tool_here("train_seg", *quick_run(shapes, tmp_path), "--name", "plain", "--logger", "csv")
    folder = tmp_path / "plain"
    assert not events(folder) and (folder / "metrics.csv").is_file() and (folder / "curves.png").is_file()
    options = [*quick_run(shapes, tmp_path), "--name", "plain", "--logger", "tensorboard", "--resume"]
    options[options.index("--epochs") + 1] = "3"
    assert "--logger ['tensorboard'] (was ['csv'])" in tool_here("train_seg", *options)
    assert events(folder)


def both_parts(shapes, tmp_path, tool_here, name):
    """A run of two epochs, and another one that it is resumed for: its folder, and the id after each."""
    options, ids = [*quick_run(shapes, tmp_path), "--name", "tracked", "--logger", name], []
    for more in ([], ["--resume", "--epochs", "3"]):
        tool_here("train_seg", *options, *more)
        last = torch.load(tmp_path / "tracked" / "last.ckpt", weights_only=True)
        ids.append(last["run"]["trackers"][name])
    return tmp_path / "tracked", ids


def test_mlflow_has_one_run_however_often_it_was_resumed(shapes, tmp_path, tool_here, monkeypatch):
    pytest.importorskip("sqlalchemy")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, ids = both_parts(shapes, tmp_path, tool_here, "mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("mobiledense").experiment_id])
    assert ids == [run.info.run_id] * 2
    assert (run.info.run_name, run.info.status, run.data.params["epochs"]) == ("tracked", "FINISHED", "2")
    assert [metric.step for metric in client.get_metric_history(ids[0], "val/miou")] == [1, 3, 5]
    assert not events(folder)


def test_weights_and_biases_has_one_run_and_ends_with_the_training(shapes, tmp_path, tool_here, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder, ids = both_parts(shapes, tmp_path, tool_here, "wandb")
    assert ids[0] == ids[1]
    assert len(list((folder / "wandb").glob(f"offline-run-*-{ids[0]}"))) == 2
    assert wandb.run is None  # else the next training of this process would go on with it


def test_an_error_of_a_tracker_is_one_line(shapes, tmp_path, tool_here, monkeypatch):
    class Refused(Exception):
        __module__ = "wandb.errors"

    class Logger(loggers.Events):
        @property
        def experiment(self):
            raise Refused("No API key configured.\nMore")

    monkeypatch.setattr(loggers, "Events", Logger)
    said = tool_here("train_seg", *quick_run(shapes, tmp_path), succeeds=False)
    assert "--logger wandb: No API key configured." in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())
