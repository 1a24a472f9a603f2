"""What stands on the page of a run: records of plain values, made of what is found in its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from naswot_lightning.analysis.evidence import PREDICTORS
from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.columns import COMBINED, SIZES
from naswot_lightning.report.findings import Findings, GroupFindings
from naswot_lightning.report.html.candidates import Candidates, candidates_of, rows_by_canonical
from naswot_lightning.report.html.cells import MOST_DRAWN, Cells, add_cells
from naswot_lightning.report.html.picks import Pick, picks_of
from naswot_lightning.report.html.progress import Progress, progress_of
from naswot_lightning.report.html.reproduce import Setting, commands_of, settings_of
from naswot_lightning.report.provisional import criteria_of
from naswot_lightning.report.run import Run
from naswot_lightning.report.terminal import describe_trajectory


@dataclass(frozen=True)
class Fact:
    """A label and what it says, with a note under it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """What one group of comparable trainings says of the score.

    Attributes:
        title: what was trained on what.
        outcome: of the verdict, in a few words.
        sentence: the verdict with its intervals.
        notes: what limits it.
        correlations: predictor, Kendall's tau, Spearman's rho, and how many networks.
        bars: predictor, tau, its interval and whether it is a size, for the drawing; only where tau is defined.
        trajectory: the score during training, in lines.
    """

    title: str
    outcome: str
    sentence: str
    notes: tuple[str, ...]
    correlations: tuple[tuple[str, str, str, int], ...]
    bars: tuple[tuple[str, float, float | None, float | None, bool], ...]
    trajectory: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """The page.

    Attributes:
        name: of the run.
        headline: what was searched and how, in a sentence.
        states: what is still under way, or left out, in sentences.
        facts: the figures that come first.
        score: the score that ranks, in words.
        candidates: the table; None where there is no ranking.
        drawn: places of cells, one tuple a row of the table so far as they are drawn.
        cells: that are drawn.
        picks: that are trained, or being trained.
        progress: the best so far; None where there is no search, or it has no score yet.
        failures: status, reason, and how many candidates.
        agreement: of the score with sizes.
        known: what is known of scores on this space.
        evidence: of trained picks.
        chosen: settings of the search that are not the default, or that say the most.
        others: its further settings.
        versions: of the libraries.
        commands: that make it again.
    """

    name: str
    headline: str
    states: tuple[str, ...]
    facts: tuple[Fact, ...]
    score: str
    candidates: Candidates | None
    drawn: tuple[tuple[int, ...], ...]
    cells: Cells
    picks: tuple[Pick, ...]
    progress: Progress | None
    failures: tuple[tuple[str, str, int], ...]
    agreement: tuple[Fact, ...]
    known: str
    evidence: tuple[Evidence, ...]
    chosen: tuple[Setting, ...]
    others: tuple[Setting, ...]
    versions: tuple[Setting, ...]
    commands: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what the page's scripts read."""
        columns = self.candidates.columns if self.candidates else ()
        return {
            "score": self.score,
            "columns": [column.to_json() for column in columns],
            "words": list(self.cells.words),
            "graphs": list(self.cells.graphs),
            "drawn": self.drawn,
            "picks": [pick.to_json() for pick in self.picks],
            "progress": None if self.progress is None else self.progress.to_json(),
            "evidence": [each.bars for each in self.evidence],
        }


def page_of(run: Run, findings: Findings) -> Page:
    """Return the page of a run; pure, and the same for the same files."""
    candidates = candidates_of(run)
    chosen, others = settings_of(run.settings)
    cells = Cells()
    drawn, of_picks = _cells(run, candidates, cells)
    criterion = criteria_of(run.settings, run.rows[:1])[0]
    return Page(
        name=run.name,
        headline=_headline(run, findings),
        states=tuple(_states(run, findings)),
        facts=tuple(_facts(run, findings)),
        score=criterion.name if criterion.is_relative else criterion.label,
        candidates=candidates,
        drawn=drawn,
        cells=cells,
        picks=picks_of(run.trainings, rows_by_canonical(run), of_picks),
        progress=progress_of(run),
        failures=_failures(run),
        agreement=_agreement(findings),
        known=findings.search.known if findings.search else "",
        evidence=tuple(_evidence(run, found, place) for place, found in enumerate(findings.groups)),
        chosen=chosen,
        others=others,
        versions=_versions(run),
        commands=commands_of(run),
    )


def _cells(
    run: Run, candidates: Candidates | None, cells: Cells
) -> tuple[tuple[tuple[int, ...], ...], Mapping[str, tuple[int, ...]]]:
    """Return the cells of the first rows, and those of picks by their architectures."""
    column = candidates.column("architecture") if candidates else None
    shown = column.values[:MOST_DRAWN] if column else ()
    drawn = tuple(add_cells(cells, str(run.settings.get("space", "")), shown))
    of_picks: dict[str, tuple[int, ...]] = {}
    for each in run.trainings:
        (of_picks[each.planned.architecture],) = add_cells(cells, each.planned.space, [each.planned.architecture])
    return drawn, of_picks


