"""The run of a comparison: one a run folder, which is updated whenever more picks have ended."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from naswot_lightning.analysis.results import TrainingResult
from naswot_lightning.analysis.trajectory import Points
from naswot_lightning.report.findings import Findings
from naswot_lightning.report.run import Run
from naswot_lightning.report.tables import NAMES, comparison_rows
from naswot_lightning.report.tracking.media import cell_pictures, lines, scatter
from naswot_lightning.storage.files import to_csv


def content_of(run: Run) -> str:
    """Return a few digits that change with the trained picks."""
    return hashlib.sha256(to_csv(comparison_rows(run.results), NAMES).encode()).hexdigest()[:8]


def log_comparison(tracked: Any, run: Run, findings: Findings, figures: Mapping[str, Path] | None) -> None:
    """Log the trained picks of a run folder.

    Args:
        tracked: wandb's run; it may hold an earlier comparison.
        run: the run folder.
        findings: about it.
        figures: PNG files by their names; None while picks train: cells are not drawn then, either.
    """
    import wandb

    points = _trajectories(run)
    charts = {"trajectories": lines(points, "epoch", "score during training")} if any(points.values()) else {}
    tracked.log(
        {
            "comparison": _table(run.results, drawn=figures is not None),
            "test_acc_vs_score_init": _chart(run.results),
            **charts,
            **{name: wandb.Image(str(path)) for name, path in (figures or {}).items()},
        }
    )
    summary = {**_best(run), **_evidence(findings)}
    tracked.summary.update({name: value for name, value in summary.items() if value is not None})


def comparison_config(run: Run) -> dict[str, Any]:
    """Return what the run's config holds: the settings of the search, and those that the largest group shares."""
    largest = run.groups[0]
    settings = {name: value for name, value in run.settings.items() if name not in ("wandb", "overwrite", "trust")}
    shared = largest.settings
    trained = {name: getattr(shared, name) for name in ("space", "dataset", "test_set", "recipe")}
    return {**settings, **trained, "train_epochs": shared.epochs, "train_seeds": list(largest.seeds)}


def _table(results: Sequence[TrainingResult], drawn: bool) -> Any:
    import wandb

    pictures = _pictures(results) if drawn else [None] * len(results)
    rows = comparison_rows(results)
    data: list[Iterable[Any]] = [[picture, *row.values()] for picture, row in zip(pictures, rows, strict=True)]
    return wandb.Table(columns=["cell", *NAMES], data=data)


def _pictures(results: Sequence[TrainingResult]) -> list[Any]:
    pictures: list[Any] = [None] * len(results)
    for space in {each.space for each in results}:
        places = [place for place, each in enumerate(results) if each.space == space]
        for place, picture in zip(places, cell_pictures(space, [results[p].architecture for p in places]), strict=True):
            pictures[place] = picture
    return pictures


def _chart(results: Sequence[TrainingResult]) -> Any:
    columns = ("score_init", "test_acc", "params", "pick")
    rows = [tuple(getattr(each, name) for name in columns) for each in results if each.is_whole]
    return scatter([row for row in rows if None not in row], columns, "test accuracy against score at init")


def _trajectories(run: Run) -> dict[str, Points]:
    return {result.pick: run.trajectories[result.pick].points for result in run.results}


def _best(run: Run) -> dict[str, Any]:
    """Return the pick to choose in the largest group, by its validation accuracy, and its test accuracy."""
    best = run.groups[0].best
    found = {"picks": len(run.results)}
    if best is None:
        return found
    return {
        **found,
        "best_pick": best.pick,
        "best_architecture": best.architecture,
        "best_val_acc": best.best_val_acc,
        "best_test_acc": best.test_acc,
    }


def _evidence(findings: Findings) -> dict[str, Any]:
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
    summary: dict[str, Any] = {
        "networks": found.networks, "verdict": verdict.outcome, "verdict_sentence": verdict.sentence
    }  # fmt: skip
    for name, each in estimates.items():
        summary |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
    return summary
