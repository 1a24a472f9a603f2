"""Counting pairs in all resamples at once, against the matrix of all pairs."""

import numpy as np
import pytest
from scipy import stats

from naswot_lightning.analysis.statistics import concordance, resample_counts, resampled_tau, untied


def signs(values):
    return np.sign(np.subtract.outer(values, values))


def of_all_pairs(matrix, counts):
    """The sum over all pairs of drawn networks, each pair once."""
    return np.einsum("ri,ij,rj->r", counts, matrix, counts) / 2


@pytest.mark.parametrize("levels", [2, 5, 1000], ids=lambda levels: f"{levels} levels")
@pytest.mark.parametrize("n", [2, 3, 17, 64])
def test_it_counts_what_the_matrix_of_pairs_says(n, levels):
    rng = np.random.default_rng(n)
    first, second = rng.integers(0, levels, n) - 2.5, rng.integers(0, levels, n) * -0.5
    counts = resample_counts(n)[:50]
    assert (concordance(first, second, counts) == of_all_pairs(signs(first) * signs(second), counts)).all()
    assert (untied(first, counts) == of_all_pairs(abs(signs(first)), counts)).all()


def test_of_many_networks_it_is_scipys_tau_of_those_drawn():
    n, rng = 3500, np.random.default_rng(0)
    first = rng.normal(size=n).round(1)
    second = (first + rng.normal(size=n)).round(2)
    counts = resample_counts(n)[:5]
    drawn = [np.repeat(np.arange(n), each.astype(int)) for each in counts]
    expected = [stats.kendalltau(first[places], second[places]).statistic for places in drawn]
    assert resampled_tau(first, second, counts) == pytest.approx(expected, abs=1e-12)
