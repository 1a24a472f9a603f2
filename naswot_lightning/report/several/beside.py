"""The runs that are compared, each under a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from naswot_lightning.errors import UserError
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.provisional import with_ranking
from naswot_lightning.report.run import Run, read_run
from naswot_lightning.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Beside:
    """One of the runs.

    Attributes:
        name: of the folder, or its path where others are called the same.
        run: what its files say.
        findings: about it.
    """

    name: str
    run: Run
    findings: Findings


def read_beside(folders: Sequence[RunFolder]) -> list[Beside]:
    """Return the runs of some folders, in their order; a search that is under way has a provisional ranking.

    Raises:
        UserError: a folder is given twice or holds no run, or a file of it is damaged.
    """
    _expect_runs(folders)
    runs = [with_ranking(read_run(folder, with_rows=not folder.ranking.exists())) for folder in folders]
    called = [folder.name for folder in folders]
    names = [
        name if called.count(name) == 1 else str(folder.path) for name, folder in zip(called, folders, strict=True)
    ]
    return [Beside(name, run, find(run)) for name, run in zip(names, runs, strict=True)]


def _expect_runs(folders: Sequence[RunFolder]) -> None:
    places = [folder.path.resolve() for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        if not folder.config.exists() and not folder.picks.is_dir():
            raise UserError(f"--run_dir {folder.path}: no run in it; expected the folder of search.py or train.py")
        if places.count(place) > 1:
            raise UserError(f"--run_dir {folder.path}: it is given twice; a run is compared with others")
        folder.expect_own_folders()
