"""What a run folder holds, read once: the input of every table, figure, page and sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from naswot_lightning.analysis.measurements import (
    AblationFile,
    Similarities,
    ablation_path,
    read_ablation,
    read_similarities,
)
from naswot_lightning.analysis.results import Group, TrainingResult, comparable, read_results
from naswot_lightning.analysis.trajectory import Trajectory
from naswot_lightning.ranking import no_rows, read_ranking
from naswot_lightning.report.table_evidence import TableEvidence, read_table_evidence
from naswot_lightning.report.table_source import read_source
from naswot_lightning.report.trainings import Training, read_trainings
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow, read_score_rows
from naswot_lightning.storage.versions import Versions, read_versions


@dataclass(frozen=True)
class Run:
    """What the files of a run folder say.

    Attributes:
        name: of the folder.
        settings: of the search, as ``config.yaml`` holds them; empty where picks were given by hand.
        ranking: best first; empty where there is none.
        results: of all trainings, the best rank first.
        groups: of results that can be compared, that with the most usable networks first.
        trajectories: by the name of the pick.
        rows: finished candidates in the order in which they were finished, those too that no ranking holds yet; empty
            where they were not asked for.
        provisional: whether the ranking is of the finished candidates of a search that has written none yet.
        trainings: all of them, those too that have no result.
        benchmark: which accuracies of which table the ranking holds; None where it holds none.
        table_evidence: what these accuracies say of the score.
        kernels: of a few networks, where they were measured.
        jacobians: the same.
        versions: of the libraries that the search ran with, a set for each time that they changed.
        ablation: scores of ten networks under other conditions, as far as they were measured.
    """

    name: str
    settings: Mapping[str, Any]
    ranking: pd.DataFrame
    results: tuple[TrainingResult, ...]
    groups: tuple[Group, ...]
    trajectories: Mapping[str, Trajectory]
    rows: Sequence[ScoreRow] = ()
    trainings: tuple[Training, ...] = ()
    provisional: bool = False
    benchmark: str | None = None
    table_evidence: TableEvidence | None = None
    kernels: Similarities | None = None
    jacobians: Similarities | None = None
    ablation: AblationFile | None = None
    versions: Sequence[Versions] = ()

    @property
    def ranked(self) -> tuple[str, ...] | None:
        """Canonical names of the ranking's different networks, best first; None where there is no ranking."""
        if self.ranking.empty:
            return None
        return tuple(self.ranking.loc[self.ranking["status"] == "ok", "canonical"].drop_duplicates())


def read_run(
    folder: RunFolder,
    with_rows: bool = False,
    rows: Sequence[ScoreRow] | None = None,
    ranking: pd.DataFrame | None = None,
) -> Run:
    """Return what a run folder holds; of what is not there yet, nothing.

    Args:
        folder: which may be at work.
        with_rows: read all finished candidates, too; a ranking tells less of each, and is smaller.
        rows: these, where they are read already.
        ranking: that of the folder, where it was just made.

    Raises:
        UserError: the settings, a finished candidate, the ranking, a result or a trajectory is damaged.
    """
    if rows is None:
        rows = read_score_rows(folder.scores) if with_rows and folder.scores.exists() else ()
    if ranking is None:
        ranking = read_ranking(folder.path) if folder.ranking.exists() else no_rows()
    results = read_results(folder.path)
    trainings = read_trainings(folder.path, results)
    return Run(
        name=folder.name,
        settings=folder.read_config() if folder.config.exists() else {},
        ranking=ranking,
        results=tuple(results),
        groups=tuple(comparable(results)),
        trajectories={each.pick: each.trajectory for each in trainings if each.result is not None},
        rows=rows,
        trainings=trainings,
        benchmark=read_source(folder.path / "benchmark_evidence.json"),
        table_evidence=read_table_evidence(folder.path / "benchmark_evidence.json"),
        kernels=read_similarities(folder.path, "kernels"),
        jacobians=read_similarities(folder.path, "jacobians"),
        ablation=read_ablation(ablation_path(folder.path)),
        versions=read_versions(folder.versions),
    )
