"""The comparison of trained picks: does a higher score mean a higher accuracy?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naswot_lightning.report import wandb_runs
from naswot_lightning.report.figures import draw_figures
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.run import Run, read_run
from naswot_lightning.report.tables import NAMES, comparison_rows, write_comparison, write_seeds
from naswot_lightning.report.terminal import print_report
from naswot_lightning.report.wandb_runs import WandbSettings
from naswot_lightning.storage.files import to_csv, write_json
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
    content = hashlib.sha256(to_csv(comparison_rows(run.results), NAMES).encode()).hexdigest()[:4]
    run_id = f"{folder.run_id()}-comparison-{len(run.results)}-{content}"
    if wandb_runs.was_sent(folder, run_id):
        return
    started = wandb_runs.start_run(
        wandb,
        folder.path,
        {"picks": len(run.results)},
        id=run_id,
        name=f"comparison {folder.name}",
        group=wandb_runs.wandb_group(folder, wandb),
        job_type="comparison",
    )
    if started is not None:
        wandb_runs.log_comparison(started, run.results, _summary(findings), drawn)
        wandb_runs.mark_sent(folder, run_id)


def _summary(findings: Findings) -> dict[str, Any]:
    """Return the evidence as wandb's summary shows it: flat names, that of the largest group."""
    found = findings.groups[0]
    correlations = found.correlations["test_acc"]
    estimates = {
        **{f"tau/{name}": each.kendall_tau for name, each in correlations.items()},
        **{f"rho/{name}": each.spearman_rho for name, each in correlations.items()},
    }
    verdict = found.verdict
    if verdict.difference is not None:
        estimates["tau/score_init_less_size"] = verdict.difference
    summary = {"networks": found.networks, "verdict": verdict.outcome, "verdict_sentence": verdict.sentence}
    for name, each in estimates.items():
        summary |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}  # type: ignore[dict-item]
    return summary
