"""What stands at the head of the page: what was searched and how, what is still under way, the first figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from naswot_lightning.analysis.results import TrainingResult
from naswot_lightning.columns import COMBINED, SIZES, VAL_ACC, Criterion
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.findings import Findings
from naswot_lightning.report.html.evaluations import Evaluations
from naswot_lightning.report.html.evidence import Evidence
from naswot_lightning.report.provisional import criteria_of
from naswot_lightning.report.run import Run

_OUTCOMES = {"beats": "yes", "loses": "no"}  # others stand as they are


@dataclass(frozen=True)
class Fact:
    """A label and what it says, with a note under it."""

    label: str
    value: str
    note: str = ""


def criterion_of(run: Run) -> Criterion:
    """Return what the ranking is ordered by."""
    return criteria_of(run.settings, run.rows[:1])[0]


def score_name(criterion: Criterion) -> str:
    """Return what ranks, in words: a share is shown in percent."""
    if criterion.parts == (VAL_ACC,):
        return "validation accuracy"
    return criterion.name if criterion.is_relative else criterion.label


def headline(run: Run, findings: Findings) -> str:
    """Return what was searched and how, in a sentence."""
    settings, search = run.settings, findings.search
    if not settings:
        spaces = ", ".join(dict.fromkeys(each.planned.space for each in run.trainings))
        return f"Trainings of {spaces or 'no network yet'}, without a search."
    where = settings.get("dataset")
    if settings.get("evaluator") == "table":
        where = f"{settings.get('benchmark_dataset') or where}, as a table knows it"
    count = f"{search.candidates:,} networks" if search else "Networks"
    return f"{count} of {settings.get('space')}, {_found(run)}, ranked {_how(criterion_of(run))} on {where}."


def _found(run: Run) -> str:
    if run.settings.get("architectures"):
        return "from a list"
    if run.settings.get("samples") == "all":
        return "all of the space"
    algorithm = run.settings.get("algorithm", "random")
    return "drawn at random" if algorithm == "random" else f"found by {algorithm}"


def _how(criterion: Criterion) -> str:
    if not criterion.is_relative:
        return f"by {score_name(criterion)}"
    return f"by the {COMBINED[criterion.combine]} by {', '.join(part.label for part in criterion.parts)}"


def states(run: Run, evaluations: Evaluations) -> Iterator[str]:
    """Yield what is still under way, and what could not be read, in sentences."""
    whole = int(evaluations.whole.sum())
    if run.provisional:
        yield f"The search is not finished: a provisional ranking of the {len(run.ranking):,} candidates so far."
    elif not run.ranking.empty and whole > len(run.ranking):
        yield f"The ranking holds {len(run.ranking):,} of {whole:,} finished candidates: a search is going on."
    elif evaluations and run.ranking.empty:
        yield f"The search is not finished: no candidate is ranked yet ({len(evaluations):,} evaluations so far)."
    elif run.ranking.empty and not run.trainings:
        yield "Nothing is finished yet."
    counts = Counter(each.status for each in run.trainings if each.result is None)
    if counts:
        parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        yield f"{sum(counts.values())} of {len(run.trainings)} trainings have no result yet ({parts})."
    yield from (each.fault for each in run.trainings if each.fault is not None)


def facts(run: Run, findings: Findings, evidence: Sequence[Evidence]) -> Iterator[Fact]:
    """Yield the figures that come first."""
    if search := findings.search:
        others = [f"{count:,} {status}" for status, count in search.statuses.items() if status != "ok"]
        yield Fact(
            "candidates", f"{search.candidates:,}", ", ".join([f"{search.networks:,} different networks", *others])
        )
    yield from _best(run)
    if run.trainings:
        yield Fact("trainings", f"{len(run.results)}", f"of {len(run.trainings)} begun")
    if run.groups and (best := run.groups[0].best):
        yield Fact("test accuracy", f"{100 * (best.test_acc or 0.0):.2f} %", _chosen(best))
    if evidence:
        first = evidence[0]
        yield Fact("does the score beat size?", _OUTCOMES.get(first.outcome, first.outcome), f"tau {first.tau}")


def _chosen(best: TrainingResult) -> str:
    """Return which training it is, and by what it was chosen."""
    where = "given by hand" if best.rank is None else f"rank {best.rank}"
    if best.best_val_acc is not None:
        why = f"best by validation ({100 * best.best_val_acc:.2f} %)"
    else:
        why = "no validation set to choose by" + ("" if best.rank is None else ", so the best rank")
    return f"{why}: {where}, seed {best.seed}, {best.dataset}"


def _best(run: Run) -> Iterator[Fact]:
    first = next(as_dicts(run.ranking.head(1)), None)
    if first is None or first["score"] is None:
        return
    score, params = first["score"], first["params"]
    size = "" if params is None else f"{params:,} parameters"
    if criterion_of(run).parts == (VAL_ACC,):
        yield Fact("best validation accuracy", f"{100 * score:.2f} %", size)
    else:
        yield Fact("best score", f"{score:,.2f}" if abs(score) >= 1 else f"{score:.4g}", size)


def agreement(findings: Findings) -> Iterator[Fact]:
    """Yield the agreement of the score with sizes, where it is defined."""
    for name, tau in (findings.search.agreement if findings.search else {}).items():
        if tau is not None:
            yield Fact(SIZES[name].label, f"{tau:.3f}")
