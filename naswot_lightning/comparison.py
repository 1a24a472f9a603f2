"""The comparison of trained picks: does a higher score mean a higher accuracy?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from naswot_lightning import figures, tracking
from naswot_lightning.config import WandbConfig
from naswot_lightning.files import write_whole
from naswot_lightning.ranking import kendall_tau, to_csv
from naswot_lightning.run_folder import RunFolder
from naswot_lightning.tables import print_table

Row = dict[str, Any]

COLUMNS = (
    "rank", "score_init", "score_final", "best_val_acc", "test_acc", "params", "macs", "seconds", "pick",
    "architecture",
)  # fmt: skip
_HEADERS = (
    "rank", "score at init", "score after", "best val acc", "test acc", "parameters", "MACs", "seconds", "pick",
    "architecture",
)  # fmt: skip


def read_results(folder: Path) -> list[Row]:
    """Return the results of all finished picks, best rank first."""
    results = []
    for path in folder.glob("picks/*/result.json"):
        results.append({**json.loads(path.read_text()), "pick": path.parent.name})
    return sorted(results, key=lambda row: (row["rank"] is None, row["rank"] or 0, row["pick"]))


def compare(folder: RunFolder, wandb: WandbConfig) -> None:
    """Write ``comparison.csv`` and ``figures/figure6.png``, print the table, log both to wandb."""
    results = read_results(folder.path)
    if not results:
        return
    write_whole(folder.path / "comparison.csv", to_csv(results, COLUMNS))
    figure = folder.path / "figures" / "figure6.png"
    figures.draw_figure6(
        [
            (
                f"{row['pick']}: {100 * row['test_acc']:.2f} %",
                figures.read_trajectory(folder.path / "picks" / row["pick"] / "trajectory.csv"),
            )
            for row in results
        ],
        f"{results[0]['space']} on {results[0]['dataset']}, n = {len(results)} networks, "
        f"{results[0]['epochs']} epochs, seed {results[0]['seed']}",
        figure,
    )
    taus = agreement(results)
    _report(folder.path, results, taus, figure)
    _track(folder, wandb, results, taus, figure)


def agreement(results: Sequence[Row]) -> dict[str, float | None]:
    """Return Kendall's tau between test accuracy and score at init, parameters and MACs."""
    accuracy = [row["test_acc"] for row in results]
    scored = [row for row in results if row["score_init"] is not None]
    tau_of_score = kendall_tau([row["score_init"] for row in scored], [row["test_acc"] for row in scored])
    sizes = {name: kendall_tau([row[name] for row in results], accuracy) for name in ("params", "macs")}
    return {"score_init": tau_of_score, **sizes}


def _report(folder: Path, results: Sequence[Row], taus: Mapping[str, float | None], figure: Path) -> None:
    print()
    print_table(f"{len(results)} trained picks", _HEADERS, ([row[name] for name in COLUMNS] for row in results))
    print(f"\nKendall tau with test accuracy over {len(results)} networks:")
    for name, label in (("score_init", "score at init"), ("params", "parameters"), ("macs", "MACs")):
        tau = taus[name]
        print(f"  {label:14s} {'not defined' if tau is None else f'{tau:.3f}'}")
    print(f"\nComparison: {folder / 'comparison.csv'}\nFigure 6:   {figure}\nPicks:      {folder / 'picks'}")


def _track(
    folder: RunFolder, config: WandbConfig, results: Sequence[Row], taus: Mapping[str, Any], figure: Path
) -> None:
    run_id = f"{folder.run_id()}-comparison-{len(results)}"
    if list(folder.path.glob(f"wandb/*{run_id}")):
        return
    run = tracking.start_run(
        config,
        folder.path,
        {"picks": len(results)},
        id=run_id,
        name=f"comparison {folder.path.name}",
        group=config.group or f"{folder.path.resolve().name}-{folder.run_id()}",
        job_type="comparison",
    )
    if run is not None:
        tracking.log_comparison(run, results, COLUMNS, {f"tau/{k}": v for k, v in taus.items()}, figure)
