"""What accuracies say of the score: those of a table, and those of each group of trained picks that compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from naswot_lightning.analysis.evidence import PREDICTORS, Correlation, Verdict
from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.columns import SCORE_INIT, SIZES, TEST_ACC, Column
from naswot_lightning.report.findings import Findings, GroupFindings
from naswot_lightning.report.run import Run
from naswot_lightning.report.table_evidence import TableEvidence
from naswot_lightning.report.terminal import describe_trajectory

Bar = tuple[str, float, float | None, float | None, bool]  # predictor, tau, its interval, whether it is a size


@dataclass(frozen=True)
class Evidence:
    """What one set of accuracies says of the score.

    Attributes:
        title: whose accuracies they are.
        outcome: of the verdict, in a few words.
        sentence: the verdict with its intervals.
        tau: of the score, with its interval.
        notes: what else is to be said, and what limits it.
        correlations: predictor, Kendall's tau, Spearman's rho, and how many networks.
        bars: of the drawing; only where tau is defined.
        trajectory: the score during training, in lines.
    """

    title: str
    outcome: str
    sentence: str
    tau: str
    notes: tuple[str, ...]
    correlations: tuple[tuple[str, str, str, int], ...]
    bars: tuple[Bar, ...]
    trajectory: tuple[str, ...] = ()


def evidence_of(run: Run, findings: Findings) -> tuple[Evidence, ...]:
    """Return the evidence of a run, that of its own trainings first, the group with the most networks first of all."""
    return (*_of_trainings(run, findings), *_of_table(run))


def _of_trainings(run: Run, findings: Findings) -> Iterator[Evidence]:
    for group, found in zip(run.groups, findings.groups, strict=True):
        yield _evidence(
            f"{group.title(found.networks)}",
            found.verdict,
            found.correlations[TEST_ACC.name],
            tuple(_limits(found)),
            tuple(describe_trajectory(found.trajectory)),
        )


def _limits(found: GroupFindings) -> Iterator[str]:
    if found.note:
        yield found.note
    left_out = [f"{count} {what}" for what, count in found.left_out.items() if count]
    if left_out:
        yield f"Left out of the statistics: {', '.join(left_out)}."


def _of_table(run: Run) -> Iterator[Evidence]:
    table = run.table_evidence
    if table is None:
        return
    title = f"{run.benchmark}: {table.networks:,} of {table.candidates:,} candidates are known"
    yield _evidence(title, table.verdict, table.correlations, tuple(_regret(table)))


def _regret(table: TableEvidence) -> Iterator[str]:
    if table.pick is None or table.best_candidate is None or table.best is None:
        return
    pick, best, of_table = 100 * table.pick, 100 * table.best_candidate, 100 * table.best
    yield (
        f"The first of the ranking reaches {pick:.2f} %: {best - pick:.2f} points below the best of the candidates "
        f"({best:.2f} %), {of_table - pick:.2f} below the best of the table ({of_table:.2f} %)."
    )


def _evidence(
    title: str,
    verdict: Verdict,
    correlations: Mapping[str, Correlation],
    notes: tuple[str, ...],
    trajectory: tuple[str, ...] = (),
) -> Evidence:
    found = [(column, correlations[column.name]) for column in PREDICTORS if correlations[column.name].kendall_tau.n]
    return Evidence(
        title=title,
        outcome=verdict.outcome,
        sentence=verdict.sentence,
        tau=_shown(correlations[SCORE_INIT.name].kendall_tau),
        notes=notes,
        correlations=tuple(_row(column, each) for column, each in found),
        bars=tuple(bar for column, each in found if (bar := _bar(column, each.kendall_tau)) is not None),
        trajectory=trajectory,
    )


def _row(column: Column, each: Correlation) -> tuple[str, str, str, int]:
    return column.label, _shown(each.kendall_tau), _shown(each.spearman_rho), each.kendall_tau.n


def _bar(column: Column, tau: Estimate) -> Bar | None:
    return None if tau.value is None else (column.label, tau.value, tau.low, tau.high, column.name in SIZES)


def _shown(estimate: Estimate) -> str:
    return "not defined" if estimate.value is None else str(estimate)
