"""The candidates of a search with all that was computed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from naswot_lightning.columns import MACS, PARAMS
from naswot_lightning.errors import UserError
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow, read_score_rows

_UNITS = "rectified_units"  # the score that counts them
_OF_ACCURACIES = ("train", "table")  # evaluators


@dataclass(frozen=True)
class Candidates:
    """The candidates of a run, each once.

    Attributes:
        folder: of the run.
        settings: of the run.
        rows: n of them, in the order in which they were finished; among the scores of each are its parameters, MACs and
            rectified units.
    """

    folder: RunFolder
    settings: Mapping[str, Any]
    rows: tuple[ScoreRow, ...]

    @property
    def name(self) -> str:
        """The folder, as it was given."""
        return str(self.folder.path)

    def scores(self, name: str) -> np.ndarray:
        """Return one score of each candidate, NaN where there is none."""
        return np.array([row.scores.get(name) for row in self.rows], dtype=float)

    def deviations(self, name: str) -> np.ndarray:
        """Return the standard deviation of one score over repeats, NaN where there is none."""
        return np.array([(row.stds or {}).get(name) for row in self.rows], dtype=float)

    @property
    def names(self) -> list[str]:
        """The scores that a candidate has, sizes last."""
        names = dict.fromkeys(name for row in self.rows for name, value in row.scores.items() if value is not None)
        sizes = [name for name in (_UNITS, PARAMS.name, MACS.name) if name in names]
        return [*(name for name in names if name not in sizes), *sizes]

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each architecture among the rows."""
        return {row.architecture: place for place, row in enumerate(self.rows)}


def read_candidates(path: str) -> Candidates:
    """Return the candidates of a run folder, which is only read.

    Raises:
        UserError: there is no search in it, its candidates have no scores, or a file is damaged.
    """
    folder = RunFolder(path)
    if not folder.config.exists() or not folder.scores.exists():
        raise UserError(f"{path}: no search in it; expected the run folder of search.py, with its scores.jsonl")
    settings = folder.read_config()
    first: dict[str, ScoreRow] = {}
    trains = settings.get("evaluator") in _OF_ACCURACIES
    for row in read_score_rows(folder.scores):
        if row.fidelity == 0 or (row.fidelity is None and not trains):  # the others are accuracies of a training
            first.setdefault(row.architecture, _with_sizes(row))
    if not first:
        cure = "search with --evaluator scores" if trains else "run its search first"
        raise UserError(f"{path}: no candidate in it has a score; {cure}")
    return Candidates(folder, settings, tuple(first.values()))


def _with_sizes(row: ScoreRow) -> ScoreRow:
    sizes = {_UNITS: row.n_units, PARAMS.name: row.params, MACS.name: row.macs}
    known = {name: None if size is None else float(size) for name, size in sizes.items()}
    return replace(row, scores={**row.scores, **known})