def _headline(run: Run, findings: Findings) -> str:
    settings, search = run.settings, findings.search
    if search is None:
        spaces = ", ".join(dict.fromkeys(each.planned.space for each in run.trainings))
        return f"Trainings of {spaces or 'no network yet'}, without a search."
    criterion = criteria_of(settings, run.rows[:1])[0]
    how = f"by {criterion.name}"
    if criterion.is_relative:
        how = f"by the {COMBINED[criterion.combine]} by {', '.join(part.label for part in criterion.parts)}"
    found = {"random": "drawn at random"}.get(str(settings.get("algorithm")), f"found by {settings.get('algorithm')}")
    if settings.get("architectures") or settings.get("samples") == "all":
        found = "from a list" if settings.get("architectures") else "all of the space"
    return (
        f"{search.candidates:,} networks of {settings.get('space')}, {found}, ranked {how} "
        f"on {settings.get('dataset')}."
    )


def _states(run: Run, findings: Findings) -> Iterator[str]:
    whole = sum(row.fidelity is None for row in run.rows)
    if run.provisional:
        yield f"The search is not finished: a provisional ranking of the {len(run.ranking):,} candidates so far."
    elif run.ranking and whole > len(run.ranking):
        yield f"The ranking holds {len(run.ranking):,} of {whole:,} finished candidates: a search is going on."
    elif run.rows and not run.ranking:
        yield f"The search is not finished: no candidate is ranked yet ({len(run.rows):,} evaluations so far)."
    elif not run.ranking and not run.trainings:
        yield "Nothing is finished yet."
    counts = Counter(each.status for each in run.trainings if each.result is None)
    if counts:
        parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        yield f"{sum(counts.values())} of {len(run.trainings)} trainings have no result yet ({parts})."
    for each in run.trainings:
        if each.fault is not None:
            yield each.fault


def _facts(run: Run, findings: Findings) -> Iterator[Fact]:
    if search := findings.search:
        others = [f"{count:,} {status}" for status, count in search.statuses.items() if status != "ok"]
        yield Fact(
            "candidates", f"{search.candidates:,}", ", ".join([f"{search.networks:,} different networks", *others])
        )
        first = run.ranking[0]
        if first.score is not None:
            size = "" if first.params is None else f"{first.params:,} parameters"
            yield Fact("best score", f"{first.score:,.2f}" if abs(first.score) >= 1 else f"{first.score:.4g}", size)
    finished = [each for each in run.results if each.is_whole and each.test_acc is not None]
    if run.trainings:
        yield Fact("trainings", f"{len(run.results)}", f"of {len(run.trainings)} begun")
    if finished:
        best = max(finished, key=lambda each: each.test_acc or 0.0)
        where = "given by hand" if best.rank is None else f"rank {best.rank}"
        yield Fact(
            "best test accuracy", f"{100 * (best.test_acc or 0.0):.2f} %", f"{where}, seed {best.seed}, {best.dataset}"
        )
    if findings.groups:
        yield Fact("does the score beat size?", _OUTCOMES[findings.groups[0].verdict.outcome], _tau(findings.groups[0]))


_OUTCOMES = {
    "beats": "yes",
    "loses": "no",
    "cannot be told apart": "cannot be told apart",
    "too little evidence": "too little evidence",
}


def _tau(found: GroupFindings) -> str:
    tau = found.correlations["test_acc"]["score_init"].kendall_tau
    return f"{found.networks} networks" if tau.value is None else f"tau {tau}, {found.networks} networks"


def _failures(run: Run) -> tuple[tuple[str, str, int], ...]:
    counts = Counter((row.status, row.reason or "no reason given") for row in run.rows if row.status != "ok")
    return tuple((status, reason, count) for (status, reason), count in counts.most_common(20))


def _agreement(findings: Findings) -> tuple[Fact, ...]:
    if findings.search is None:
        return ()
    return tuple(
        Fact(SIZES[name].label, "not defined" if tau is None else f"{tau:.3f}")
        for name, tau in findings.search.agreement.items()
    )


def _evidence(run: Run, found: GroupFindings, place: int) -> Evidence:
    left_out = [f"{count} {what}" for what, count in found.left_out.items() if count]
    notes = [found.note] if found.note else []
    if left_out:
        notes.append(f"Left out of the statistics: {', '.join(left_out)}.")
    of_predictors = [(column, found.correlations["test_acc"][column.name]) for column in PREDICTORS]
    return Evidence(
        title=run.groups[place].title(found.networks),
        outcome=found.verdict.outcome,
        sentence=found.verdict.sentence,
        notes=tuple(notes),
        correlations=tuple(
            (column.label, _shown(each.kendall_tau), _shown(each.spearman_rho), each.kendall_tau.n)
            for column, each in of_predictors
        ),
        bars=tuple(
            (column.label, each.kendall_tau.value, each.kendall_tau.low, each.kendall_tau.high, column.name in SIZES)
            for column, each in of_predictors
            if each.kendall_tau.value is not None
        ),
        trajectory=tuple(describe_trajectory(found.trajectory)),
    )


def _shown(estimate: Estimate) -> str:
    return "not defined" if estimate.value is None else str(estimate)


def _versions(run: Run) -> tuple[Setting, ...]:
    """Return the versions of the libraries that trained; several where trainings differ."""
    found: dict[str, dict[str, None]] = {}
    for result in run.results:
        for name, version in result.versions.items():
            found.setdefault(name, {})[version] = None
    return tuple((name, ", ".join(versions)) for name, versions in sorted(found.items()))
