"""``report.html`` of a run folder."""

from __future__ import annotations

from pathlib import Path

from naswot_lightning.report.findings import find
from naswot_lightning.report.html.document import render
from naswot_lightning.report.html.page import page_of
from naswot_lightning.report.provisional import with_ranking
from naswot_lightning.report.run import read_run
from naswot_lightning.storage.files import write_whole
from naswot_lightning.storage.run_folder import RunFolder

_SCRIPTS = ("trainings", "evidence", "run")


def write_report(folder: RunFolder) -> Path:
    """Write the page of a run, and return its file; the same files give the same bytes.

    Raises:
        UserError: a file of the run is damaged.
    """
    run = with_ranking(read_run(folder, with_rows=True))
    page = page_of(run, find(run))
    title = f"{page.name} · naswot-lightning"
    html = render("run.html", title, _SCRIPTS, "startRun", page.to_json(), page=page)
    path = folder.path / "report.html"
    write_whole(path, html.encode("utf-8", "replace"))  # the name of a folder need not be Unicode
    return path
