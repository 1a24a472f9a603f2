"""``report.html`` of a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from naswot_lightning.errors import warn_of_failure
from naswot_lightning.report.findings import find
from naswot_lightning.report.html.document import render
from naswot_lightning.report.html.page import page_of
from naswot_lightning.report.provisional import with_ranking
from naswot_lightning.report.run import Run, read_run
from naswot_lightning.storage.files import atomic_write
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow

_SCRIPTS = ("trainings", "evidence", "run")


def write_report(folder: RunFolder, to: Path | None = None, run: Run | None = None) -> Path:
    """Write the page of a run, and return its file; the same files give the same bytes.

    Args:
        folder: of the run, which may be at work.
        to: the file, in place of ``report.html`` in the folder.
        run: what the folder holds, where it is read already.

    Raises:
        UserError: a file of the run is damaged.
    """
    run = run or with_ranking(read_run(folder, with_rows=True))
    page = page_of(run, find(run))
    title = f"{page.name} · naswot-lightning"
    html = render("run.html", title, _SCRIPTS, "startRun", page.to_json(), page=page)
    path = to or folder.report
    atomic_write(path, html.encode("utf-8", "replace"))  # the name of a folder need not be Unicode
    return path


def offer_report(
    folder: RunFolder, rows: Sequence[ScoreRow] | None = None, ranking: pd.DataFrame | None = None
) -> None:
    """Write the page at the end of a command, and say what to open; what the command has done stands in any case.

    Args:
        folder: of the run.
        rows: its finished candidates, where they are read already.
        ranking: of these, where it was just made.
    """
    with warn_of_failure(f"{folder.report} cannot be written"):
        print(f"Report: {write_report(folder, run=with_ranking(read_run(folder, True, rows, ranking)))}")
