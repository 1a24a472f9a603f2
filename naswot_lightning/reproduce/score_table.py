"""The scores of a table's architectures: computed once for each space, data set and score, for all commands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from naswot_lightning.columns import SIZES
from naswot_lightning.config import SearchConfig, settings_affecting
from naswot_lightning.reproduce.settings import Scoring
from naswot_lightning.scorer import Evaluation
from naswot_lightning.searching.algorithms.random import Listed
from naswot_lightning.searching.plan import plan_search
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow


class ScoreTable:
    """Scores of architectures by their strings, out of the rows of ``scores.jsonl``; ``fresh`` of them are new."""

    def __init__(self, rows: Sequence[ScoreRow], higher_is_better: bool = True, fresh: int = 0) -> None:
        self._rows = {row.architecture: row for row in rows}
        self._spent: dict[str, float] = {}
        # An equal network is scored once; a run that meets it alone would have paid for it.
        for row in rows:
            self._spent[row.canonical] = max(row.seconds, self._spent.get(row.canonical, 0.0))
        self._sign = 1.0 if higher_is_better else -1.0
        self.fresh = fresh

    def scores(self, architectures: Sequence[str]) -> np.ndarray:
        """Return the scores, (n,) and higher is better; NaN where there is none."""
        rows = (self._rows[each] for each in architectures)
        return self._sign * np.array([row.score if row.status == "ok" else np.nan for row in rows], dtype=float)

    def sizes(self, name: str, architectures: Sequence[str]) -> np.ndarray:
        """Return sizes of the networks that were scored, (n,): params, macs or n_units."""
        return np.array([getattr(self._rows[each], name) for each in architectures], dtype=float)

    def seconds(self, architectures: Sequence[str]) -> np.ndarray:
        """Return the seconds that building and scoring each network took, (n,)."""
        return np.array([self._spent[self._rows[each].canonical] for each in architectures])

    def evaluation(self, architecture: str) -> Evaluation:
        """Return what an evaluator says of an architecture without training it."""
        row = self._rows[architecture]
        seconds = self._spent[row.canonical]
        return Evaluation(row.scores, row.status, row.reason, None, row.n_units, row.params, row.macs, seconds)


def score_table(
    settings: Scoring, space: str, dataset: str, architectures: Sequence[str], score: str = "naswot"
) -> ScoreTable:
    """Return the scores of architectures; those that an earlier command has not computed are computed now."""
    folder = RunFolder(scores_folder(Path(settings.out), space, dataset, score), "--out")
    same = ("data_dir", "batch_size", "seed", "canonical", "device", "workers")
    given = {name: getattr(settings, name) for name in same}
    side = settings.image_size if dataset == "imagefolder" else None
    config = SearchConfig(space=space, dataset=dataset, image_size=side, score=score, run_dir=str(folder.path), **given)
    search = replace(plan_search(config), folder=folder)
    evaluator = search.evaluator
    # Unlike a search's, these scores do not depend on which architectures are asked for, and do on the mini-batch.
    names = ("space", "device", *settings_affecting(SearchConfig, "scores"))
    identity = {**{name: getattr(search.config, name) for name in names}, "probe": evaluator.fingerprint}
    listed = Listed(list(dict.fromkeys(architectures)), search.limits)
    saved = {**search.settings, **identity}
    with folder.open(saved, identity, settings.overwrite, asdict(SearchConfig())):
        # The mark of a folder that --overwrite may clear.
        folder.run_id()
        with search.loop() as loop:
            rows = loop.run(listed, listed.propose([]))
    if loop.fresh:
        print(f"{folder.path}: {loop.fresh:,} of {len(rows):,} architectures scored now, the rest before")
    return ScoreTable(list(rows), evaluator.columns[0].higher_is_better, loop.fresh)


def scores_by_name(
    settings: Scoring, space: str, dataset: str, architectures: Sequence[str], names: Sequence[str]
) -> Mapping[str, np.ndarray]:
    """Return (n,) scores of architectures by their names, higher is better; sizes come with any score."""
    scores = [name for name in names if name not in SIZES] or ["naswot"]
    tables = {name: score_table(settings, space, dataset, architectures, name) for name in scores}
    any_table = tables[scores[0]]
    return {
        name: any_table.sizes(name, architectures) if name in SIZES else tables[name].scores(architectures)
        for name in names
    }


def scores_folder(out: Path, space: str, dataset: str, score: str) -> Path:
    """Return where scores lie.

    >>> scores_folder(Path("runs"), "nasbench101:stem_channels=16", "cifar10", "naswot").as_posix()
    'runs/scores-nasbench101-stem_channels-16-cifar10-naswot'
    """
    return out / ("scores-" + re.sub(r"[^\w.-]+", "-", f"{space}-{dataset}-{score}"))
