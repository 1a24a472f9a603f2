"""What a run says about the score: ``find(run)``, the content of ``evidence.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from naswot_lightning.analysis.evidence import (
    Correlation,
    Verdict,
    agreement_with_size,
    correlations,
    judge,
    note_on_range,
)
from naswot_lightning.analysis.results import Group, GroupSettings
from naswot_lightning.analysis.statistics import describe_method
from naswot_lightning.analysis.trajectory import TrajectoryFacts, trajectory_facts
from naswot_lightning.columns import BEST_VAL_ACC, TEST_ACC
from naswot_lightning.report.run import Run

_ACCURACIES = (TEST_ACC, BEST_VAL_ACC)


@dataclass(frozen=True)
class GroupFindings:
    """All that one group of comparable results says about the score.

    Attributes:
        settings: what the results have in common.
        networks: how many enter the statistics.
        results: of all trainings, diverged ones among them.
        seeds: of the trainings.
        left_out: how many results have another status than "ok", by status; and ``networks`` without a score and a
            test accuracy.
        ranked: how many different networks the ranking holds; None where there is none.
        note: a warning of what the picks cannot say.
        correlations: with each accuracy, of each predictor.
        verdict: whether the score beats plain size.
        trajectory: the facts of Figure 6.
    """

    settings: GroupSettings
    networks: int
    results: int
    seeds: tuple[int, ...]
    left_out: Mapping[str, int]
    ranked: int | None
    note: str | None
    correlations: Mapping[str, Mapping[str, Correlation]]
    verdict: Verdict
    trajectory: TrajectoryFacts

    def to_json(self) -> dict[str, Any]:
        """Return them as plain JSON, what the results have in common flat among the rest."""
        plain = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        return {**plain.pop("settings"), **plain}


@dataclass(frozen=True)
class SearchFindings:
    """What the ranking says by itself, before anything is trained.

    Attributes:
        candidates: of the ranking.
        networks: different ones among those with a score.
        statuses: candidates by status, "ok" first.
        agreement: Kendall's tau between the score and each size, by the size's name; None where it is not defined.
        known: what is known of scores on this space; empty where nothing is.
    """

    candidates: int
    networks: int
    statuses: Mapping[str, int]
    agreement: Mapping[str, float | None]
    known: str


@dataclass(frozen=True)
class Findings:
    """All that a run says.

    Attributes:
        groups: each with statistics of its own, in the order of :attr:`Run.groups`.
        search: of the ranking; None where there is none.
    """

    groups: tuple[GroupFindings, ...]
    search: SearchFindings | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``evidence.json``."""
        method = describe_method(max((group.networks for group in self.groups), default=0))
        return {"method": method, "groups": [group.to_json() for group in self.groups]}


def find(run: Run) -> Findings:
    """Return what a run says about the score; pure, and the same for the same files."""
    return Findings(tuple(_of_group(group, run) for group in run.groups), _of_search(run))


def _of_search(run: Run) -> SearchFindings | None:
    if run.ranking.empty:
        return None
    statuses = Counter(run.ranking["status"])
    return SearchFindings(
        candidates=len(run.ranking),
        networks=len(run.ranked or ()),
        statuses={status: statuses[status] for status in ("ok", "degenerate", "failed") if statuses[status]},
        agreement=agreement_with_size(run.ranking),
        known=_known_of(str(run.settings.get("space", ""))),
    )


def _known_of(space: str) -> str:
    """Return what a space says of scores on it; nothing where it is not of the list, or not trusted."""
    from spaces import SpaceError, known_space

    try:
        return known_space(space).evidence
    except SpaceError:
        return ""


def _of_group(group: Group, run: Run) -> GroupFindings:
    networks = group.usable
    ranked = None if run.ranked is None else len(run.ranked)
    statuses = Counter(result.status for result in group.results if result.status != "ok")
    return GroupFindings(
        settings=group.settings,
        networks=len(networks),
        results=len(group.results),
        seeds=tuple(group.seeds),
        left_out={**dict(sorted(statuses.items())), "networks": len(group.networks) - len(networks)},
        ranked=ranked,
        note=note_on_range(group.networks, run.ranked),
        correlations={accuracy.name: correlations(networks, accuracy.name) for accuracy in _ACCURACIES},
        verdict=judge(networks, ranked),
        trajectory=trajectory_facts(networks, run.trajectories),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
