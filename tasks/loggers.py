"""Where a run's numbers go beside its metrics.csv: TensorBoard, Weights & Biases or MLflow."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from tasks.errors import RunError

TRACKERS = ("wandb", "mlflow")  # packages that only an extra installs, which know a run by an id
PROJECT = "mobiledense"  # what they gather runs under, unless their own variables say otherwise


class Events(TensorBoardLogger):
    """TensorBoard's events in the run's folder, without a file of hyperparameters, which config.yaml holds."""

    def save(self) -> None:
        pass


class Wandb(WandbLogger):
    """Ends the run at Weights & Biases with its training; the next one of this process would go on with it."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        super().finalize(status)
        if self._experiment is not None:
            self.experiment.finish(int(status != "success"))


def require_loggers(names: Sequence[str]) -> None:
    """Refuse loggers whose package is not installed.

    Raises:
        RunError: naming the extra that brings it.
    """
    for name in TRACKERS:
        found = find_spec(name) if name in names else None
        # wandb leaves a folder of its name where it runs, which Python takes for a package without an origin
        if name in names and (found is None or found.origin is None):
            raise RunError(
                f"--logger {name} needs {name}, which is not installed; in the checkout: pip install -e '.[{name}]'"
            )


def build_loggers(
    names: Sequence[str], folder: Path, name: str, begun: int | None = None, ids: dict[str, str] | None = None
) -> dict[str, Logger]:
    """The loggers of a run, by their names; csv is not among them, as a run writes it in any case.

    Weights & Biases writes to the run's folder what it does not send at once (all, under WANDB_MODE=offline); MLflow
    keeps a database there, unless MLFLOW_TRACKING_URI says otherwise.

    Args:
        names: of `tasks.options.LoggerName`.
        folder: of the run.
        name: of the run.
        begun: the step that a resumed run goes on at; what TensorBoard's events say of later ones is dropped.
        ids: under which trackers know a resumed run.
    """
    ids = ids or {}
    loggers: dict[str, Logger] = {}
    if "tensorboard" in names:
        loggers["tensorboard"] = Events(folder, "", "", purge_step=begun)
    if "wandb" in names:
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        loggers["wandb"] = Wandb(name=name, save_dir=folder, id=ids.get("wandb"), project=project)
    if "mlflow" in names:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve() / 'mlflow.db'}"
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        loggers["mlflow"] = MLFlowLogger(experiment, run_name=name, tracking_uri=uri, run_id=ids.get("mlflow"))
    return loggers


def tracker_ids(loggers: dict[str, Logger]) -> dict[str, str]:
    """Under which ids trackers know a run that has begun."""
    return {name: str(logger.version) for name, logger in loggers.items() if name in TRACKERS}


class LogOptions(Callback):
    """Tells trackers the options of a run that begins; a resumed one has told them, and MLflow takes no others.

    Args:
        loggers: see `build_loggers`.
        config: the options as YAML.
    """

    def __init__(self, loggers: dict[str, Logger], config: str) -> None:
        self.loggers, self.config = loggers, config

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        for name in TRACKERS:
            if name in self.loggers:
                self.loggers[name].log_hyperparams(yaml.safe_load(self.config) or {})
