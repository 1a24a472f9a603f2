"""Rank correlations and intervals against counting pairs, scipy, and Kendall's own derivation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from naswot_lightning.analysis.statistics import (
    RESAMPLES,
    SEED,
    Estimate,
    estimate,
    kendall_tau,
    partial_tau,
    resampled_rho,
    resampled_tau,
)
from tests.analysis.reference import tau_of_pairs

few = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=12)


def once(statistic, pairs):
    first, second = zip(*pairs, strict=True)
    return statistic(first, second, np.ones((1, len(pairs))))[0]


@settings(max_examples=50)
@given(few, st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_tau_counts_pairs_rho_is_scipys_and_a_resample_is_the_statistic_of_the_drawn_networks(pairs, seed):
    first, second = zip(*pairs, strict=True)
    expected = tau_of_pairs(first, second)
    assert once(resampled_tau, pairs) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert kendall_tau(first, second) == (None if math.isnan(expected) else pytest.approx(expected, abs=1e-12))
    rho = stats.spearmanr(first, second).statistic
    assert once(resampled_rho, pairs) == pytest.approx(rho, abs=1e-12, nan_ok=True)
    drawn = np.random.default_rng(seed).integers(0, len(pairs), len(pairs))
    counts = np.bincount(drawn, minlength=len(pairs)).astype(float)[None]
    again = [pairs[position] for position in drawn]
    for statistic in (resampled_tau, resampled_rho):
        resampled = statistic(first, second, counts)[0]
        assert resampled == pytest.approx(once(statistic, again), abs=1e-12, nan_ok=True)


def test_interval_is_that_of_scipys_bootstrap():
    rng, n = np.random.default_rng(20), 20
    first = rng.normal(size=n)
    second = first + rng.normal(size=n)
    found = estimate(resampled_tau, list(first), list(second))
    expected = stats.bootstrap(
        (first, second), lambda a, b: stats.kendalltau(a, b).statistic, paired=True, vectorized=False,
        n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(SEED),
    ).confidence_interval  # fmt: skip
    assert found.value == pytest.approx(stats.kendalltau(first, second).statistic)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert (found.undefined_resamples, found.n) == (0, n)


def test_resamples_without_a_value_are_left_out_and_too_many_of_them_leave_no_interval():
    scores, accuracies = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    drawn = np.random.default_rng(SEED).integers(0, 6, (RESAMPLES, 6))
    taus = [tau_of_pairs(np.array(scores)[row], np.array(accuracies)[row]) for row in drawn]
    defined = [tau for tau in taus if not math.isnan(tau)]
    found = estimate(resampled_tau, scores, accuracies)
    assert 0 < found.undefined_resamples == RESAMPLES - len(defined)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(defined, [2.5, 97.5])))
    found = estimate(resampled_tau, [1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 0.0, 0.0, 1.0])
    assert found.undefined_resamples == pytest.approx(RESAMPLES * 0.8**5, rel=0.15)
    assert found.value == pytest.approx(4 / math.sqrt(10 * 4))
    assert found.low is found.high is None
    assert str(found) == "0.63"


def test_fewer_than_two_networks_or_equal_ones_have_no_value():
    for values in ([], [1.0], [2.0, 2.0]):
        found = estimate(resampled_tau, values, values)
        assert (found.value, str(found), found.n) == (None, "not defined", len(values))
        assert kendall_tau(values, values) is None
    assert format(Estimate(0.5, 0.25, 0.75, 20, 0), ".3f") == "0.500 [0.250, 0.750]"


def test_partial_tau_where_it_is_not_defined():
    xy, xz, yz = np.array([[0.5, 1.0, 0.5], [0.5, 0.5, -1.0], [np.nan, 0.5, 0.5]]).T
    assert np.isnan(partial_tau(xy, xz, yz)).all()
