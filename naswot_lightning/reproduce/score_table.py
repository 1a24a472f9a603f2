"""The scores of a table's architectures: computed once for each space, data set and score, for all commands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from naswot_lightning.columns import SIZES
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.reproduce.settings import Scoring
from naswot_lightning.scorer import Evaluation
from naswot_lightning.search.algorithms.listed import Listed
from naswot_lightning.search.loop import Loop
from naswot_lightning.search.plan import Search, plan_search
from naswot_lightning.storage.run_folder import RunFolder, differing
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows


class ScoreTable:
    """Scores of architectures, by their strings.

    Args:
        rows: of ``scores.jsonl``.
        higher_is_better: whether high scores are good ones.
        fresh: how many were computed now.
    """

    def __init__(self, rows: Sequence[ScoreRow], higher_is_better: bool = True, fresh: int = 0) -> None:
        self._rows = {row.architecture: row for row in rows}
        self._spent: dict[str, float] = {}
        for row in rows:  # an equal network is scored once; a run that meets it alone would have paid for it
            self._spent[row.canonical] = max(row.seconds, self._spent.get(row.canonical, 0.0))
        self._sign = 1.0 if higher_is_better else -1.0
        self.fresh = fresh

    def merits(self, architectures: Sequence[str]) -> np.ndarray:
        """Return the scores, (n,) and higher is better; NaN where there is none."""
        rows = (self._rows[each] for each in architectures)
        return self._sign * np.array([row.score if row.status == "ok" else np.nan for row in rows], dtype=float)

    def sizes(self, name: str, architectures: Sequence[str]) -> np.ndarray:
        """Return plain sizes of the networks that were scored, (n,): params, macs or n_units."""
        return np.array([getattr(self._rows[each], name) for each in architectures], dtype=float)

    def seconds(self, architectures: Sequence[str]) -> np.ndarray:
        """Return the seconds that building and scoring each network took, (n,)."""
        return np.array([self._spent[self._rows[each].canonical] for each in architectures])

    def values(self, architecture: str) -> Evaluation:
        """Return what an evaluator says of an architecture without training it."""
        row = self._rows[architecture]
        seconds = self._spent[row.canonical]
        return Evaluation(row.scores, row.status, row.reason, None, row.n_units, row.params, row.macs, seconds)


def score_table(
    settings: Scoring, space: str, dataset: str, architectures: Sequence[str], score: str = "naswot"
) -> ScoreTable:
    """Return the scores of architectures; those that an earlier command has not computed are computed now.

    Args:
        settings: of the command.
        space: of the architectures.
        dataset: of the mini-batch.
        architectures: which.
        score: which of :data:`~naswot_lightning.scores.SCORES`; plain sizes come with each.

    Raises:
        UserError: the folder's scores were made with other settings, or the data set is at fault.
    """
    folder = scores_folder(Path(settings.out), space, dataset, score)
    search = plan_search(_config(settings, space, dataset, score, folder))
    search = replace(search, folder=RunFolder(folder, "--out"))
    identity = _identity(search)
    if not settings.overwrite:
        _expect_equal(search, identity)
    listed = Listed(list(dict.fromkeys(architectures)), search.limits)
    with search.folder.open({**search.settings, **identity}, identity, settings.overwrite):
        search.folder.run_id()  # the mark of a folder that --overwrite may clear
        with ScoreRows(search.folder.scores) as finished:
            loop = Loop(search.space.name, search.canonical, search.evaluator, search.executor, search.seed, finished)
            rows = loop.run(listed, listed.propose([]))
    if loop.fresh:
        print(f"{folder}: {loop.fresh:,} of {len(rows):,} architectures scored now, the rest before")
    return ScoreTable(list(rows), search.evaluator.columns[0].higher_is_better, loop.fresh)


def merits_by_score(
    settings: Scoring, space: str, dataset: str, architectures: Sequence[str], scores: Sequence[str]
) -> Mapping[str, np.ndarray]:
    """Return (n,) merits of architectures by the names of scores; plain sizes come with any score."""
    computed = {
        name: score_table(settings, space, dataset, architectures, name) for name in scores if name not in SIZES
    }
    any_table = next(iter(computed.values()), None) or score_table(settings, space, dataset, architectures)
    return {
        name: computed[name].merits(architectures) if name in computed else any_table.sizes(name, architectures)
        for name in scores
    }


def scores_folder(out: Path, space: str, dataset: str, score: str) -> Path:
    """Return where scores lie.

    >>> scores_folder(Path("runs"), "nasbench101:stem_channels=16", "cifar10", "naswot").as_posix()
    'runs/scores-nasbench101-stem_channels-16-cifar10-naswot'
    """
    return out / ("scores-" + re.sub(r"[^\w.-]+", "-", f"{space}-{dataset}-{score}"))


def _config(settings: Scoring, space: str, dataset: str, score: str, folder: Path) -> SearchConfig:
    return SearchConfig(
        space=space,
        dataset=dataset,
        data_dir=settings.data_dir,
        image_size=settings.image_size if dataset == "imagefolder" else None,
        batch_size=settings.batch_size,
        seed=settings.seed,
        canonical=settings.canonical,
        score=score,
        device=settings.device,
        workers=settings.workers,
        run_dir=str(folder),
    )


def _identity(search: Search) -> dict[str, Any]:
    own = {"space": search.space.name, "canonical": search.settings["canonical"], "seed": search.seed}
    return {**own, **search.evaluator.identity(), "probe": search.evaluator.fingerprint}


def _expect_equal(search: Search, identity: Mapping[str, Any]) -> None:
    if not search.folder.config.exists():
        return
    if odd := differing(search.folder.read_config(), identity):
        raise UserError(
            f"{search.folder.path}: its scores were made with other settings: {'; '.join(odd)}; choose another --out, "
            "or use --overwrite to score anew"
        )
