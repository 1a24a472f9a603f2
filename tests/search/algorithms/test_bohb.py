import itertools
import math
from collections import Counter

import numpy as np
import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.search.algorithms import make_algorithm
from naswot_lightning.search.algorithms.base import Trial
from naswot_lightning.search.algorithms.halving import Density
from naswot_lightning.search.loop import simulate
from tests.search.algorithms.tables import NO_LIMITS, SPACE, convolutions, evaluator, row_of

SIZES = np.array([3, 2, 4])


def made(name="bohb", samples=40, seed=0):
    return make_algorithm(name, SPACE, samples, seed, NO_LIMITS)


def batches_of(algorithm, score=convolutions):
    rows, found = [], []
    while batch := algorithm.propose(rows):
        rows += map(evaluator(score), batch)
        found.append(batch)
    return found, rows


def shape(batch):
    fidelities = {each.fidelity if isinstance(each, Trial) else 1 for each in batch}
    assert len(fidelities) == 1
    return len(batch), fidelities.pop()


def test_brackets_are_those_of_hyperband():
    one_round = [(9, 1 / 9), (3, 1 / 3), (1, 1), (3, 1 / 3), (1, 1), (3, 1)]  # 3 + 2 + 3 whole trainings' worth
    for samples, expected in {
        16: 2 * one_round,
        8: one_round,
        5: one_round[:5],
        2: one_round[:2],
        7: [*one_round[:5], (2, 1)],
    }.items():
        found, rows = batches_of(made(samples=samples))
        assert [shape(batch) for batch in found] == expected
        assert sum(1 if row.fidelity is None else row.fidelity for row in rows) == pytest.approx(samples)


@pytest.mark.slow
@pytest.mark.parametrize(("eta", "rungs"), [(2, 4), (3, 1), (4, 2), (3, 5)])
def test_brackets_of_other_shapes(eta, rungs):
    """The rule of the paper's software: floor(rungs / (s + 1)) eta^s candidates, of which one in eta goes on."""
    expected = []
    for s in itertools.chain.from_iterable([reversed(range(rungs))] * 2):
        start = math.floor(rungs / (s + 1)) * eta**s
        expected += [(max(start // eta**rung, 1), eta ** (rung - s)) for rung in range(s + 1)]
    found, _ = batches_of(made(f"bohb:eta={eta},rungs={rungs}", samples=2_000))
    assert [shape(batch) for batch in found][: len(expected)] == expected


def test_the_best_of_a_rung_go_on():
    found, rows = batches_of(made(samples=30))
    place = 0
    for before, batch in itertools.pairwise(found):
        if shape(before)[1] < shape(batch)[1] and shape(batch)[0] < shape(before)[0]:
            rung = sorted(rows[place : place + len(before)], key=lambda row: -row.score)
            expected = [row.architecture for row in rung[: len(batch)]]
            assert [getattr(each, "architecture", each) for each in batch] == expected
        place += len(before)


def brute_density(observations, point, bandwidths):
    total = 0.0
    for observation in observations:
        product = 1.0
        for a, b, h, size in zip(observation, point, bandwidths, SIZES, strict=True):
            product *= 1 - h if a == b else h / (size - 1)
        total += product
    return total / len(observations)


def test_densities_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    observations = rng.integers(SIZES, size=(9, 3))
    density = Density(observations, SIZES, 0.01)
    for decision in range(3):
        differ = np.mean([a != b for a, b in itertools.product(observations[:, decision], repeat=2)])
        h = 1.06 * math.sqrt(differ / 2) * 9 ** (-1 / 7)
        assert density.bandwidths[decision] == pytest.approx(min(h, 1 - 1 / SIZES[decision]))
    points = np.array(list(itertools.product(*map(range, SIZES))))
    values = density(points)
    assert values.sum() == pytest.approx(1)
    for point, value in zip(points, values, strict=True):
        assert value == pytest.approx(brute_density(observations, point, density.bandwidths))


def test_a_bandwidth_does_not_depend_on_the_order_of_the_options():
    observations = np.array([[0], [0], [1], [3], [3], [3]])
    renamed = np.array([2, 0, 1, 3])[observations]
    sizes = np.array([4])
    assert Density(observations, sizes, 0.01).bandwidths == Density(renamed, sizes, 0.01).bandwidths
    assert Density(observations[:1], sizes, 0.3).bandwidths == 0.3
    assert Density(observations, sizes, 1.0).bandwidths == 0.75


def test_draws_of_a_density_are_kept_or_drawn_again():
    observations = np.tile([[0, 1, 3]], (4, 1))
    found = Density(observations, SIZES, 0.1).draw(2_000, np.random.default_rng(0))
    assert (found == [0, 1, 3]).mean(0) == pytest.approx(0.9 + 0.1 / SIZES, abs=0.02)


def test_the_model_is_of_the_highest_rung_with_enough_trainings():
    algorithm = made()
    cells = [SPACE[number] for number in range(30)]
    low = [row_of(Trial(cell, 1 / 9), float(number)) for number, cell in enumerate(cells)]
    whole = [row_of(cell, float(-number)) for number, cell in enumerate(cells)]
    assert algorithm.fit(low[:13]) is None
    for rows, best in (
        (low[:14], range(13, 6, -1)),
        (low + whole[:13], range(29, 22, -1)),
        (low + whole[:14], range(7)),
    ):
        good, _ = algorithm.fit(rows)
        assert good.observations.tolist() == [list(SPACE.decisions(SPACE[number])) for number in best]


def test_it_finds_more_than_chance():
    found = []
    for name in ("bohb:rungs=1", "random"):
        histories = [simulate(made(name, 120, seed), evaluator(convolutions)) for seed in range(10)]
        found.append(np.mean([history.best[-1].score for history in histories]))
    assert found[0] > found[1] + 0.05


def test_a_third_is_drawn_at_random():
    """With no other density than one point, what is far from it was drawn at random."""
    rows = [row_of(SPACE[1462], 1.0)] * 7 + [row_of(SPACE[9], 0.0)] * 7
    best = SPACE.decisions(SPACE[1462])
    counts = Counter()
    for seed in range(600):
        algorithm = made("bohb:min_bandwidth=0.0001,rungs=1,repeats=true", seed=seed)
        (proposal,) = algorithm.propose(rows)
        counts[SPACE.decisions(proposal) == best] += 1
    assert counts[False] == pytest.approx(200, abs=40)


def test_what_was_proposed_is_passed_over_and_counts_once():
    rows = simulate(made("bohb:rungs=1", 120), evaluator(convolutions)).rows
    assert len({row.architecture for row in rows}) > 115
    again = simulate(made("bohb:rungs=1,repeats=true", 120), evaluator(convolutions)).rows
    assert len({row.architecture for row in again}) < 80
    once = [row_of(SPACE[number], float(number)) for number in range(14)]
    assert made().fit(once[:13] * 2) is None
    assert made("bohb:repeats=true").fit(once[:13] * 2) is not None


def test_options_are_checked():
    for name in ("bohb:eta=1", "bohb:rungs=0", "bohb:random_fraction=1.5", "bohb:min_bandwidth=0"):
        with pytest.raises(UserError, match="expected"):
            made(name)
