import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from naswot_lightning.analysis.statistics import (
    RESAMPLES,
    SEED,
    estimate,
    kendall_tau,
    resample_counts,
    resampled_rho,
    resampled_tau,
)

few = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=12)
distinct = st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(-4, 4)), min_size=5, max_size=10)


def once(statistic, pairs):
    first, second = zip(*pairs, strict=True)
    return statistic(first, second, np.ones((1, len(pairs))))[0]


def tau_by_counting(pairs):
    concordant = discordant = first_differs = second_differs = 0
    for (a, b), (c, d) in itertools.combinations(pairs, 2):
        first_differs += a != c
        second_differs += b != d
        concordant += (a - c) * (b - d) > 0
        discordant += (a - c) * (b - d) < 0
    scale = math.sqrt(first_differs * second_differs)
    return (concordant - discordant) / scale if scale else math.nan


def test_tau_and_rho_by_hand():
    assert once(resampled_tau, [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4)]) == 0.6  # 8 pairs agree, 2 do not
    assert once(resampled_tau, [(1, 1), (1, 2), (2, 2), (3, 3)]) == 0.8  # 4 agree, a tie in each: 4 / sqrt(5 * 5)
    assert once(resampled_rho, [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4)]) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert math.isnan(once(resampled_tau, [(1, 1), (2, 1), (3, 1)]))
    assert math.isnan(once(resampled_rho, [(1, 1), (1, 2), (1, 3)]))


@given(few)
def test_tau_is_that_of_counting_pairs(pairs):
    assert once(resampled_tau, pairs) == pytest.approx(tau_by_counting(pairs), abs=1e-12, nan_ok=True)


@given(few)
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_rho_is_scipys(pairs):
    expected = stats.spearmanr(*zip(*pairs, strict=True)).statistic
    assert once(resampled_rho, pairs) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(few, st.integers(0, 2**32 - 1))
def test_a_resample_is_the_statistic_of_the_drawn_networks(pairs, seed):
    drawn = np.random.default_rng(seed).integers(0, len(pairs), len(pairs))
    counts = np.bincount(drawn, minlength=len(pairs)).astype(float)[None]
    again = [pairs[position] for position in drawn]
    for statistic in (resampled_tau, resampled_rho):
        resampled = statistic(*zip(*pairs, strict=True), counts)[0]
        assert resampled == pytest.approx(once(statistic, again), abs=1e-12, nan_ok=True)


@settings(max_examples=25)
@given(distinct)
def test_a_monotone_transform_and_an_order_change_nothing(pairs):
    first, second = zip(*pairs, strict=True)
    before = estimate(resampled_tau, first, second)
    place = {value: number for number, value in enumerate(sorted(set(first)))}
    assert estimate(resampled_tau, [math.exp(place[value]) for value in first], second) == before
    assert estimate(resampled_tau, second, first) == before
    mirrored = estimate(resampled_tau, [-place[value] for value in first], second)
    if before.value is not None:
        assert mirrored.value == -before.value
    if before.low is not None:
        assert (mirrored.low, mirrored.high) == pytest.approx((-before.high, -before.low), abs=1e-12)
        assert -1 <= before.low <= before.high <= 1


@pytest.mark.parametrize("n", [8, 20])
@pytest.mark.parametrize(("ours", "theirs"), [(resampled_tau, stats.kendalltau), (resampled_rho, stats.spearmanr)])
def test_interval_is_that_of_scipys_bootstrap(n, ours, theirs):
    rng = np.random.default_rng(n)
    first = rng.normal(size=n)
    second = first + rng.normal(size=n)
    found = estimate(ours, list(first), list(second))
    expected = stats.bootstrap(
        (first, second), lambda a, b: theirs(a, b).statistic, paired=True, vectorized=False, n_resamples=RESAMPLES,
        method="percentile", rng=np.random.default_rng(SEED),
    ).confidence_interval  # fmt: skip
    assert found.value == pytest.approx(theirs(first, second).statistic)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.undefined_resamples == 0
    assert found.n == n


def test_resamples_without_a_value_are_left_out_and_counted():
    scores, accuracies = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    drawn = np.random.default_rng(SEED).integers(0, 6, (RESAMPLES, 6))
    taus = [tau_by_counting([(scores[i], accuracies[i]) for i in row]) for row in drawn]
    defined = [tau for tau in taus if not math.isnan(tau)]
    found = estimate(resampled_tau, scores, accuracies)
    assert 0 < found.undefined_resamples == RESAMPLES - len(defined)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(defined, [2.5, 97.5])))


def test_too_many_resamples_without_a_value_leave_no_interval():
    found = estimate(resampled_tau, [1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 0.0, 0.0, 1.0])
    assert found.undefined_resamples == pytest.approx(RESAMPLES * 0.8**5, rel=0.15)
    assert found.value == pytest.approx(4 / math.sqrt(10 * 4))
    assert found.low is found.high is None
    assert found.interval == "-"


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0]])
def test_fewer_than_two_networks_or_equal_ones_have_no_value(values):
    found = estimate(resampled_tau, values, values)
    assert found.value is None
    assert str(found) == "not defined"
    assert found.n == len(values)


def test_draws_are_the_same_at_every_call():
    counts = resample_counts(7)
    assert counts.shape == (RESAMPLES, 7)
    assert (counts.sum(1) == 7).all()
    resample_counts.cache_clear()
    assert (resample_counts(7) == counts).all()
    with pytest.raises(ValueError, match="read-only"):
        counts[0, 0] = 1


def test_kendall_tau_counts_pairs():
    rng = random.Random(0)
    first, second = ([rng.randrange(6) for _ in range(30)] for _ in range(2))
    pairs = [(i, j) for i in range(30) for j in range(i)]

    def sign(v):
        return (v > 0) - (v < 0)

    agree = sum(sign(first[i] - first[j]) * sign(second[i] - second[j]) for i, j in pairs)
    untied = [sum(v[i] != v[j] for i, j in pairs) for v in (first, second)]
    assert kendall_tau(first, second) == pytest.approx(agree / (untied[0] * untied[1]) ** 0.5)
    assert kendall_tau([1, 1, 1], [1, 2, 3]) is None
    assert kendall_tau([1], [1]) is None
