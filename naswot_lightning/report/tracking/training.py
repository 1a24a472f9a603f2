"""The run of a pick's training: the names of its metrics, and what is said of it at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naswot_lightning.analysis.results import TrainingResult
from naswot_lightning.report.tracking.artifacts import log_checkpoint

EPOCH = "epoch"  # epochs done, a fraction inside one: the axis of all others
METRICS = ("score/naswot", "score/naswot_running", "train/loss", "train/acc", "val/loss", "val/acc", "lr")
_SUMMARY = (
    "score_init", "score_final", "best_val_acc", "test_acc", "test_loss", "params", "macs", "epochs_trained", "seconds",
    "status", "reason",
)  # fmt: skip
_CONFIG = ("score_init", "params", "macs")  # known only once the network is built, and a fact about it


def define_metrics(run: Any) -> None:
    """Let wandb draw every metric over the epoch.

    By exact name: of several patterns that fit a name wandb takes one at random.
    """
    run.define_metric(EPOCH, hidden=True)
    run.define_metric("trainer/global_step", hidden=True)
    for name in METRICS:
        run.define_metric(name, step_metric=EPOCH)


def log_result(run: Any, result: TrainingResult, last: Mapping[str, float], checkpoint: Path | None) -> None:
    """Log how a training ended, in the names of ``result.json``.

    Args:
        run: of wandb.
        result: of the training.
        last: metrics of its last epoch: ``wandb sync`` forgets those of an earlier part of a training that was cut.
        checkpoint: of the best epoch, where it is to be kept as an artifact.
    """
    run.summary.update({**{name: last[name] for name in METRICS if name in last}, **_known(result, _SUMMARY)})
    run.config.update(_known(result, _CONFIG), allow_val_change=True)
    if checkpoint is not None:
        log_checkpoint(run, result, checkpoint)


def _known(result: TrainingResult, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(result, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
