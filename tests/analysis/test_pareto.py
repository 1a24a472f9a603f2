"""Non-dominated ranks, hypervolume and the verdict on a front, against their definitions."""

import numpy as np
import pytest

from docs.scripts.draw_hypervolume import hypervolume
from naswot_lightning.analysis.evidence import NetworksWithAccuracy
from naswot_lightning.analysis.pareto import (
    Objective,
    directions_of,
    judge_front,
    non_dominated_ranks,
    parse_objectives,
)
from naswot_lightning.columns import Column, Criterion
from naswot_lightning.errors import UserError

SCORE, LATENCY = Objective("naswot", True), Objective("latency_ms", False)


@pytest.mark.parametrize("objectives", [2, 3])
def test_ranks_are_one_more_than_the_highest_of_what_dominates(objectives):
    for seed in range(20):
        # Few different values: equal points, and points that are equal in one of the costs.
        costs = np.random.default_rng(seed).integers(0, 6, (40, objectives)).astype(float)
        ranks = non_dominated_ranks(costs)
        for cost, rank in zip(costs, ranks, strict=True):
            dominating = (costs <= cost).all(1) & (costs < cost).any(1)
            assert rank == 1 + ranks[dominating].max(initial=0)


def test_hypervolume_is_the_area_of_the_cells_that_are_dominated():
    for seed in range(20):
        costs = np.random.default_rng(seed).integers(0, 12, (15, 2)).astype(float)
        cells = [(x, y) for x in range(10) for y in range(8)]
        inside = sum(any(a <= x and b <= y for a, b in costs.tolist()) for x, y in cells)
        assert hypervolume(costs, (10.0, 8.0)) == inside
    assert hypervolume(np.array([[3.0, 3.0]]), (2.0, 9.0)) == 0


def test_objectives_have_directions():
    criteria = [Criterion((Column("naswot", "naswot"),)), Criterion((Column("loss", "loss", higher_is_better=False),))]
    known = directions_of(criteria, ["latency_ms", "benchmark_acc", "robustness", "edgegpu_energy_mj"])
    assert parse_objectives("naswot, loss,latency_ms", known) == (SCORE, Objective("loss", False), LATENCY)
    assert parse_objectives("params:max,benchmark_acc", known)[0] == Objective("params", True)
    of_table = Objective("robustness", True), Objective("edgegpu_energy_mj", False)
    assert parse_objectives("robustness:max,edgegpu_energy_mj", known) == of_table
    assert parse_objectives(",".join(map(str, (SCORE, LATENCY)))) == (SCORE, LATENCY)
    assert parse_objectives(None) == ()
    for text, message in (
        ("naswot", "--objectives naswot: expected at least two different columns"),
        ("naswot:max,params,naswot:min", "expected at least two different columns"),
        ("naswot,robustness", "--objectives robustness: is a high or a low value better"),
        ("naswot,latency", "unknown column of --objectives 'latency', .*; did you mean 'latency_ms'?"),
    ):
        with pytest.raises(UserError, match=message):
            parse_objectives(text, known)


def networks(scores, params, accuracies, costs):
    arrays = (np.asarray(each, float) for each in (accuracies, scores, params, costs))
    accuracies, scores, params, costs = arrays
    names = tuple(f"c{number}" for number in range(len(scores)))
    sizes, columns = {"params": params}, {"latency_ms": costs}
    return NetworksWithAccuracy("space", "digits", "a table", names, accuracies, {"naswot": scores}, sizes, columns)


def test_a_front_of_better_networks_beats_that_of_size():
    rng = np.random.default_rng(0)
    costs, quality = rng.uniform(1, 5, 200), rng.normal(size=200)
    accuracies = 70 + 3 * costs + 3 * quality
    noise = rng.normal(size=200)
    good = judge_front(networks(accuracies, noise, accuracies, costs), (SCORE, LATENCY))
    assert good.outcome == "beats"
    assert "against that of parameters and latency_ms: better." in good.sentence
    bad = judge_front(networks(noise, accuracies, accuracies, costs), (SCORE, LATENCY))
    assert bad.outcome == "loses"
    assert bad.difference.value == -good.difference.value
    # Costs 1 to 5: the front by score is networks 0, 2 and 4, that by size 0 and 3; two of each are compared.
    five = networks([2, 1, 3, 0, 5], [0, 0, 0, 1, 0], [60, 50, 70, 90, 80], [1, 2, 3, 4, 5])
    found = judge_front(five, (SCORE, LATENCY))
    # Of the box 40 by 4: 10 from cost 1 on against 40 from cost 4 on and 10 from cost 1 on.
    assert found.difference.value == pytest.approx((10 * 4 - (10 * 4 + 30 * 1)) / 160)
    few = networks([1, 2], [1, 2], [50, 60], [1, 2])
    assert judge_front(few, (SCORE, LATENCY)).outcome == "too little evidence"
    assert judge_front(few, (SCORE, Objective("params", False))) is None
