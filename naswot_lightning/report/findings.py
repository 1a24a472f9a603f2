"""What a run says about the score: ``find(run)``, the content of ``evidence.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from naswot_lightning.analysis.evidence import (
    Correlation,
    Verdict,
    agreement_with_size,
    correlations,
    judge,
    note_on_range,
)
from naswot_lightning.analysis.results import GroupSettings
from naswot_lightning.analysis.statistics import describe_method
from naswot_lightning.analysis.trajectory import TrajectoryFacts, trajectory_facts
from naswot_lightning.columns import BEST_VAL_ACC, TEST_ACC
from naswot_lightning.report.run import Run


@dataclass(frozen=True)
class GroupFindings:
    """All that one group of comparable results says about the score."""

    settings: GroupSettings
    """what the results have in common."""
    networks: int
    """how many enter the statistics."""
    results: int
    """of all trainings, diverged ones among them."""
    seeds: tuple[int, ...]
    left_out: Mapping[str, int]
    """results with another status than "ok", by status; and ``networks`` without a score and a test accuracy."""
    ranked: int | None
    """how many different networks the ranking holds; None where there is none."""
    note: str | None
    """a warning of what the picks cannot say."""
    correlations: Mapping[str, Mapping[str, Correlation]]
    """with each accuracy, of each predictor."""
    verdict: Verdict
    trajectory: TrajectoryFacts
    """the facts of Figure 6."""

    def to_json(self) -> dict[str, Any]:
        """Return them as plain JSON, what the results have in common flat among the rest."""
        plain = asdict(self)
        return {**plain.pop("settings"), **plain}


@dataclass(frozen=True)
class SearchFindings:
    """What the ranking says by itself, before anything is trained."""

    candidates: int
    networks: int
    """different ones among those with a score."""
    statuses: Mapping[str, int]
    """candidates by status, "ok" first."""
    agreement: Mapping[str, float | None]
    """Kendall's tau between the score and each size, by the size's name; None where it is not defined."""
    known: str
    """what is known of scores on this space; empty where nothing is."""


@dataclass(frozen=True)
class Findings:
    """All that a run says."""

    groups: tuple[GroupFindings, ...]
    """each with statistics of its own, in the order of :attr:`Run.groups`."""
    search: SearchFindings | None = None
    """of the ranking; None where there is none."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``evidence.json``."""
        method = describe_method(max((group.networks for group in self.groups), default=0))
        return {"method": method, "groups": [group.to_json() for group in self.groups]}


def find(run: Run) -> Findings:
    """Return what a run says about the score; pure, and the same for the same files."""
    ranked = None if run.ranked is None else len(run.ranked)
    groups = []
    for group in run.groups:
        networks = group.usable
        statuses = Counter(result.status for result in group.results if result.status != "ok")
        groups.append(
            GroupFindings(
                settings=group.settings,
                networks=len(networks),
                results=len(group.results),
                seeds=tuple(group.seeds),
                left_out={**dict(sorted(statuses.items())), "networks": len(group.networks) - len(networks)},
                ranked=ranked,
                note=note_on_range(group.networks, run.ranked),
                correlations={each.name: correlations(networks, each.name) for each in (TEST_ACC, BEST_VAL_ACC)},
                verdict=judge(networks, ranked),
                trajectory=trajectory_facts(networks, run.trajectories),
            )
        )
    return Findings(tuple(groups), _of_search(run))


def _of_search(run: Run) -> SearchFindings | None:
    from spaces import SpaceError, known_space

    if run.ranking.empty:
        return None
    statuses = Counter(run.ranking["status"])
    try:
        known = known_space(str(run.settings.get("space", ""))).evidence
    except SpaceError:
        # Not of the list, or not trusted.
        known = ""
    return SearchFindings(
        candidates=len(run.ranking),
        networks=len(run.ranked or ()),
        statuses={status: statuses[status] for status in ("ok", "degenerate", "failed") if statuses[status]},
        agreement=agreement_with_size(run.ranking),
        known=known,
    )


def describe_trajectory(facts: TrajectoryFacts) -> list[str]:
    """Return the facts of Figure 6 as lines; none of what is not known."""
    change, settled = facts.change_first_epoch, facts.settles_after
    lines = []
    if change.n:
        lines.append(
            f"first epoch: change {change.median:+.2f} (median of n = {change.n}; "
            f"{change.min:+.2f} to {change.max:+.2f}), rises in {change.risen}"
        )
    if settled.n:
        never = f"; not within the training in {settled.never}" if settled.never else ""
        lines.append(
            f"settled:     below {facts.bound:.0%} change an epoch after epoch {settled.median:g} "
            f"(median of n = {settled.n}; {settled.min} to {settled.max}){never}"
        )
    elif settled.never:
        lines.append(f"settled:     in no network does it stay below {facts.bound:.0%} change an epoch")
    if (final := facts.ranking.init_to_final) is not None:
        epochs = facts.ranking.epochs
        previous = [each.tau_with_previous for each in epochs if each.tau_with_previous is not None]
        after_one = epochs[0].tau_with_init
        early = "" if after_one is None else f"{after_one:.2f} after epoch 1, "
        steps = ""
        if previous:
            steps = f"; from epoch to epoch {median(previous):.2f} (median; at least {min(previous):.2f})"
        lines.append(f"ranking:     Kendall tau with the scores at init {early}{final:.2f} at the end{steps}")
    if facts.points_left_out or facts.without_points:
        lines.append(
            f"left out:    points without a finite score: {facts.points_left_out}, "
            f"networks without a trajectory: {facts.without_points}"
        )
    return lines
