"""The comparison of trained picks, as tables, on the terminal, in figures: does a higher score mean more accuracy?"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from naswot_lightning.analysis.choosing import REGRET, Choice, table_of
from naswot_lightning.analysis.evidence import MIN_NETWORKS, PREDICTORS
from naswot_lightning.analysis.results import Group, TrainingResult
from naswot_lightning.columns import BEST_VAL_ACC, MACS, PARAMS, SCORE_FINAL, SCORE_INIT, TEST_ACC, Column
from naswot_lightning.console import counted, print_table, print_text
from naswot_lightning.errors import warn_of_failure
from naswot_lightning.report.figures import draw_figures
from naswot_lightning.report.findings import Findings, GroupFindings, describe_trajectory, find
from naswot_lightning.report.html.page import write_report
from naswot_lightning.report.run import Run, read_rows, read_run
from naswot_lightning.storage.files import write_csv, write_json
from naswot_lightning.storage.run_folder import RunFolder

# The columns of comparison.csv.
COLUMNS = (
    Column("rank", "rank", higher_is_better=False), SCORE_INIT, SCORE_FINAL, BEST_VAL_ACC, TEST_ACC,
    Column("val_set", "validation set"), Column("test_set", "test set"), PARAMS, MACS, Column("seed", "seed"),
    Column("dataset", "data set"), Column("epochs", "epochs"), Column("status", "status"),
    Column("seconds", "seconds"), Column("pick", "pick"), Column("architecture", "architecture"),
)  # fmt: skip
NAMES = tuple(column.name for column in COLUMNS)
# Left out where there is no room: a pick is known by its folder.
_OPTIONAL = ("seconds", "macs", "architecture")
_HIDE_IF_CONSTANT = ("seed", "dataset", "val_set", "test_set", "epochs", "status")
# Over seeds.
_AVERAGED = (TEST_ACC, BEST_VAL_ACC, SCORE_INIT, SCORE_FINAL)


def compare(folder: RunFolder) -> tuple[Run, Findings, Mapping[str, Path]]:
    """Write tables, evidence, figures and the page of all trained picks, and print them; return all but the page.

    Only results of one data set, test set, number of epochs, recipe and space enter one statistic: each such group has
    its own, and the figures show the largest. UserError where a result, a trajectory or the ranking is damaged.
    """
    run = read_run(folder)
    findings = find(run)
    drawn: Mapping[str, Path] = {}
    if run.results:
        write_csv(folder.path / "comparison.csv", comparison_rows(run.results), NAMES)
        write_json(folder.path / "evidence.json", findings.to_json())
        networks = write_seeds(folder.path, run.groups)
        with warn_of_failure(f"{folder.figures} cannot be written"):
            drawn = draw_figures(run, findings, folder.figures)
        print_comparison(folder.path, run, findings, networks, drawn)
    # What the command has done stands in any case.
    with warn_of_failure(f"{folder.report} cannot be written"):
        whole = read_rows(folder, run)
        print(f"Report: {write_report(folder, whole, find(whole) if whole.provisional else findings)}")
    return run, findings, drawn


def comparison_rows(results: Sequence[TrainingResult]) -> list[dict[str, Any]]:
    """Return the rows of ``comparison.csv``."""
    return [{name: getattr(result, name) for name in NAMES} for result in results]


def write_seeds(folder: Path, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Write ``comparison_seeds.csv`` where a network has several seeds, or remove it; return its rows."""
    path, rows = folder / "comparison_seeds.csv", []
    for group in groups:
        for network in group.by_rank:
            n_seeds, first = len(network.finished), network.results[0]
            row: dict[str, Any] = {"rank": network.rank, "network": network.name, "n_seeds": n_seeds}
            row["left_out"] = len(network.results) - n_seeds
            for column in _AVERAGED:
                row[f"{column.name}_mean"] = network.mean(column.name)
                row[f"{column.name}_std"] = network.deviation(column.name)
            names = ("params", "macs", "dataset", "test_set", "epochs", "architecture")
            rows.append(row | {name: getattr(first, name) for name in names})
    if all(row["n_seeds"] + row["left_out"] == 1 for row in rows):
        path.unlink(missing_ok=True)
        return []
    write_csv(path, rows, list(rows[0]))
    return rows


