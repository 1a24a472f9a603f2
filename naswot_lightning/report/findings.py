"""What a run says about the score (``find(run)``, the content of ``evidence.json``), and its networks as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from naswot_lightning.analysis.choosing import Choice
from naswot_lightning.analysis.evidence import (
    MIN_NETWORKS,
    Correlation,
    Gain,
    NetworksWithAccuracy,
    Verdict,
    agreement_with_size,
    choices_of,
    correlations,
    gain_of,
    judge,
    note_on_range,
)
from naswot_lightning.analysis.pareto import judge_front
from naswot_lightning.analysis.results import WHOLE, GroupSettings, Network
from naswot_lightning.analysis.statistics import describe_method
from naswot_lightning.analysis.trajectory import TrajectoryFacts, trajectory_facts
from naswot_lightning.columns import BENCHMARK_ACC, MACS, PARAMS, PARETO_RANK, SCORE_INIT, TEST_ACC, VAL_ACC
from naswot_lightning.console import counted
from naswot_lightning.ranking import COLUMNS
from naswot_lightning.report.run import Run
from naswot_lightning.spaces.errors import one_line

_DEVIATION = "_std"
# Picks whose ranks a legend lists.
_NAMED = 3
_SIZES = (PARAMS.name, MACS.name)
# The score that every training begins with.
_TRAINED = "naswot"


@dataclass(frozen=True)
class GroupFindings:
    """All that one group of comparable results says about the score."""

    settings: GroupSettings
    """what the results have in common."""
    title: str
    """what was trained, in words."""
    selection: str | None
    """how the networks were chosen, one of :data:`~naswot_lightning.analysis.results.SELECTIONS`; None where nobody
    noted it."""
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
    correlations: Mapping[str, Correlation]
    """of each predictor with test accuracy."""
    verdict: Verdict
    choices: Mapping[str, Choice]
    """what a pick is worth; empty where the networks are no sample of the whole ranking, or too few."""
    trajectory: TrajectoryFacts
    """the facts of Figure 6."""

    @property
    def missing(self) -> str | None:
        """What is left out of the statistics, in a sentence; None where nothing is."""
        said = {"networks": "networks without a score and a test accuracy"}
        parts = [f"{count} {said.get(what, what)}" for what, count in self.left_out.items() if count]
        return f"Left out of the statistics: {', '.join(parts)}." if parts else None

    @property
    def notes(self) -> list[str]:
        """What limits the evidence, in sentences."""
        return [each for each in (self.note, self.missing) if each is not None]

    def to_json(self) -> dict[str, Any]:
        """Return them as plain JSON, what the results have in common flat among the rest."""
        plain = asdict(self)
        return {**plain.pop("settings"), **plain, "correlations": {TEST_ACC.name: plain["correlations"]}}


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
    """each with statistics of its own: of each of :attr:`Run.groups` those of each selection, the largest first."""
    gains: tuple[Gain, ...] = ()
    """of picks over random candidates, for each group that has controls."""
    search: SearchFindings | None = None
    """of the ranking; None where there is none."""
    front: Verdict | None = None
    """of the objectives, where accuracies are known."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``evidence.json``."""
        method = describe_method(max((group.networks for group in self.groups), default=0))
        gains = [{**asdict(gain.settings), **gain.to_json()} for gain in self.gains]
        front = {} if self.front is None else {"front": asdict(self.front)}
        groups = [group.to_json() for group in self.groups]
        return {"method": method, "groups": groups, "gains_over_random": gains, **front}

    @property
    def shown(self) -> tuple[GroupFindings, ...]:
        """Those that say something: of each group the first, and others of enough networks for a verdict."""
        first = {each.settings: each for each in reversed(self.groups)}
        return tuple(e for e in self.groups if first[e.settings] is e or e.networks >= MIN_NETWORKS)


