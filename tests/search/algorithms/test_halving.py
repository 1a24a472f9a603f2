from collections import Counter

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.search.algorithms import make_algorithm
from naswot_lightning.search.algorithms.random import sample_space
from naswot_lightning.search.loop import simulate
from tests.search.algorithms.tables import NO_LIMITS, SPACE, convolutions, evaluator, params


def made(name="halving", samples=100, seed=0):
    return make_algorithm(name, SPACE, samples, seed, NO_LIMITS)


@pytest.mark.parametrize(("name", "samples", "sizes"), [
    ("halving", 100, {0: 100, 1 / 9: 27, 1 / 3: 9, None: 3}),
    ("halving", 10, {0: 10, 1 / 9: 10, 1 / 3: 3, None: 1}),
    ("halving:picks=8,eta=2", 50, {0: 50, 1 / 4: 8, 1 / 2: 4, None: 2}),
    ("halving:picks=5,rungs=1", 50, {0: 50, None: 5}),
    ("halving:picks=2,rungs=4", 50, {0: 50, 1 / 27: 2, 1 / 9: 1, 1 / 3: 1, None: 1}),
])  # fmt: skip
def test_sizes_of_the_rungs(name, samples, sizes):
    history = simulate(made(name, samples), evaluator(convolutions))
    assert Counter(row.fidelity for row in history.rows) == sizes
    assert history.evaluations[-1] == pytest.approx(sum((1 if f is None else f) * n for f, n in sizes.items()))


def test_it_begins_as_random_sampling_and_keeps_the_best_of_each_rung():
    def by_fidelity(proposal):
        fidelity = getattr(proposal, "fidelity", 1)
        order = params if fidelity in (0, 1 / 3) else lambda architecture: -params(architecture)
        return evaluator(order)(proposal)

    rows = simulate(made(samples=60, seed=4), by_fidelity).rows
    assert [row.architecture for row in rows[:60]] == sample_space(SPACE, 60, 4)
    for begin, end, size in ((0, 60, 27), (60, 87, 9), (87, 96, 3)):
        best = sorted(rows[begin:end], key=lambda row: -row.score)[:size]
        assert [row.architecture for row in rows[end : end + size]] == [row.architecture for row in best]


def test_options_are_checked():
    for name in ("halving:eta=1", "halving:picks=0", "halving:rungs=0"):
        with pytest.raises(UserError, match="or more"):
            made(name)
