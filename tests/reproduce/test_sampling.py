import numpy as np
import pytest

from naswot_lightning.reproduce.result_row import Spread
from naswot_lightning.reproduce.sampling import candidates, draws, picks


@pytest.mark.parametrize("samples", [1, 3, 50])
def test_picks_are_those_of_algorithm_1_run_by_run(samples):
    rng = np.random.default_rng(1)
    merits = rng.integers(0, 15, 40).astype(float)  # with equal ones
    merits[::6] = np.nan
    drawn = draws(40, samples, 200, seed=3)
    for run, pick in zip(drawn, picks(merits, drawn), strict=True):
        best, best_merit = None, None
        for place in run:
            if best is None or (not np.isnan(merits[place]) and (np.isnan(best_merit) or merits[place] > best_merit)):
                best, best_merit = place, merits[place]
        assert pick == best


@pytest.mark.parametrize("samples", [1, 10, 100])
def test_the_mean_of_the_best_is_the_expectation_of_a_maximum(samples):
    values = np.sort(np.random.default_rng(2).normal(90, 3, 300))
    share = np.arange(301) / 300  # of draws with replacement: P(max <= v_k) = (k / n)^N
    expected = (values * np.diff(share**samples)).sum()
    found = values[picks(values, draws(300, samples, 5000, seed=0))]
    assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(5000))


def test_draws_are_with_replacement_over_all_places_and_of_the_seed():
    drawn = draws(30, 30, 400, seed=0)
    assert drawn.shape == (400, 30)
    assert set(drawn.ravel()) == set(range(30))
    assert any(len(set(run)) < 30 for run in drawn)
    assert np.array_equal(drawn, draws(30, 30, 400, seed=0))
    assert not np.array_equal(drawn, draws(30, 30, 400, seed=1))


def test_candidates_are_different_and_a_longer_sample_begins_with_the_shorter():
    long = candidates(50, 30, seed=4)
    assert len(set(long.tolist())) == 30
    assert np.array_equal(candidates(50, 10, seed=4), long[:10])
    assert sorted(candidates(50, 50, seed=4).tolist()) == list(range(50))


def test_a_spread_is_of_the_numbers_that_there_are():
    assert Spread.of([1.0, np.nan, 3.0]) == Spread(2.0, pytest.approx(2**0.5))
    assert Spread.of([5.0]) == Spread(5.0, None)
    assert Spread.of([np.nan]) is None
    assert Spread.of([]) is None
    assert str(Spread(5.0, None)) == "5.00"
