"""Each score of a run against accuracies, against model size, and against itself in further runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from naswot_lightning.analysis.choosing import AT_RANDOM, Choice, judge_choices
from naswot_lightning.analysis.evidence import TAU_DECIMALS, Outcome, outcome_of
from naswot_lightning.analysis.statistics import (
    Estimate,
    describe_method,
    estimate_of,
    kendall_tau,
    partial_tau,
    resampled_tau,
    with_resamples,
)
from naswot_lightning.columns import MACS, PARAMS, Column, Criterion
from naswot_lightning.config import SearchConfig, settings_affecting
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import rank, ranks_of
from naswot_lightning.scores import AGGREGATES
from naswot_lightning.scores.registry import REGISTERED, parse_scores
from naswot_lightning.study.candidates import CandidateAccuracies, Candidates, find_accuracies
from naswot_lightning.study.settings import StudyConfig

SIZES = (PARAMS.name, MACS.name)
SIZE = "model size"


def choose_scores(candidates: Candidates, text: str | None) -> list[Criterion]:
    """Return the scores to study: those of the option, or all that there are; parameters and MACs among them."""
    names = candidates.names
    if text is None:
        # The run's own combination of scores, and each named one whose parts it holds.
        own = parse_scores(str(candidates.settings.get("score")), saved=True)
        named = [criterion for name in AGGREGATES for criterion in parse_scores(name)]
        aggregates = [each for each in (*own, *named) if each.is_relative and _missing_part(each, names) is None]
        chosen = [*map(_single, names), *aggregates]
    else:
        chosen = list(parse_scores(text))
    for criterion in chosen:
        if (part := _missing_part(criterion, names)) is not None:
            of = f"{criterion.name}: its part {part}" if criterion.is_relative else part
            raise UserError(
                f"--score {of} is not in {candidates.name}, which has {', '.join(names)}; search again with "
                f"--score {','.join([str(candidates.settings.get('score')), part])} in another folder"
            )
    return list({each.name: each for each in (*chosen, *map(_single, SIZES))}.values())


def _single(name: str) -> Criterion:
    return Criterion((REGISTERED[name].column if name in REGISTERED else Column(name, name),))


def _missing_part(criterion: Criterion, names: Sequence[str]) -> str | None:
    """Return a part of a score that is not among the names; None where all are."""
    return next((part.name for part in criterion.parts if part.name not in names), None)


@dataclass(frozen=True)
class ScoreRanks:
    """What a score says of the n candidates of a run."""

    ranks: np.ndarray
    """(n,) 1 for the worst, the mean rank for equals; those without the score are worse than any other."""
    unscored: np.ndarray
    """(n,) whether each is without the score, or a part of it."""


def rank_by_scores(candidates: Candidates, criteria: Sequence[Criterion]) -> dict[str, ScoreRanks]:
    """Return the ranks by each of some scores that the run has, parameters and MACs among them."""
    names = candidates.names
    there = [each for each in criteria if each.name in SIZES or _missing_part(each, names) is None]
    ranked = rank(candidates.rows, there)
    # The ranking is best first: values are put back into the order of the rows.
    order = np.array([candidates.index[architecture] for architecture in ranked["architecture"]])
    found = {}
    for criterion in there:
        values = np.empty(len(order))
        values[order] = ranked[criterion.name].to_numpy()
        higher = criterion.is_relative or criterion.parts[0].higher_is_better
        missing = [np.isnan(candidates.scores(part.name)) for part in criterion.parts]
        found[criterion.name] = ScoreRanks(ranks_of(values, higher), np.logical_or.reduce(missing))
    return found


@dataclass(frozen=True)
class ScoreAssessment:
    """What an accuracy says of a score."""

    score: str
    unscored: int
    """networks without it, which are ranked last."""
    tau: Estimate
    """Kendall's tau with the accuracy."""
    less_size: Estimate
    """that less the tau of model size, on the same resamples."""
    partial: Estimate
    """Kendall's partial tau with the accuracy, given model size."""
    tau_with_size: float | None
    """Kendall's tau of the score with model size; None where one of them has equal values only."""
    outcome: Outcome
    """what the interval of the gain says."""

    @property
    def verdict(self) -> str:
        """What it is beside model size, in words: its outcome, or that it is model size itself."""
        return SIZE if self.score in SIZES else self.outcome


@dataclass(frozen=True)
class AccuracyPanel:
    """What one accuracy says of all scores."""

    accuracy: str
    source: str
    """the table that it is from, or trained picks."""
    n: int
    """networks with this accuracy."""
    size: str
    """what model size is here: parameters or MACs, whichever has the higher tau with the accuracy."""
    note: str | None
    """a warning of what these networks cannot say."""
    judged: tuple[ScoreAssessment, ...]
    """the highest tau first."""
    choices: Mapping[str, Choice]
    """what picks by each score and at random are worth, in points of accuracy; empty where the target is none."""


