"""Several objectives at once: which are asked for, non-dominated ranks, and the verdict on a front."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from naswot_lightning.analysis.evidence import MIN_NETWORKS, NetworksWithAccuracy, Verdict, outcome_of
from naswot_lightning.analysis.statistics import bootstrap
from naswot_lightning.columns import BENCHMARK_ACC, COSTS, PARAMS, SIZES, VAL_ACC, Criterion, is_cost
from naswot_lightning.errors import UserError, expect_name

if TYPE_CHECKING:
    import pandas as pd

_Values = TypeVar("_Values", float, np.ndarray)
_DIRECTIONS = {"max": True, "min": False}
# Of two front's shares that differ in the last bits.
_DECIMALS = 12


@dataclass(frozen=True)
class Objective:
    """A column of the ranking that shall be high, or low."""

    name: str
    higher_is_better: bool

    def __str__(self) -> str:
        return f"{self.name}:{'max' if self.higher_is_better else 'min'}"

    def cost(self, values: _Values) -> _Values:
        """Return values of which a lower one is better."""
        return -values if self.higher_is_better else values


def directions_of(criteria: Sequence[Criterion], further: Sequence[str]) -> dict[str, bool | None]:
    """Return whether a higher value is better, of each column that can be an objective: scores up, costs down.

    Of a column of a table its name says it, or else the user must: None.
    """
    scores = {each.name: each.is_relative or each.parts[0].higher_is_better for each in criteria}
    known = {BENCHMARK_ACC.name: True, VAL_ACC.name: True, **dict.fromkeys((*SIZES, *COSTS), False)}
    return scores | {name: known.get(name, False if is_cost(name) else None) for name in (*SIZES, *further)}


def parse_objectives(text: str | None, directions: Mapping[str, bool | None] | None = None) -> tuple[Objective, ...]:
    """Return the objectives of an option, such as ``naswot,latency_ms`` or ``naswot:max,params:min``; none of None.

    ``directions`` are those of the columns that there are; without them each name must have its own.

    >>> parse_objectives("robust,params", {"robust": True, "params": False})
    (Objective(name='robust', higher_is_better=True), Objective(name='params', higher_is_better=False))
    """
    found: dict[str, Objective] = {}
    words = [] if text is None else text.split(",")
    for word in words:
        name, _, direction = word.strip().rpartition(":")
        if direction not in _DIRECTIONS:
            name, direction = word.strip(), ""
        if directions is not None:
            expect_name("column of --objectives", name, directions)
        higher_is_better = _DIRECTIONS[direction] if direction else (directions or {})[name]
        if higher_is_better is None:
            raise UserError(f"--objectives {name}: is a high or a low value better? Give {name}:max or {name}:min")
        found[name] = Objective(name, higher_is_better)
    if text is not None and len(found) < max(2, len(words)):
        raise UserError(f"--objectives {text}: expected at least two different columns, such as naswot,params")
    return tuple(found.values())


def objective_costs(ranking: pd.DataFrame, objectives: Sequence[Objective]) -> np.ndarray:
    """Return (n, objectives) costs of a ranking's rows, NaN where one is missing or the row is not ok."""
    # A single score has no column of its own name.
    columns = [ranking[each.name if each.name in ranking else "score"] for each in objectives]
    values = [column.to_numpy(float, na_value=np.nan) for column in columns]
    costs = np.stack([each.cost(column) for each, column in zip(objectives, values, strict=True)], axis=1)
    costs[(ranking["status"] != "ok").to_numpy() | np.isnan(costs).any(1)] = np.nan
    return costs


def non_dominated_ranks(costs: np.ndarray) -> np.ndarray:
    """Return the rank of each of n points, (n, k) costs: 1 is the front, 2 the front of the others, and so on.

    Equal points have the same rank. 100,000 points of two costs take 0.3 s, 15,625 of three 4 s.

    >>> non_dominated_ranks(np.array([[1.0, 5.0], [2.0, 2.0], [3.0, 3.0], [2.0, 2.0]])).tolist()
    [1, 1, 2, 1]
    """
    # In this order each point comes after all that dominate it.
    points, places = np.unique(costs, axis=0, return_inverse=True)
    ranks = np.ones(len(points), np.int64)
    if points.shape[1] == 2:
        # Of each front so far the lowest second cost, which ascends with the fronts.
        lowest: list[float] = []
        for number, cost in enumerate(points[:, 1].tolist()):
            front = bisect_right(lowest, cost)
            lowest[front : front + 1] = [cost]
            ranks[number] = front + 1
    else:
        fronts: list[list[int]] = []
        for number, point in enumerate(points):
            # What is dominated by a front is dominated by all before it (Zhang et al. 2015).
            front = bisect_left(fronts, True, key=lambda front: not (points[front] <= point).all(1).any())
            if front == len(fronts):
                fronts.append([])
            fronts[front].append(number)
            ranks[number] = front + 1
    return np.asarray(ranks[places.reshape(-1)])


