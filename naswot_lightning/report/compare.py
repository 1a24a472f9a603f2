"""The comparison of trained picks: does a higher score mean a higher accuracy?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from naswot_lightning.report import wandb_runs
from naswot_lightning.report.figures import draw_figures
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.run import Run, read_run
from naswot_lightning.report.tables import write_comparison, write_seeds
from naswot_lightning.report.terminal import print_report
from naswot_lightning.report.tracking.comparison import comparison_config, content_of, log_comparison
from naswot_lightning.report.wandb_runs import WandbSettings
from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.run_folder import RunFolder


def compare(folder: RunFolder, wandb: WandbSettings) -> None:
    """Write tables, evidence and figures of all trained picks, print them, log them to wandb.

    Files: ``comparison.csv``, ``comparison_seeds.csv`` where a network has several seeds, ``evidence.json``,
    ``figures/*.png``. Only results of one data set, test set, number of epochs, recipe and space enter one statistic:
    each such group has its own, and the figures show the largest.

    Raises:
        UserError: a result, a trajectory or the ranking is damaged.
    """
    run = read_run(folder)
    if not run.results:
        return
    findings = find(run)
    write_comparison(folder.path, run.results)
    write_json(folder.path / "evidence.json", findings.to_json())
    seeds = write_seeds(folder.path, run.groups)
    drawn = draw_figures(run, findings, folder.figures)
    print_report(folder.path, run, findings, seeds, drawn)
    _track(folder, wandb, run, findings, drawn)


def _track(folder: RunFolder, wandb: WandbSettings, run: Run, findings: Findings, drawn: Mapping[str, Path]) -> None:
    """Show the comparison in wandb: in one run a folder, which is taken up where there are more picks."""
    run_id = f"{folder.run_id()}-comparison"
    content = f"{run_id}-{content_of(run)}"
    if wandb_runs.was_sent(folder, content):
        return
    started = wandb_runs.start_run(
        wandb,
        folder.path,
        comparison_config(run),
        id=run_id,
        name=f"comparison {folder.name}",
        group=wandb_runs.wandb_group(folder, wandb),
        job_type="comparison",
    )
    if started is not None and wandb_runs.send(started, lambda each: log_comparison(each, run, findings, drawn)):
        wandb_runs.mark_sent(folder, content)