def assess_scores(ranks: Mapping[str, ScoreRanks], accuracies: CandidateAccuracies) -> AccuracyPanel:
    """Return what an accuracy says of scores."""
    known = np.flatnonzero(~np.isnan(accuracies.values))
    n, counts, accuracy = len(known), with_resamples(len(known)), accuracies.values[known]
    # (1 + resamples,) each: all networks, then the same resamples for every score, so that differences are paired.
    taus = {name: resampled_tau(each.ranks[known], accuracy, counts) for name, each in ranks.items()}
    # Chosen once, on all networks: that favours size a little, hence never a score.
    size = max(SIZES, key=lambda name: np.nan_to_num(taus[name][0], nan=-1.0))
    choices: dict[str, Choice] = {}
    if accuracies.is_accuracy:
        known_ranks = {name: each.ranks[known] for name, each in ranks.items()}
        choices = judge_choices({**known_ranks, AT_RANDOM: np.zeros(n)}, 100 * accuracy)
    found = []
    for name, each in ranks.items():
        with_size = resampled_tau(each.ranks[known], ranks[size].ranks[known], counts)
        gain = estimate_of(np.round(taus[name] - taus[size], TAU_DECIMALS), n)
        partial = estimate_of(partial_tau(taus[name], with_size, taus[size]), n)
        size_tau = None if math.isnan(with_size[0]) else float(with_size[0])
        unscored = int(each.unscored[known].sum())
        tau, outcome = estimate_of(taus[name], n), outcome_of(gain)
        found.append(ScoreAssessment(name, unscored, tau, gain, partial, size_tau, outcome))
    # Scores without a tau stand last.
    found.sort(key=lambda each: -2.0 if each.tau.value is None else each.tau.value, reverse=True)
    choices = {name: choices[name] for name in (*(each.score for each in found), AT_RANDOM) if name in choices}
    return AccuracyPanel(accuracies.label, accuracies.source, n, size, accuracies.note, tuple(found), choices)


@dataclass(frozen=True)
class ScoreStability:
    """Whether a score stays what it is with another seed, mini-batch or batch size."""

    score: str
    between_runs: float | None
    """Kendall's tau between its values in two runs, the mean over all pairs of runs; None where there is none."""
    taus: tuple[float | None, ...]
    """with the first accuracy, in each run that has the score."""
    of_repeats: float | None
    """the standard deviation over the repeats of the first run, the mean over candidates, as a share of the standard
    deviation over candidates; None without repeats."""


def expect_same_candidates(first: Candidates, other: Candidates) -> str:
    """Return in words what differs between two runs; of other candidates, or of the same scores, a UserError."""
    missing = [architecture for architecture in first.index if architecture not in other.index]
    further = len(other.rows) + len(missing) - len(first.rows)
    if missing or further or first.settings.get("space") != other.settings.get("space"):
        raise UserError(
            f"--run_dir {other.name}: has other architectures than {first.name} ({len(missing)} of its "
            f"{len(first.rows)} are missing, {further} are extra); make it with naswot search --architectures "
            f"{first.folder.path / 'ranking.csv'} --seed 1"
        )
    # Another --score alone leaves the values of a score as they are.
    names = [name for name in settings_affecting(SearchConfig, "scores") if name != "score"]
    changed = [name for name in names if first.settings.get(name) != other.settings.get(name)]
    if not changed:
        raise UserError(
            f"--run_dir {other.name}: has the same seed and probe batch as {first.name}, hence the same scores; "
            "give a run with another --seed or --batch_size"
        )
    said = (f"{name} {other.settings.get(name)} in place of {first.settings.get(name)}" for name in changed)
    return f"{other.name}: {', '.join(said)}"


def measure_stability(
    runs: Sequence[Candidates],
    ranks: Sequence[Mapping[str, ScoreRanks]],
    criteria: Sequence[Criterion],
    accuracies: CandidateAccuracies,
) -> list[ScoreStability]:
    """Return how stable each score of the first run is, over runs of the same candidates.

    ``ranks`` are by run and score, in the run's own order of the candidates; ``accuracies`` are of the first run.
    """
    # Each run finished the same architectures in an order of its own.
    orders = [[run.index[row.architecture] for row in runs[0].rows] for run in runs]
    known = ~np.isnan(accuracies.values)
    found = []
    for criterion in criteria:
        pairs = zip(ranks, orders, strict=True)
        own = [by_name[criterion.name].ranks[order] for by_name, order in pairs if criterion.name in by_name]
        between = [tau for a, b in combinations(own, 2) if (tau := kendall_tau(a, b)) is not None]
        taus = tuple(kendall_tau(each[known], accuracies.values[known]) for each in own)
        mean, name, share = fmean(between) if between else None, criterion.parts[0].name, None
        deviations, values = runs[0].deviations(name), runs[0].scores(name)
        both = ~np.isnan(deviations) & ~np.isnan(values)
        # The mean of several ranks has no deviation over repeats.
        if not criterion.is_relative and both.sum() > 1 and (spread := values[both].std(ddof=1)) > 0:
            share = float(deviations[both].mean() / spread)
        found.append(ScoreStability(criterion.name, mean, taus, share))
    return found


@dataclass(frozen=True)
class Study:
    """What accuracies say of the scores of a run: the content of ``study.json``."""

    run: str
    """its folder."""
    sampling: str
    """how its candidates were found."""
    note: str | None
    """a warning of what they cannot say."""
    repeats: int
    """initializations of each network."""
    further_runs: tuple[str, ...]
    """of the same candidates, and in what they differ from the first."""
    panels: tuple[AccuracyPanel, ...]
    stability: tuple[ScoreStability, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``study.json``."""
        return {"method": describe_method(max(panel.n for panel in self.panels)), **asdict(self)}


def make_study(runs: list[Candidates], config: StudyConfig) -> Study:
    """Return what accuracies say of the scores of runs of the same candidates."""
    first, *others = runs
    repeats = first.settings.get("repeats")
    differences = tuple(expect_same_candidates(first, other) for other in others)
    criteria = choose_scores(first, config.score)
    accuracies = find_accuracies(first, config.benchmark, config.benchmark_dataset, config.target)
    ranks = [rank_by_scores(run, criteria) for run in runs]
    return Study(
        run=first.name,
        sampling=first.sampling,
        note=first.note_on_sampling,
        repeats=repeats if isinstance(repeats, int) else 1,
        further_runs=differences,
        panels=tuple(assess_scores(ranks[0], each) for each in accuracies),
        stability=tuple(measure_stability(runs, ranks, criteria, accuracies[0])),
    )
