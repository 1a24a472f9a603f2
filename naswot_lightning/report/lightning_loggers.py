"""Lightning's own loggers, made for a run; loads Lightning, which takes seconds."""

from __future__ import annotations

import csv
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from naswot_lightning.report.loggers import LoggedRun, SentOnce


def csv_logger(run: LoggedRun) -> CSVLogger:
    """Return a logger that writes ``csv/<run>/metrics.csv``, and keeps the rows that are there."""
    made = CSVLogger(run.folder, "csv", run.id, flush_logs_every_n_steps=1)
    path, rows = Path(made.log_dir) / "metrics.csv", []
    if path.exists():
        # Empty cells are those of metrics of other steps.
        found = csv.DictReader(path.read_text().splitlines())
        rows = [{name: value for name, value in row.items() if value} for row in found]
    with warnings.catch_warnings():
        # It removes the file.
        warnings.simplefilter("ignore")
        writer = made.experiment
    if rows:
        writer.metrics = rows
        writer.save()
    return made


class _FlushedTensorBoard(TensorBoardLogger):
    """Leaves nothing in memory that a killed process would lose."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(metrics, step)
        self.experiment.flush()


def tensorboard_logger(run: LoggedRun) -> TensorBoardLogger:
    """Return a logger of TensorBoard: ``tensorboard --logdir <run folder>/tensorboard`` shows all runs."""
    return _FlushedTensorBoard(run.folder, "tensorboard", run.id, default_hp_metric=False)


def mlflow_logger(run: LoggedRun, run_id: str | None = None) -> MLFlowLogger:
    """Return a logger of MLflow, whose run of ``run_id`` is continued."""
    # It tells of each table that it makes.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(run.folder / 'mlflow.db').resolve()}"
    # Artifacts lie beside a data base; a server has a place of its own.
    artifacts = (run.folder / "mlartifacts").resolve().as_uri() if address.startswith("sqlite:") else None
    tags = {"group": run.group, "job_type": run.job}
    made = MLFlowLogger(run.project, run.name, address, tags=tags, run_id=run_id, artifact_location=artifacts)
    _ = made.experiment
    return made


def wandb_logger(start: Callable[[], Any]) -> WandbLogger | None:
    """Return a logger of the run of wandb that a function starts; None where it starts none."""
    run = start()
    return None if run is None else WandbLogger(log_model=False, experiment=run)


class TrainerLogger(Logger):
    """A logger for Lightning's Trainer that sends each metric once; ``config`` are the settings of the training.

    wandb has them from its start, and is sent those of the module besides.
    """

    def __init__(self, sent: SentOnce, config: Mapping[str, Any], name: str) -> None:
        super().__init__()
        self.sent, self._config, self._name = sent, config, name

    @property
    def name(self) -> str:
        """The name of the run."""
        return self._name

    @property
    def version(self) -> str:
        """Nothing: the name says it."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Send the settings of the training, which say more than those of the module."""
        config = params if self.sent.name == "wandb" else dict(self._config)
        self.sent.call(lambda logger: logger.log_hyperparams(config))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send what is new."""
        if step is not None:
            self.sent.metrics(metrics, step)
