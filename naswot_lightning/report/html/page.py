"""``report.html`` of a run: what stands on it, made of what is found in its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naswot_lightning.columns import COMBINED, SIZES, VAL_ACC, Criterion
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.findings import Findings
from naswot_lightning.report.html.cells import MOST_DRAWN, Cells
from naswot_lightning.report.html.document import render
from naswot_lightning.report.html.reproduce import Setting, commands_of, settings_of
from naswot_lightning.report.html.tables import (
    CandidateTable,
    Evidence,
    Pick,
    candidates_of,
    evidence_of,
    picks_of,
    progress_of,
)
from naswot_lightning.report.run import Run
from naswot_lightning.storage.files import atomic_write
from naswot_lightning.storage.run_folder import RunFolder

_SCRIPTS = ("trainings", "evidence", "run")
# Others stand as they are.
_OUTCOMES = {"beats": "yes", "loses": "no"}
_MOST_REASONS = 20


@dataclass(frozen=True)
class Fact:
    """A label and what it says, with a note under it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Page:
    """What stands on the page of a run."""

    name: str
    headline: str
    """what was searched and how, in a sentence."""
    states: tuple[str, ...]
    """what is still under way, or left out, in sentences."""
    facts: tuple[Fact, ...]
    score: str
    """the score that ranks, in words."""
    candidates: CandidateTable | None
    """the table; None where there is no ranking."""
    drawn: tuple[tuple[int, ...], ...]
    """positions of cells, one tuple per row of the table so far as they are drawn."""
    cells: Cells
    picks: tuple[Pick, ...]
    progress: dict[str, Any] | None
    """the best so far; None where there is no search, or it has no score yet."""
    failures: tuple[tuple[str, str, int], ...]
    """status, reason, and how many candidates."""
    agreement: tuple[Fact, ...]
    """of the score with sizes."""
    known: str
    evidence: tuple[Evidence, ...]
    chosen: tuple[Setting, ...]
    """settings of the search that are not the default, or that say the most."""
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
            "progress": self.progress,
            "evidence": [each.bars for each in self.evidence],
        }


def write_report(folder: RunFolder, run: Run, findings: Findings, to: Path | None = None) -> Path:
    """Write the page of a run, which has its rows, to a file or into its folder; return the file."""
    page = page_of(run, findings)
    title = f"{page.name} · naswot-lightning"
    html = render("run.html", title, _SCRIPTS, "startRun", page.to_json(), page=page)
    path = to or folder.report
    # The name of a folder need not be Unicode.
    atomic_write(path, html.encode("utf-8", "replace"))
    return path


def page_of(run: Run, findings: Findings) -> Page:
    """Return the page of a run; pure, and the same for the same files."""
    candidates = candidates_of(run)
    chosen, others = settings_of(run.settings)
    cells = Cells()
    # Picks first: they are drawn, however many the candidates are.
    of_picks = {
        each.planned.architecture: cells.add(each.planned.space, each.planned.architecture) for each in run.trainings
    }
    column = candidates.column("architecture") if candidates else None
    shown = column.values[:MOST_DRAWN] if column else ()
    space = str(run.settings.get("space", ""))
    evidence = evidence_of(run, findings)
    reasons = Counter((row.status, row.reason or "no reason given") for row in run.rows if row.status != "ok")
    search = findings.search
    return Page(
        name=run.name,
        headline=_headline(run, findings),
        states=tuple(_states(run)),
        facts=tuple(_facts(run, findings, evidence)),
        score=_score_name(run.criterion),
        candidates=candidates,
        drawn=tuple(cells.add(space, architecture) for architecture in shown),
        cells=cells,
        picks=picks_of(run, of_picks),
        progress=progress_of(run.rows, run.criterion),
        failures=tuple((*why, count) for why, count in reasons.most_common(_MOST_REASONS)),
        agreement=tuple(
            Fact(SIZES[name].label, f"{tau:.3f}")
            for name, tau in (search.agreement if search else {}).items()
            if tau is not None
        ),
        known=search.known if search else "",
        evidence=evidence,
        chosen=chosen,
        others=others,
        versions=_versions(run),
        commands=commands_of(run),
    )


