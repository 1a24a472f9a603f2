"""The page and figures of a run, from its files: ``naswot report --run_dir RUN``."""

from __future__ import annotations

from pathlib import Path

from naswot_lightning.errors import UserError
from naswot_lightning.registry import trust_named
from naswot_lightning.report.compare_runs import compare_folders
from naswot_lightning.report.figures import draw_figures
from naswot_lightning.report.findings import find
from naswot_lightning.report.html.page import write_report
from naswot_lightning.report.run import Run, open_run, read_rows, read_run
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.storage.run_folder import RunFolder


def run_report(config: ReportConfig) -> int:
    """Draw the figures of a run, write its page where no figure is named, and name the files; or compare several runs.

    The folder's lock is not taken: a run that is still at work can be drawn, and each file is renamed whole. Return 0,
    or 1 where a figure that was asked for has nothing to show.
    """
    if len(config.run_dir) > 1:
        return compare_folders(config)
    folder = open_run(config.run_dir[0])
    if config.trust and folder.config.exists():
        trust_named({"score": folder.read_config().get("score")})
    run = read_rows(folder, read_run(folder))
    if config.figure:
        run = _measure_figures(folder, run, config)
    out, findings = folder.figures if config.out is None else Path(config.out), find(run)
    drawn = draw_figures(run, findings, out, config.figures, config.format)
    for name, file in drawn.items():
        print(f"{name}: {', '.join(str(file.with_suffix(f'.{ending}')) for ending in config.format)}")
    if config.figure:
        for name in config.figures:
            if name not in drawn:
                print(f"{name}: nothing to show in {folder.path}")
        return 0 if drawn else 1
    if not drawn:
        print(f"{folder.path}: nothing to draw yet")
    page = None if config.out is None else Path(config.out) / folder.report.name
    print(f"\nReport: {write_report(folder, run, findings, page)}")
    return 0


def _measure_figures(folder: RunFolder, run: Run, config: ReportConfig) -> Run:
    """Return the run with what the figures show; one that cannot be measured is an error where it is alone."""
    # Loads torch.
    from naswot_lightning.diagnostics.measure import measure_for_figure

    for name in config.figures:
        try:
            run = measure_for_figure(name, folder, run, config)
        except UserError as error:
            if len(config.figures) == 1:
                raise
            print(error)
    return run
