"""What runs of wandb show: tables, charts, pictures of cells, a summary."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from naswot_lightning.analysis.evidence import agreement_with_size, is_shown
from naswot_lightning.analysis.results import TrainingResult
from naswot_lightning.columns import SIZES
from naswot_lightning.config import SearchConfig, settings_affecting
from naswot_lightning.ranking import COLUMNS, as_dicts
from naswot_lightning.report.compare import NAMES, comparison_rows
from naswot_lightning.report.findings import Findings
from naswot_lightning.report.html.tables import thinned
from naswot_lightning.report.run import Run
from naswot_lightning.spaces import SpaceError, known_space
from naswot_lightning.storage.files import to_csv
from naswot_lightning.storage.run_folder import RunFolder

# What wandb draws of one chart, and shows of one table.
CHART_ROWS = 10_000
# Of a cell in a table: 10 to 60 kB.
_DPI = 72

# Candidates that were evaluated: the axis of the best so far.
CANDIDATES = "candidates"
BEST_SCORE = "best_score"
# Best rows of a ranking whose cells are drawn: 0.1 s each.
_PICTURES = 10

# Epochs done, a fraction inside one: the axis of a training's metrics.
EPOCH = "epoch"
METRICS = ("score/naswot", "score/naswot_running", "train/loss", "train/acc", "val/loss", "val/acc", "lr")
_TRAINING_SUMMARY = (
    "score_init", "score_final", "best_val_acc", "test_acc", "test_loss", "params", "macs", "epochs_trained", "seconds",
    "status", "reason",
)  # fmt: skip
# Known only once the network is built, and a fact about it.
_TRAINING_CONFIG = ("score_init", "params", "macs")
_CHECKPOINT = ("rank", "space", "architecture", "canonical", "dataset", "seed", "epochs", "best_val_acc", "test_acc")


def define_metrics(run: Any) -> None:
    """Let wandb draw every metric of a training over the epoch.

    By exact name: of several patterns that fit a name wandb takes one at random.
    """
    run.define_metric(EPOCH, hidden=True)
    run.define_metric("trainer/global_step", hidden=True)
    for name in METRICS:
        run.define_metric(name, step_metric=EPOCH)


def training_summary(result: TrainingResult) -> dict[str, Any]:
    """Return what is known of a training, in the names of ``result.json``."""
    known = {name: getattr(result, name) for name in _TRAINING_SUMMARY}
    return {name: value for name, value in known.items() if value is not None}


def log_result(run: Any, result: TrainingResult, last: Mapping[str, float], checkpoint: Path | None) -> None:
    """Log how a training ended, in the names of ``result.json``, with the metrics of its last epoch.

    The checkpoint, of the best epoch, is kept as the artifact ``model-<id of the run>``.
    """
    import wandb

    known = {name: value for name, value in vars(result).items() if value is not None}
    # ``wandb sync`` forgets those of an earlier part of a training that was cut.
    run.summary.update({name: last[name] for name in METRICS if name in last})
    run.summary.update(training_summary(result))
    run.config.update({name: known[name] for name in _TRAINING_CONFIG if name in known}, allow_val_change=True)
    if checkpoint is not None:
        metadata = {name: getattr(result, name) for name in _CHECKPOINT}
        artifact = wandb.Artifact(f"model-{run.id}", type="model", metadata=metadata)
        # An offline run refers to the file in the run folder, where ``wandb sync`` takes it from.
        artifact.add_file(str(checkpoint.resolve()), policy="immutable")
        run.log_artifact(artifact, aliases=["latest", "best"])


def search_config(settings: Mapping[str, Any], probe: str) -> dict[str, Any]:
    """Return the config of a search: every setting but what is shown and where, and what decides the scores besides."""
    import torch

    return {**_shown_settings(settings), "probe": probe, "torch": torch.__version__}


def _shown_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    display = settings_affecting(SearchConfig, "display")
    return {name: value for name, value in settings.items() if name not in display}


def log_search(
    run: Any, space: str, title: str, ranking: pd.DataFrame, steps: Sequence[tuple[int, float]], folder: RunFolder,
    artifacts: bool,
) -> None:  # fmt: skip
    """Log a search: its ranking, a chart with a title, and the steps of :func:`best_so_far`.

    Its files are kept in wandb, too, where they are to be ``artifacts``: ``ranking-<run id>``.
    """
    import wandb

    run.define_metric(CANDIDATES)
    run.define_metric(BEST_SCORE, step_metric=CANDIDATES)
    for number, score in steps:
        run.log({CANDIDATES: number, BEST_SCORE: score})
    rows = list(as_dicts(ranking.head(CHART_ROWS)))
    data: list[Any] = []
    for row in rows:
        picture = cell_picture(space, row["architecture"]) if len(data) < _PICTURES else None
        data.append([picture, *row.values()])
    points = [(row["params"], row["score"]) for row in rows if row["status"] == "ok" and row["params"] is not None]
    scores = ranking.loc[ranking["status"] == "ok", "score"].tolist()
    table = wandb.Table(columns=["cell", *rows[0]], data=data)
    histogram = {"scores": wandb.Histogram(scores)} if scores else {}
    run.log({"ranking": table, "score_vs_params": scatter(points, ("params", "score"), title), **histogram})
    run.summary.update(search_summary(ranking))
    if artifacts:
        artifact = wandb.Artifact(f"ranking-{folder.run_id()}", type="ranking")
        for path in (folder.ranking, folder.ranking.with_suffix(".csv"), folder.config):
            artifact.add_file(str(path))
        run.log_artifact(artifact)


def search_summary(ranking: pd.DataFrame) -> dict[str, Any]:
    """Return the best candidate of a search, and what is said of all."""
    best = next(as_dicts(ranking.head(1)))
    summary = {
        BEST_SCORE: best["score"],
        "best_architecture": best["architecture"],
        **{f"best_{size}": best[size] for size in SIZES},
        CANDIDATES: len(ranking),
        **{status: int((ranking["status"] == status).sum()) for status in ("degenerate", "failed")},
        **{f"tau/{size}": tau for size, tau in agreement_with_size(ranking).items()},
        **{f"best_{name}": value for name, value in best.items() if name not in COLUMNS},
    }
    return {name: value for name, value in summary.items() if value is not None}


def comparison_config(run: Run) -> dict[str, Any]:
    """Return the config of a comparison: the settings of the search, and those that the largest group shares."""
    shared = run.groups[0].settings
    trained = {name: getattr(shared, name) for name in ("space", "dataset", "test_set", "recipe")}
    of_training = {"train_epochs": shared.epochs, "train_seeds": list(run.groups[0].seeds)}
    return {**_shown_settings(run.settings), **trained, **of_training}


def content_of(run: Run) -> str:
    """Return a few digits that change with the trained picks."""
    return hashlib.sha256(to_csv(comparison_rows(run.results), NAMES).encode()).hexdigest()[:8]


def log_comparison(tracked: Any, run: Run, findings: Findings, figures: Mapping[str, Path] | None) -> None:
    """Log the trained picks of a run folder to wandb's run, which may hold an earlier comparison.

    Figures are PNG files by their names; None while picks train: cells are not drawn then, either.
    """
    import wandb

    rows: list[Any] = []
    for result, row in zip(run.results, comparison_rows(run.results), strict=True):
        cell = None if figures is None else cell_picture(result.space, result.architecture)
        rows.append([cell, *row.values()])
    columns = ("score_init", "test_acc", "params", "pick")
    points = [tuple(getattr(each, name) for name in columns) for each in run.results if each.is_whole]
    shown = {
        "comparison": wandb.Table(columns=["cell", *NAMES], data=rows),
        "test_acc_vs_score_init": scatter(
            [point for point in points if None not in point], columns, "test accuracy against score at init"
        ),
        **{name: wandb.Image(str(path)) for name, path in (figures or {}).items()},
    }
    of_picks = {result.pick: run.trajectories[result.pick].points for result in run.results}
    if trajectories := {pick: points for pick, points in of_picks.items() if points}:
        most = CHART_ROWS // len(of_picks)
        xs, ys = zip(*(zip(*thinned(points, most), strict=True) for points in trajectories.values()), strict=True)
        shown["trajectories"] = wandb.plot.line_series(xs, ys, list(trajectories), "score during training", "epoch")
    tracked.log(shown)
    tracked.summary.update(comparison_summary(run, findings))


def comparison_summary(run: Run, findings: Findings) -> dict[str, Any]:
    """Return the evidence of the largest group, in flat names, and the pick to choose."""
    found, verdict, best = findings.groups[0], findings.groups[0].verdict, run.best
    summary: dict[str, Any] = {"picks": len(run.results), "networks": found.networks}
    summary |= {"verdict": verdict.outcome, "verdict_sentence": verdict.sentence}
    estimates = {"tau/score_init_less_size": verdict.difference}
    for name, each in found.correlations.items():
        if is_shown(each.kendall_tau):
            estimates |= {f"tau/{name}": each.kendall_tau, f"rho/{name}": each.spearman_rho}
    for name, estimate in estimates.items():
        if estimate is not None:
            summary |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    for gain in findings.gains[:1]:
        low, high = gain.interval or (None, None)
        summary |= {"gain_over_random": gain.value, "gain_over_random_low": low, "gain_over_random_high": high}
        summary["gain_over_random_sentence"] = gain.sentence
    if best is not None:
        summary |= {"best_pick": best.pick, "best_architecture": best.architecture, "best_checkpoint": best.checkpoint}
        summary |= {"best_val_acc": best.best_val_acc, "best_test_acc": best.test_acc}
    return {name: value for name, value in summary.items() if value is not None}


def cell_picture(space: str, architecture: str) -> Any:
    """Return a ``wandb.Image`` of an architecture's cells, drawn in 0.1 s; None where they cannot be drawn.

    The space must be a built-in one, or trusted.
    """
    import wandb
    from PIL import Image

    from naswot_lightning.spaces.drawing import draw

    with TemporaryDirectory() as folder:
        path = Path(folder, "cells.png")
        try:
            draw(known_space(space), architecture, path, dpi=_DPI)
        except SpaceError:
            # The space does not describe its cells.
            return None
        with Image.open(path) as image:
            return wandb.Image(image.convert("RGB"))


def scatter(rows: Sequence[tuple[Any, ...]], columns: tuple[str, ...], title: str) -> Any:
    """Return a chart of at most 10,000 points: the first column along, the second up; others are shown with a point."""
    import wandb

    table = wandb.Table(columns=list(columns), data=[list(row) for row in rows[:CHART_ROWS]])
    return wandb.plot.scatter(table, columns[0], columns[1], title=title)