def _versions(run: Run) -> tuple[Setting, ...]:
    """Return the versions of the libraries that scored and trained; several where they changed in between."""
    found: dict[str, dict[str, None]] = {}
    for versions in (*run.versions, *(result.versions for result in run.results)):
        for name, version in versions.items():
            found.setdefault(name, {})[version] = None
    # Without those that another one names with its build: 2.4 beside 2.4+cpu.
    return tuple(
        (name, ", ".join(each for each in every if not any(other.startswith(f"{each}+") for other in every)))
        for name, every in sorted(found.items())
    )


def _score_name(criterion: Criterion) -> str:
    """Return what ranks, in words: a share is shown in percent."""
    if criterion.parts == (VAL_ACC,):
        return "validation accuracy"
    return criterion.name if criterion.is_relative else criterion.label


def _headline(run: Run, findings: Findings) -> str:
    settings, search, criterion = run.settings, findings.search, run.criterion
    if not settings:
        spaces = ", ".join(dict.fromkeys(each.planned.space for each in run.trainings))
        return f"Trainings of {spaces or 'no network yet'}, without a search."
    where = settings.get("dataset")
    if settings.get("evaluator") == "table":
        where = f"{settings.get('benchmark_dataset') or where}, as a table knows it"
    algorithm = settings.get("algorithm", "random")
    found = "drawn at random" if algorithm == "random" else f"found by {algorithm}"
    if settings.get("samples") == "all":
        found = "all of the space"
    if settings.get("architectures"):
        found = "from a list"
    how = f"by {_score_name(criterion)}"
    if criterion.is_relative:
        how = f"by the {COMBINED[criterion.combine]} by {', '.join(part.label for part in criterion.parts)}"
    count = f"{search.candidates:,} networks" if search else "Networks"
    return f"{count} of {settings.get('space')}, {found}, ranked {how} on {where}."


def _states(run: Run) -> Iterator[str]:
    """Yield what is still under way, and what could not be read, in sentences."""
    ranked, whole = len(run.ranking), sum(row.fidelity is None for row in run.rows)
    if run.provisional:
        yield f"The search is not finished: a provisional ranking of the {ranked:,} candidates so far."
    elif 0 < ranked < whole:
        yield f"The ranking holds {ranked:,} of {whole:,} finished candidates: a search is going on."
    elif run.rows and not ranked:
        yield f"The search is not finished: no candidate is ranked yet ({len(run.rows):,} evaluations so far)."
    elif not ranked and not run.trainings:
        yield "Nothing is finished yet."
    counts = Counter(each.status for each in run.trainings if each.result is None)
    if counts:
        parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        yield f"{sum(counts.values())} of {len(run.trainings)} trainings have no result yet ({parts})."
    yield from (each.fault for each in run.trainings if each.fault is not None)


def _facts(run: Run, findings: Findings, evidence: Sequence[Evidence]) -> Iterator[Fact]:
    if search := findings.search:
        others = [f"{count:,} {status}" for status, count in search.statuses.items() if status != "ok"]
        note = ", ".join([f"{search.networks:,} different networks", *others])
        yield Fact("candidates", f"{search.candidates:,}", note)
    first = next(as_dicts(run.ranking.head(1)), None)
    if first is not None and (score := first["score"]) is not None:
        size = "" if first["params"] is None else f"{first['params']:,} parameters"
        if run.criterion.parts == (VAL_ACC,):
            yield Fact("best validation accuracy", f"{100 * score:.2f} %", size)
        else:
            yield Fact("best score", f"{score:,.2f}" if abs(score) >= 1 else f"{score:.4g}", size)
    if run.trainings:
        yield Fact("trainings", f"{len(run.results)}", f"of {len(run.trainings)} begun")
    if run.groups and (best := run.groups[0].best):
        by_hand = best.rank is None
        why = "no validation set to choose by" + ("" if by_hand else ", so the best rank")
        if best.best_val_acc is not None:
            why = f"best by validation ({100 * best.best_val_acc:.2f} %)"
        which = f"{'given by hand' if by_hand else f'rank {best.rank}'}, seed {best.seed}, {best.dataset}"
        yield Fact("test accuracy", f"{100 * (best.test_acc or 0.0):.2f} %", f"{why}: {which}")
    if evidence:
        outcome = evidence[0].outcome
        yield Fact("does the score beat size?", _OUTCOMES.get(outcome, outcome), f"tau {evidence[0].tau}")
