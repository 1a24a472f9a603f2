"""What stands on the page of a run: records of plain values, made of what is found in its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from naswot_lightning.report.findings import Findings
from naswot_lightning.report.html.candidates import Candidates, candidates_of, rows_by_canonical
from naswot_lightning.report.html.cells import MOST_DRAWN, Cells
from naswot_lightning.report.html.evaluations import evaluations_of
from naswot_lightning.report.html.evidence import Evidence, evidence_of
from naswot_lightning.report.html.picks import Pick, picks_of
from naswot_lightning.report.html.progress import Progress, progress_of
from naswot_lightning.report.html.reproduce import Setting, commands_of, settings_of
from naswot_lightning.report.html.summary import (
    Fact,
    agreement,
    criterion_of,
    facts,
    headline,
    score_name,
    states,
)
from naswot_lightning.report.run import Run


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
            "layouts": self.cells.layouts,
            "drawn": self.drawn,
            "picks": [pick.to_json() for pick in self.picks],
            "progress": None if self.progress is None else self.progress.to_json(),
            "evidence": [each.bars for each in self.evidence],
        }


def page_of(run: Run, findings: Findings) -> Page:
    """Return the page of a run; pure, and the same for the same files."""
    evaluations = evaluations_of(run)
    candidates = candidates_of(run, evaluations)
    chosen, others = settings_of(run.settings)
    cells = Cells()
    drawn, of_picks = _cells(run, candidates, cells)
    evidence = evidence_of(run, findings)
    return Page(
        name=run.name,
        headline=headline(run, findings),
        states=tuple(states(run, evaluations)),
        facts=tuple(facts(run, findings, evidence)),
        score=score_name(criterion_of(run)),
        candidates=candidates,
        drawn=drawn,
        cells=cells,
        picks=picks_of(run.trainings, rows_by_canonical(run), of_picks),
        progress=progress_of(evaluations, criterion_of(run)),
        failures=evaluations.failures(),
        agreement=tuple(agreement(findings)),
        known=findings.search.known if findings.search else "",
        evidence=evidence,
        chosen=chosen,
        others=others,
        versions=_versions(run),
        commands=commands_of(run),
    )


def _cells(
    run: Run, candidates: Candidates | None, cells: Cells
) -> tuple[tuple[tuple[int, ...], ...], Mapping[str, tuple[int, ...]]]:
    """Return the cells of the first rows, and those of picks by their architectures."""
    of_picks = {
        each.planned.architecture: cells.add(each.planned.space, each.planned.architecture) for each in run.trainings
    }
    column = candidates.column("architecture") if candidates else None
    shown = column.values[:MOST_DRAWN] if column else ()
    space = str(run.settings.get("space", ""))
    return tuple(cells.add(space, architecture) for architecture in shown), of_picks


def _versions(run: Run) -> tuple[Setting, ...]:
    """Return the versions of the libraries that scored and trained; several where they changed in between."""
    found: dict[str, dict[str, None]] = {}
    for versions in (*run.versions, *(result.versions for result in run.results)):
        for name, version in versions.items():
            found.setdefault(name, {})[version] = None
    return tuple((name, ", ".join(_whole(each))) for name, each in sorted(found.items()))


def _whole(versions: Iterable[str]) -> list[str]:
    """Return versions without those that another one names with its build: 2.4 beside 2.4+cpu."""
    every = list(versions)
    return [each for each in every if not any(other.startswith(f"{each}+") for other in every)]
