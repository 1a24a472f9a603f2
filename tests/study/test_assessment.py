"""Each score beside model size, against scipy's tau of networks drawn one by one."""

import math

import numpy as np
import pytest
from scipy import stats

from naswot_lightning.analysis.statistics import RESAMPLES, SEED
from naswot_lightning.study.assessment import ScoreRanks, assess_scores
from naswot_lightning.study.candidates import CandidateAccuracies
from tests.analysis.reference import tau_of_pairs

N = 24


def ranks(values):
    """Ranks, equals with their mean rank; NaN is the worst."""
    values = np.asarray(values, float)
    return ScoreRanks(stats.rankdata(np.where(np.isnan(values), -np.inf, values)), np.isnan(values))


@pytest.fixture
def ranked():
    """Two scores with ties, one of them missing here and there, and a size; 20 of 24 accuracies are known."""
    rng = np.random.default_rng(3)
    accuracy = rng.integers(60, 75, N) / 100.0
    good = accuracy * 100 // 2 + rng.integers(0, 2, N)
    some = np.where(rng.random(N) < 0.2, np.nan, rng.integers(0, 5, N))
    params = rng.integers(0, 8, N) + accuracy * 10
    columns = {"good": good, "some": some, "params": params, "macs": -params}
    return {name: ranks(values) for name, values in columns.items()}, np.where(np.arange(N) % 6 == 1, np.nan, accuracy)


def drawn_one_by_one(known):
    return [known, *known[np.random.default_rng(SEED).integers(0, len(known), (RESAMPLES, len(known)))]]


def by_hand(xy, xz, yz):
    below = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / math.sqrt(below) if below > 1e-9 else math.nan


def quantiles(values):
    values = [each for each in values if not math.isnan(each)]
    return pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-9)


def test_taus_differences_and_partial_taus_are_those_of_networks_drawn_one_by_one(ranked):
    by_name, accuracy = ranked
    panel = assess_scores(by_name, CandidateAccuracies("test", "mine", accuracy))
    known = np.flatnonzero(~np.isnan(accuracy))
    assert (panel.n, panel.size) == (len(known), "params")
    resamples = drawn_one_by_one(known)
    with_accuracy = {
        name: [tau_of_pairs(each.ranks[drawn], accuracy[drawn]) for drawn in resamples]
        for name, each in by_name.items()
    }
    size, yz = by_name["params"].ranks, with_accuracy["params"]
    for each in panel.judged:
        own, xy = by_name[each.score].ranks, with_accuracy[each.score]
        xz = [
            tau_of_pairs(own[drawn], size[drawn])
            for drawn in (resamples if each.score in ("good", "some") else [known])
        ]
        partial = [by_hand(*taus) for taus in zip(xy, xz, yz, strict=False)]
        gain = np.subtract(xy, yz)
        assert each.tau.value == pytest.approx(xy[0])
        assert [each.tau.low, each.tau.high] == quantiles(xy[1:])
        assert each.less_size.value == pytest.approx(gain[0], abs=1e-9)
        assert [each.less_size.low, each.less_size.high] == quantiles(gain[1:])
        assert each.tau_with_size == pytest.approx(xz[0])
        if each.score in ("good", "some"):
            assert each.partial.value == pytest.approx(partial[0])
            assert [each.partial.low, each.partial.high] == quantiles(partial[1:])
        else:
            assert each.partial.value is None  # of size given size there is none
        assert each.unscored == by_name[each.score].unscored[known].sum()