def find(run: Run) -> Findings:
    """Return what a run says about the score; pure, and the same for the same files."""
    ranked = None if run.ranked is None else len(run.ranked)
    groups = []
    for group in run.groups:
        for selection, members in group.samples.items():
            own = replace(group, networks=members)
            networks = own.usable
            failed = Counter(result.status for result in own.results if result.status != "ok")
            verdict = judge(networks, ranked)
            groups.append(
                GroupFindings(
                    settings=group.settings,
                    title=own.title(len(networks), selection),
                    selection=selection,
                    networks=len(networks),
                    results=len(own.results),
                    seeds=tuple(own.seeds),
                    left_out={**dict(sorted(failed.items())), "networks": len(members) - len(networks)},
                    ranked=ranked,
                    note=_note_on(run, members),
                    correlations=correlations(networks),
                    verdict=verdict,
                    choices=choices_of(networks, verdict.size) if selection in WHOLE else {},
                    trajectory=trajectory_facts(networks, run.trajectories),
                )
            )
    gains = tuple(gain for group in run.groups if (gain := gain_of(group)) is not None)
    if run.ranking.empty:
        return Findings(tuple(groups), gains)
    from naswot_lightning.spaces import SpaceError, known_space

    statuses = Counter(run.ranking["status"])
    try:
        known = known_space(str(run.settings.get("space", ""))).evidence
    except SpaceError:
        # Not of the list, or not trusted.
        known = ""
    search = SearchFindings(
        candidates=len(run.ranking),
        networks=len(run.ranked or ()),
        statuses={status: statuses[status] for status in ("ok", "degenerate", "failed") if statuses[status]},
        agreement=agreement_with_size(run.ranking),
        known=known,
    )
    of_front = networks_with_accuracy(run) if run.objectives else None
    front = None if of_front is None else judge_front(of_front, run.objectives)
    return Findings(tuple(groups), gains, search, front)


def _note_on(run: Run, networks: Sequence[Network]) -> str | None:
    """Return what picks cannot say: of the whole ranking, or of the score that ranked them; None where neither."""
    notes = [note_on_range(networks, run.ranked)]
    if run.ranked and (score := _ranking_score(run.settings)) not in ("score", _TRAINED):
        notes.append(f"The score at init is {_TRAINED}; the ranking is by {score}, which naswot study judges.")
    return " ".join(filter(None, notes)) or None


def describe_trajectory(facts: TrajectoryFacts) -> list[str]:
    """Return the facts of Figure 6 as lines; none of what is not known."""
    change, settled = facts.change_first_epoch, facts.settles_after
    lines = []
    if change.n:
        lines.append(
            f"first epoch: change {change.median:+.2f} (median of n = {change.n}; "
            f"{change.min:+.2f} to {change.max:+.2f}), rises in {facts.risen}"
        )
    if settled.n:
        never = f"; not within the training in {facts.never_settled}" if facts.never_settled else ""
        lines.append(
            f"settled:     below {facts.bound:.0%} change an epoch after epoch {settled.median:g} "
            f"(median of n = {settled.n}; {settled.min} to {settled.max}){never}"
        )
    elif facts.never_settled:
        lines.append(f"settled:     in no network does it stay below {facts.bound:.0%} change an epoch")
    epochs = facts.ranking
    if epochs and (final := epochs[-1].tau_with_init) is not None and epochs[-1].n >= MIN_NETWORKS:
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


class ScoredCandidates:
    """The n candidates of a run with a score, best first, as arrays (n,), and how many have none."""

    def __init__(self, run: Run) -> None:
        rows, settings = run.ranking, run.settings
        scored = rows[rows["status"] == "ok"]
        # The score that ranks.
        self.name = _ranking_score(settings)
        self.values = scored["score"].to_numpy()
        # NaN where they could not be counted.
        self.params = scored["params"].to_numpy(float, na_value=np.nan)
        # Which of them a figure marks, and what these are: the picks, or the first of the ranking where there are none.
        picks = {result.canonical for result in run.results if result.space == settings.get("space", result.space)}
        picked = scored["canonical"].isin(picks)
        self.marked, self.mark = (scored["rank"] == 1).to_numpy(), "first of the ranking"
        if picked.any():
            # Of several candidates that are one network the first.
            firsts = scored[picked].drop_duplicates("canonical")["rank"].tolist()
            shown = ", ".join(map(str, firsts[:_NAMED])) + (", ..." if len(firsts) > _NAMED else "")
            self.marked, self.mark = picked.to_numpy(), f"{counted(len(firsts), 'trained network')} (rank {shown})"
        # What was searched on what, with the numbers of candidates.
        whole = counted(len(rows), "candidate") + (" so far" if run.provisional else "")
        left_out = rows.loc[rows["status"] != "ok", "status"].value_counts(sort=False)
        others = ", ".join(f"{number:,} {status}" for status, number in left_out.items())
        count = f"n = {len(scored):,} of {whole}; left out {others}" if others else f"n = {whole}"
        where = f"{settings.get('space', '?')} on {settings.get('dataset', '?')}, seed {settings.get('seed', '?')}"
        self.title = one_line(f"{where}, {count}")


