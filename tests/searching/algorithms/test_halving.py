"""Successive halving and BOHB: which trials they propose, and the densities of which new ones are drawn."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from naswot_lightning.searching.algorithms.base import Trial, architecture_of
from naswot_lightning.searching.algorithms.halving import Density
from naswot_lightning.searching.algorithms.random import sample_space
from naswot_lightning.searching.loop import simulate
from naswot_lightning.seeds import derived_seed
from tests.searching.algorithms.tables import SPACE, convolutions, evaluator, made, params, row_of

SIZES = np.array([3, 2, 4])


def test_sizes_of_the_rungs():
    for name, samples, sizes in (
        ("halving", 100, {0: 100, 1 / 9: 27, 1 / 3: 9, None: 3}),
        ("halving", 10, {0: 10, 1 / 9: 10, 1 / 3: 3, None: 1}),
        ("halving:picks=8,eta=2", 50, {0: 50, 1 / 4: 8, 1 / 2: 4, None: 2}),
        ("halving:picks=5,rungs=1", 50, {0: 50, None: 5}),
        ("halving:picks=2,rungs=4", 50, {0: 50, 1 / 27: 2, 1 / 9: 1, 1 / 3: 1, None: 1}),
    ):
        history = simulate(made(name, samples=samples), evaluator(convolutions))
        assert Counter(row.fidelity for row in history.rows) == sizes
        assert history.evaluations[-1] == pytest.approx(sum((1 if f is None else f) * n for f, n in sizes.items()))


def test_halving_begins_as_random_sampling_and_keeps_the_best_of_each_rung():
    def by_fidelity(proposal):
        fidelity = getattr(proposal, "fidelity", 1)
        order = params if fidelity in (0, 1 / 3) else lambda architecture: -params(architecture)
        return evaluator(order)(proposal)

    rows = simulate(made("halving", seed=4), by_fidelity).rows
    assert [row.architecture for row in rows[:60]] == sample_space(SPACE, 60, 4)
    for begin, end, size in ((0, 60, 27), (60, 87, 9), (87, 96, 3)):
        best = sorted(rows[begin:end], key=lambda row: -row.score)[:size]
        assert [row.architecture for row in rows[end : end + size]] == [row.architecture for row in best]


def batches_of(name, samples):
    """The sizes and fidelities of the batches of BOHB, these, and all rows."""
    algorithm, rows, shapes, found = made(name, samples=samples), [], [], []
    while batch := algorithm.propose(rows):
        rows += map(evaluator(convolutions), batch)
        found.append(batch)
        (fidelity,) = {each.fidelity if isinstance(each, Trial) else 1 for each in batch}
        shapes.append((len(batch), fidelity))
    return shapes, found, rows


def test_brackets_are_those_of_hyperband():
    one_round = [(9, 1 / 9), (3, 1 / 3), (1, 1), (3, 1 / 3), (1, 1), (3, 1)]  # 3 + 2 + 3 whole trainings' worth
    for samples, expected in (
        (16, 2 * one_round), (5, one_round[:5]), (2, one_round[:2]), (7, [*one_round[:5], (2, 1)]),
    ):  # fmt: skip
        shapes, _, rows = batches_of("bohb", samples)
        assert shapes == expected
        assert sum(1 if row.fidelity is None else row.fidelity for row in rows) == pytest.approx(samples)
    # The rule of the paper's software: floor(rungs / (s + 1)) eta^s candidates, of which one in eta goes on.
    for eta, rungs in ((2, 4), (3, 1), (4, 2)):
        expected = []
        for s in itertools.chain.from_iterable([reversed(range(rungs))] * 2):
            start = math.floor(rungs / (s + 1)) * eta**s
            expected += [(max(start // eta**rung, 1), eta ** (rung - s)) for rung in range(s + 1)]
        shapes, _, _ = batches_of(f"bohb:eta={eta},rungs={rungs}", 40)
        assert shapes[: len(expected)] == expected


def test_the_best_of_a_rung_go_on():
    shapes, found, rows = batches_of("bohb", 30)
    begin = 0
    for (before, after), batch in zip(itertools.pairwise(shapes), found[1:], strict=True):
        if before[1] < after[1] and after[0] < before[0]:
            rung = sorted(rows[begin : begin + before[0]], key=lambda row: -row.score)
            assert list(map(architecture_of, batch)) == [row.architecture for row in rung[: len(batch)]]
        begin += before[0]


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
        kernels = [
            math.prod(
                1 - h if a == b else h / (size - 1)
                for a, b, h, size in zip(observation, point, density.bandwidths, SIZES, strict=True)
            )
            for observation in observations
        ]
        assert value == pytest.approx(np.mean(kernels))


def test_draws_of_a_density_are_kept_or_drawn_again():
    found = Density(np.tile([[0, 1, 3]], (4, 1)), SIZES, 0.1).draw(2_000, np.random.default_rng(0))
    assert (found == [0, 1, 3]).mean(0) == pytest.approx(0.9 + 0.1 / SIZES, abs=0.02)


def test_the_model_is_of_the_highest_rung_with_enough_trainings():
    algorithm = made("bohb")
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


def test_the_highest_ratio_of_good_to_bad_is_proposed():
    rows = [row_of(SPACE[number], float(number)) for number in range(0, 15_000, 500)]
    known = {row.architecture for row in rows}
    for seed in range(5):
        algorithm = made("bohb:random_fraction=0,rungs=1", seed=seed)
        good, bad = algorithm.fit(rows)
        points = good.draw(64, np.random.default_rng(derived_seed(seed, "bohb", len(rows))))
        ratios = dict(zip(map(SPACE.from_decisions, points.tolist()), good(points) / bad(points), strict=True))
        proposed = algorithm.propose(rows)[0]
        assert proposed not in known
        assert ratios[proposed] == max(ratio for cell, ratio in ratios.items() if cell not in known)


def test_a_third_is_drawn_at_random():
    """With no other density than one point, what is far from it was drawn at random."""
    rows = [row_of(SPACE[1462], 1.0)] * 7 + [row_of(SPACE[9], 0.0)] * 7
    proposed = [made("bohb:min_bandwidth=0.0001,rungs=1,repeats=true", seed=seed).propose(rows) for seed in range(600)]
    best = SPACE.decisions(SPACE[1462])
    assert sum(SPACE.decisions(each) != best for (each,) in proposed) == pytest.approx(200, abs=40)


def test_what_was_proposed_is_passed_over_and_counts_once():
    rows = simulate(made("bohb:rungs=1", samples=120), evaluator(convolutions)).rows
    assert len({row.architecture for row in rows}) > 115
    again = simulate(made("bohb:rungs=1,repeats=true", samples=120), evaluator(convolutions)).rows
    assert len({row.architecture for row in again}) < 80
    once = [row_of(SPACE[number], float(number)) for number in range(14)]
    assert made("bohb").fit(once[:13] * 2) is None
    assert made("bohb:repeats=true").fit(once[:13] * 2) is not None
