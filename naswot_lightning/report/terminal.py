"""What the comparison of trained picks says on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from naswot_lightning.analysis.evidence import MIN_NETWORKS, PREDICTORS
from naswot_lightning.analysis.results import Network, TrainingResult
from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.analysis.trajectory import Settling, Stability, TrajectoryFacts
from naswot_lightning.columns import BEST_VAL_ACC, SCORE_FINAL, TEST_ACC, Column
from naswot_lightning.console import print_table, print_text
from naswot_lightning.report.findings import Findings, GroupFindings
from naswot_lightning.report.run import Run
from naswot_lightning.report.tables import AVERAGED, COLUMNS, SeedsRow

_WHERE_THERE_IS_ROOM = ("seconds", "macs", "architecture")  # a pick is known by its folder
_ONLY_WHERE_TELLING = ("seed", "dataset", "val_set", "test_set", "epochs", "status")


def print_report(
    folder: Path, run: Run, findings: Findings, seeds: Sequence[SeedsRow], drawn: Mapping[str, Path]
) -> None:
    """Print the tables, where the files lie, and what is found of each group: at last the verdict."""
    _print_results(run.results)
    if seeds:
        _print_seeds(seeds)
    _print_files(folder, bool(seeds), drawn)
    for group, found in zip(run.groups, findings.groups, strict=True):
        _print_group(group.title(found.networks) if len(run.groups) > 1 else None, found)


def _print_files(folder: Path, with_seeds: bool, drawn: Mapping[str, Path]) -> None:
    names = ("comparison.csv", *(("comparison_seeds.csv",) if with_seeds else ()), "evidence.json", "picks/")
    print_text(f"Files:   {', '.join(names)}{', figures/' if drawn else ''} in {folder}", indent=" " * 9)
    if drawn:
        print_text(f"Figures: {', '.join(path.name for path in drawn.values())}", indent=" " * 9)


def _print_results(results: Sequence[TrainingResult]) -> None:
    columns = [column for column in COLUMNS if column.name not in _ONLY_WHERE_TELLING or _is_telling(column, results)]
    print()
    print_table(
        f"{len(results)} trained picks",
        [column.heading for column in columns],
        ([getattr(result, column.name) for column in columns] for result in results),
        optional=[column.heading for column in COLUMNS if column.name in _WHERE_THERE_IS_ROOM],
        complete_in="comparison.csv",
    )


def _is_telling(column: Column, results: Sequence[TrainingResult]) -> bool:
    values = {getattr(result, column.name) for result in results}
    return len(values) > 1 or (column.name == "status" and values != {"ok"})


def _print_seeds(rows: Sequence[SeedsRow]) -> None:
    headings = ("rank", "seeds", "left out", *(column.heading for column in AVERAGED), "network")
    print()
    print_table(
        "Mean ± sample standard deviation over seeds",
        headings,
        (_seeds_cells(row.network) for row in rows),
        optional=("left out", SCORE_FINAL.heading, BEST_VAL_ACC.heading),
        complete_in="comparison_seeds.csv",
    )


def _seeds_cells(network: Network) -> list[Any]:
    n_seeds = len(network.finished)
    spreads = (_spread(network, column) for column in AVERAGED)
    return [network.rank, n_seeds, len(network.results) - n_seeds, *spreads, network.name]


def _spread(network: Network, column: Column) -> str | None:
    mean, deviation = network.mean(column.name), network.deviation(column.name)
    if mean is None:
        return None
    digits = 4 if column.unit == "%" else 2
    return f"{mean:.{digits}f}{'' if deviation is None else f' ± {deviation:.{digits}f}'}"


def _print_group(title: str | None, found: GroupFindings) -> None:
    if title is not None:
        print()
        print_text(f"{title}:")
    if line := _left_out_line(found):
        print()
        print_text(line)
    print()
    _print_correlations(found)
    if lines := describe_trajectory(found.trajectory):
        print("\nScore during training:")
        for line in lines:
            print_text(f"  {line}", indent=" " * 15)
    print()
    print_text(found.verdict.sentence)
    if found.note is not None:
        print_text(found.note)


def _left_out_line(found: GroupFindings) -> str | None:
    left_out = dict(found.left_out)
    networks = left_out.pop("networks")
    if not left_out and not networks:
        return None
    parts = [f"{count} {status}" for status, count in left_out.items()] or ["0"]
    return (
        f"Left out of the statistics: {', '.join(parts)} of {found.results} results; "
        f"networks without a score and a test accuracy: {networks} of {found.networks + networks}"
    )


def _print_correlations(found: GroupFindings) -> None:
    if found.networks < MIN_NETWORKS:
        print_text(_few_networks_line(found))
    else:
        _print_correlation_table(found)


def _few_networks_line(found: GroupFindings) -> str:
    """Return the taus of so few networks that nothing is claimed of them."""
    estimates = found.correlations[TEST_ACC.name]
    taus = (f"{each.label} {_with_interval(estimates[each.name].kendall_tau)}" for each in PREDICTORS)
    return f"Kendall tau with test accuracy over {found.networks} networks: {', '.join(taus)}"


def _print_correlation_table(found: GroupFindings) -> None:
    with_val = any(each.kendall_tau.n for each in found.correlations[BEST_VAL_ACC.name].values())
    headings = ("tau", "rho", *(("tau with val acc",) if with_val else ()))
    print_table(
        f"Kendall tau with test accuracy over {found.networks} networks, Spearman rho, 95 % bootstrap intervals",
        [*headings, "n", "of"],
        (_correlation_cells(found, predictor, len(headings)) for predictor in PREDICTORS),
        optional=("tau with val acc", "rho"),
        complete_in="evidence.json",
    )


def _correlation_cells(found: GroupFindings, predictor: Column, shown: int) -> list[Any]:
    test, val = (found.correlations[accuracy.name][predictor.name] for accuracy in (TEST_ACC, BEST_VAL_ACC))
    estimates = (test.kendall_tau, test.spearman_rho, val.kendall_tau)[:shown]
    return [*map(_with_interval, estimates), estimates[0].n, predictor.label]


def _with_interval(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not defined"
    return f"{estimate.value:.3f}" if estimate.low is None else f"{estimate.value:.3f} {estimate.interval}"


def describe_trajectory(facts: TrajectoryFacts) -> list[str]:
    """Return the facts of Figure 6 as lines; none of what is not known."""
    change, settled = facts.change_first_epoch, facts.settles_after
    lines = []
    if change.n:
        lines.append(
            f"first epoch: change {change.median:+.2f} (median of n = {change.n}; "
            f"{change.min:+.2f} to {change.max:+.2f}), rises in {change.risen}"
        )
    if settled.n or settled.never:
        lines.append(f"settled:     {_settled_text(settled, facts.bound)}")
    if facts.ranking.init_to_final is not None:
        lines.append(f"ranking:     {_ranking_text(facts.ranking, facts.ranking.init_to_final)}")
    if facts.points_left_out or facts.without_points:
        lines.append(
            f"left out:    points without a finite score: {facts.points_left_out}, "
            f"networks without a trajectory: {facts.without_points}"
        )
    return lines


def _settled_text(settled: Settling, bound: float) -> str:
    never = f"; not within the training in {settled.never}" if settled.never else ""
    if not settled.n:
        return f"in no network does it stay below {bound:.0%} change an epoch"
    return (
        f"below {bound:.0%} change an epoch after epoch {settled.median:g} "
        f"(median of n = {settled.n}; {settled.min} to {settled.max}){never}"
    )


def _ranking_text(ranking: Stability, final: float) -> str:
    previous = [each.tau_with_previous for each in ranking.epochs if each.tau_with_previous is not None]
    after_one = ranking.epochs[0].tau_with_init
    early = "" if after_one is None else f"{after_one:.2f} after epoch 1, "
    steps = f"; from epoch to epoch {median(previous):.2f} (median; at least {min(previous):.2f})" if previous else ""
    return f"Kendall tau with the scores at init {early}{final:.2f} at the end{steps}"
