"""What differs in the settings of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naswot_lightning.report.run import Run

# Where a run is printed, shown and computed changes no result.
_FREE = (
    "run_dir", "top", "select", "device", "engine", "workers", "timeout", "slurm", "wandb", "overwrite", "trust",
    "calibrate",
)  # fmt: skip
_ABSENT = "-"


@dataclass(frozen=True)
class Difference:
    """A setting in which runs differ.

    Attributes:
        name: of the option; of trainings with "train.py" before it.
        values: of each run, in words; "-" where it has none.
    """

    name: str
    values: tuple[str, ...]


def differences(runs: Sequence[Run]) -> list[Difference]:
    """Return the settings that are not the same in all runs, those of the searches first."""
    settings = [_settings(run) for run in runs]
    names = dict.fromkeys(name for each in settings for name in each)
    found = [Difference(name, tuple(each.get(name, _ABSENT) for each in settings)) for name in names]
    return [each for each in found if len(set(each.values)) > 1]


def _settings(run: Run) -> dict[str, str]:
    return {**_flat({name: value for name, value in run.settings.items() if name not in _FREE}), **_training(run)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: _words(value)}
    return found


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _training(run: Run) -> dict[str, str]:
    """Return what the trainings of the largest group share, and their seeds."""
    if not run.groups:
        return {}
    shared, seeds = run.groups[0].settings, ", ".join(map(str, run.groups[0].seeds))
    named = {"dataset": shared.dataset, "epochs": str(shared.epochs), "recipe": shared.recipe, "seeds": seeds}
    return {f"train.py {name}": _ABSENT if value is None else value for name, value in named.items()}
