"""Partial tau against Kendall's own derivation: the correlation of a 2 x 2 table of pairs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from naswot_lightning.analysis.statistics import partial_tau


def of_pairs(x, y, z):
    """Kendall 1942: of the pairs in the order of z, how those that x keeps go with those that y keeps; without ties."""
    table = np.zeros((2, 2))
    for i, j in itertools.combinations(range(len(z)), 2):
        low, high = (i, j) if z[i] < z[j] else (j, i)
        table[int(x[low] < x[high]), int(y[low] < y[high])] += 1
    (a, b), (c, d) = table
    scale = math.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    return (a * d - b * c) / scale if scale else math.nan


def of_taus(x, y, z):
    pairs = ((x, y), (x, z), (y, z))
    return float(partial_tau(*(np.array([stats.kendalltau(*pair).statistic]) for pair in pairs))[0])


@given(st.integers(3, 12).flatmap(lambda n: st.tuples(*[st.permutations(range(n))] * 3)))
def test_it_is_the_correlation_of_the_table_of_pairs(rankings):
    assert of_taus(*rankings) == pytest.approx(of_pairs(*rankings), abs=1e-9, nan_ok=True)


def test_by_hand():
    # Of 6 pairs x reverses (1, 2) and y (3, 4): taus 1/3, 2/3, 2/3; (1/3 - 4/9) / (5/9) = -0.2.
    assert of_taus([2, 1, 3, 4], [1, 2, 4, 3], [1, 2, 3, 4]) == pytest.approx(-0.2)


def test_what_size_explains_leaves_nothing_and_size_itself_has_none():
    assert partial_tau(np.array([0.35]), np.array([0.7]), np.array([0.5])) == pytest.approx(0)
    assert np.isnan(
        partial_tau(np.array([0.5, 0.5, np.nan]), np.array([1.0, 0.5, 0.5]), np.array([0.5, -1.0, 0.5]))
    ).all()