def scored_candidates(run: Run) -> ScoredCandidates | None:
    """Return the candidates of a run's ranking; None where there is none, or no candidate has a score."""
    return ScoredCandidates(run) if (run.ranking["status"] == "ok").any() else None


def _scores(run: Run, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the scores of a ranking's rows by name, (n,) each, that which ranks first."""
    first = _ranking_score(run.settings)
    no_scores = (*COLUMNS, *run.costs, PARETO_RANK, first, BENCHMARK_ACC.name)
    others = [str(name) for name in rows if name not in no_scores and not str(name).endswith(_DEVIATION)]
    # A single score has no column of its own name.
    return {first: rows["score"].to_numpy(), **{name: rows[name].to_numpy() for name in others}}


def _ranking_score(settings: Mapping[str, Any]) -> str:
    """Return the score that ranks: the first of ``--score``, or an accuracy where candidates are trained."""
    if settings.get("evaluator", "scores") != "scores":
        return VAL_ACC.label
    return str(settings.get("score", "score")).partition(",")[0].strip()


def _numbers(rows: pd.DataFrame, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return columns of a ranking's rows, (n,) each, NaN where a number is missing."""
    return {name: rows[name].to_numpy(float, na_value=np.nan) for name in names if name in rows}


def networks_with_accuracy(run: Run) -> NetworksWithAccuracy | None:
    """Return the networks with an accuracy: of a table, else of the largest group of trainings; None without any."""
    if BENCHMARK_ACC.name not in run.ranking or run.ranking[BENCHMARK_ACC.name].isna().all():
        return _of_picks(run)
    rows = run.ranking[run.ranking[BENCHMARK_ACC.name].notna()]
    source = None if run.benchmark is None else run.benchmark.source
    return NetworksWithAccuracy(
        space=str(run.settings.get("space")),
        images=str(run.settings.get("dataset")),
        source=f"accuracy of {source or run.settings.get('benchmark') or 'a table'}",
        architectures=tuple(rows["canonical"]),
        accuracies=100 * rows[BENCHMARK_ACC.name].to_numpy(),
        scores=_scores(run, rows),
        sizes=_numbers(rows, _SIZES),
        columns=_numbers(rows, (*run.costs, PARETO_RANK)),
    )


def _of_picks(run: Run) -> NetworksWithAccuracy | None:
    group = next((group for group in run.groups if group.usable), None)
    if group is None:
        return None
    networks, settings = group.usable, group.settings
    names = [network.canonical for network in networks]
    columns: dict[str, np.ndarray] = {}
    scores = {_TRAINED: np.array([network.mean(SCORE_INIT.name) for network in networks], float)}
    # Those of the ranking, where it has any of the networks; else those at the beginning of their training.
    rows = run.ranking.drop_duplicates("canonical").set_index("canonical").reindex(names)
    if settings.space == run.settings.get("space") and rows["rank"].notna().any():
        scores, columns = _scores(run, rows), _numbers(rows, (*run.costs, PARETO_RANK))
    test_set = "" if settings.test_set is None else f" ({settings.test_set})"
    seeds = f"mean of {len(group.seeds)} seeds" if len(group.seeds) > 1 else f"seed {group.seeds[0]}"
    return NetworksWithAccuracy(
        space=settings.space,
        images=str(run.settings.get("dataset", settings.dataset)),
        source=f"{settings.dataset} test accuracy{test_set} of trained picks, {settings.epochs} epochs, {seeds}",
        architectures=tuple(names),
        accuracies=100 * np.array([network.mean(TEST_ACC.name) for network in networks], float),
        scores=scores,
        sizes={name: np.array([getattr(each.results[0], name) for each in networks], float) for name in _SIZES},
        columns=columns,
    )