def print_comparison(
    folder: Path, run: Run, findings: Findings, networks: Sequence[Mapping[str, Any]], drawn: Mapping[str, Path]
) -> None:
    """Print the tables, where the files lie, and what is found of each group: at last the verdict."""
    controls = sum(bool(result.control) for result in run.results)
    title = counted(len(run.results) - controls, "trained pick")
    title += f", {counted(controls, 'random control')}" if controls else ""
    columns = []
    for column in COLUMNS:
        values = {getattr(result, column.name) for result in run.results}
        varies = len(values) > 1 or (column.name == "status" and values != {"ok"})
        if varies or column.name not in _HIDE_IF_CONSTANT:
            columns.append(column)
    print()
    print_table(
        title,
        [column.heading for column in columns],
        ([getattr(result, column.name) for column in columns] for result in run.results),
        optional=[column.heading for column in COLUMNS if column.name in _OPTIONAL],
        complete_in="comparison.csv",
    )
    if networks:
        _print_networks(networks)
    files = ("comparison.csv", *(("comparison_seeds.csv",) if networks else ()), "evidence.json", "picks/")
    print_text(f"Files:   {', '.join(files)}{', figures/' if drawn else ''} in {folder}", indent=" " * 9)
    if drawn:
        print_text(f"Figures: {', '.join(path.name for path in drawn.values())}", indent=" " * 9)
    for found in findings.shown:
        _print_group(found.title if len(findings.shown) > 1 else None, found)
    if findings.front is not None:
        print_text(findings.front.sentence)
    for gain in findings.gains:
        print_text(gain.sentence)
    if run.best is not None:
        print()
        print_text(f"Best: {run.best.why_chosen}; {folder / run.best.checkpoint}", indent=" " * 6)
        print_text(f"      naswot export --run_dir {shlex.quote(str(folder))}", indent=" " * 8)


def _print_networks(networks: Sequence[Mapping[str, Any]]) -> None:
    rows = []
    for network in networks:
        spreads: list[str | None] = []
        for column in _AVERAGED:
            mean, deviation = network[f"{column.name}_mean"], network[f"{column.name}_std"]
            digits = 4 if column.unit == "%" else 2
            spread = "" if deviation is None else f" ± {deviation:.{digits}f}"
            spreads.append(None if mean is None else f"{mean:.{digits}f}{spread}")
        rows.append([network["rank"], network["n_seeds"], network["left_out"], *spreads, network["network"]])
    print()
    print_table(
        "Mean ± sample standard deviation over seeds",
        ("rank", "seeds", "left out", *(column.heading for column in _AVERAGED), "network"),
        rows,
        optional=("left out", SCORE_FINAL.heading, BEST_VAL_ACC.heading),
        complete_in="comparison_seeds.csv",
    )


def _print_group(title: str | None, found: GroupFindings) -> None:
    if title is not None:
        print()
        print_text(f"{title}:")
    if found.missing is not None:
        print()
        print_text(found.missing)
    # Of so few a tau is chance: evidence.json has it, and nobody is shown it.
    if found.networks >= MIN_NETWORKS:
        _print_correlations(found)
    if found.choices:
        print()
        print_choices(found.choices)
    if lines := describe_trajectory(found.trajectory):
        print("\nScore during training:")
        for line in lines:
            print_text(f"  {line}", indent=" " * 15)
    print()
    print_text(found.verdict.sentence)
    # Of too few networks the verdict says itself what to train.
    if found.note is not None and found.networks >= MIN_NETWORKS:
        print_text(found.note)


def print_choices(choices: Mapping[str, Choice], title: str = "What a pick is worth") -> None:
    """Print what picks are worth, a row for each way to pick."""
    print_table(title, *table_of(choices))
    print_text(REGRET)


def _print_correlations(found: GroupFindings) -> None:
    print()
    rows = []
    for each in PREDICTORS:
        tau, rho = found.correlations[each.name].kendall_tau, found.correlations[each.name].spearman_rho
        rows.append([f"{tau:.3f}", f"{rho:.3f}", tau.n, each.label])
    print_table(
        f"Kendall tau with test accuracy over {found.networks} networks, Spearman rho, 95 % bootstrap intervals",
        ["tau", "rho", "n", "of"],
        rows,
        optional=("rho",),
        complete_in="evidence.json",
    )