def crowding_distances(costs: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return how far the neighbours of each of (n, k) points are apart on its front, (n,): infinity at its ends.

    Deb et al. 2002: the sum over the costs, each as a share of the front's range.

    >>> crowding_distances(np.array([[0.0, 4.0], [1.0, 1.0], [4.0, 0.0]]), np.ones(3)).tolist()
    [inf, 2.0, inf]
    """
    distances = np.zeros(len(costs))
    for rank in np.unique(ranks):
        members = np.flatnonzero(ranks == rank)
        for column in costs[members].T:
            order = members[np.argsort(column, kind="stable")]
            values = np.sort(column)
            distances[order[[0, -1]]] = np.inf
            # What failed has infinite costs, all the same.
            if np.isfinite(values).all() and values[-1] > values[0]:
                distances[order[1:-1]] += (values[2:] - values[:-2]) / (values[-1] - values[0])
    return distances


def judge_front(networks: NetworksWithAccuracy, objectives: Sequence[Objective]) -> Verdict | None:
    """Return whether the front of a score and a cost holds better networks than that of parameters and the cost.

    None where the objectives are no score and cost.

    Of both fronts as many networks are compared, those of the larger one spread evenly over it: the hypervolume of
    their accuracies and costs, with a paired bootstrap over the networks.
    """
    known = {**networks.scores, **networks.sizes, **networks.columns}
    pair = score_and_cost(objectives)
    if pair is None or pair[1].name == PARAMS.name or any(each.name not in known for each in pair):
        return None
    score, cost = pair
    values = np.stack([known[score.name], known[PARAMS.name], networks.accuracies, known[cost.name]])
    # In the order of their costs, in which all that follows works.
    values = values[:, ~np.isnan(values).any(0)]
    values = values[:, np.argsort(values[3], kind="stable")]
    scores, sizes, accuracies, costs = values
    n = len(costs)
    title = f"The front of {score.name} and {cost.name} against that of {PARAMS.label} and {cost.name}"
    if n < MIN_NETWORKS or np.ptp(costs) == 0 or np.ptp(accuracies) == 0:
        too_few = f"{title}: too little evidence, {n} networks of known accuracy that differ"
        return Verdict("too little evidence", f"{too_few}.", PARAMS.name, None)
    shares: list[np.ndarray] = []

    def gain(counts: np.ndarray) -> np.ndarray:
        fronts = [_fronts(each, costs, counts) for each in (scores, sizes)]
        sizes_of = [each.sum(1, keepdims=True) for each in fronts]
        most = np.minimum(*sizes_of)
        shares[:] = [_dominated(_spread(each, most), accuracies, costs) for each in fronts]
        shares.append(most)
        return np.round(shares[0] - shares[1], _DECIMALS)

    difference = bootstrap(gain, n)
    outcome = outcome_of(difference)
    said = {"beats": "better", "loses": "worse"}.get(outcome, outcome)
    numbers = f"{int(shares[2][0, 0])} networks of each dominate {shares[0][0]:.3f} and {shares[1][0]:.3f} of the area"
    interval = f"difference {difference:+.3f}, 95 %, paired bootstrap, n = {n:,} networks"
    sentence = f"{title}: {said}. {numbers} of accuracy and cost ({interval})."
    return Verdict(outcome, sentence, PARAMS.name, difference)


def score_and_cost(objectives: Sequence[Objective]) -> tuple[Objective, Objective] | None:
    """Return the first objective that shall be high and the first that shall be low; None without both."""
    high = next((each for each in objectives if each.higher_is_better), None)
    low = next((each for each in objectives if not each.higher_is_better), None)
    return None if high is None or low is None else (high, low)


def _fronts(values: np.ndarray, costs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return which of n networks are on the front of a value and a cost in each resample, (resamples, n)."""
    # Of equal costs the best value comes first.
    order = np.lexsort((-values, costs))
    drawn = np.where(counts[:, order] > 0, values[order], -np.inf)
    best_before = np.maximum.accumulate(np.insert(drawn, 0, -np.inf, axis=1), axis=1)[:, :-1]
    fronts = np.empty(counts.shape, bool)
    fronts[:, order] = drawn > best_before
    return fronts


def _spread(fronts: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return ``most`` (resamples, 1) networks of each front, spread evenly over it."""
    places, last = np.cumsum(fronts, axis=1) - 1, fronts.sum(1, keepdims=True) - 1
    steps = np.rint(places * (most - 1) / np.maximum(last, 1))
    return fronts & (np.rint(steps * last / np.maximum(most - 1, 1)) == places)


def _dominated(chosen: np.ndarray, accuracies: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Return the share of the area between the worst and the best that chosen networks dominate, (resamples,)."""
    best = np.maximum.accumulate(np.where(chosen, accuracies, accuracies.min()), axis=1)
    widths = np.diff(np.append(costs, costs[-1]))
    area = ((best - accuracies.min()) * widths).sum(1)
    return np.asarray(area / (np.ptp(accuracies) * np.ptp(costs)))
