"""Losses and accuracies of one training, epoch by epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from naswot_lightning.errors import UserError
from naswot_lightning.storage.records import MOST

_WHEN = ("epoch", "step")


@dataclass(frozen=True)
class LearningCurve:
    """What ``metrics.csv`` says.

    Attributes:
        epochs: (n,) epochs done, ascending.
        metrics: (n,) values by their names ("train/loss", "val/acc"); None where there is none at that epoch.
    """

    epochs: tuple[int, ...] = ()
    metrics: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


def read_learning_curve(path: Path) -> LearningCurve:
    """Read a ``metrics.csv``; one that is missing or empty has no epochs.

    Raises:
        UserError: the file is damaged.
    """
    try:
        rows = list(csv.DictReader(path.read_bytes().decode().splitlines()))
        epochs = tuple(int(row["epoch"]) for row in rows)
        names = [name for name in (rows[0] if rows else ()) if name not in _WHEN]
        metrics = {name: tuple(_number(row[name]) for row in rows) for name in names}
    except FileNotFoundError:
        return LearningCurve()
    except (KeyError, TypeError, ValueError, csv.Error):
        raise UserError(
            f"{path} is damaged: expected the columns epoch, step and metrics, with numbers; remove the file, "
            "and its training is shown without a learning curve"
        ) from None
    return LearningCurve(epochs, metrics)


def _number(text: str | None) -> float | None:
    if not text:
        return None
    number = float(text)
    return number if abs(number) <= MOST else None
