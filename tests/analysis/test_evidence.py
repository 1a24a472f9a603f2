import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naswot_lightning.evidence import (
    RESAMPLES,
    SEED,
    correlations,
    estimate,
    is_top_only,
    judge,
    kendall,
    note_on_range,
    resample_counts,
    spearman,
)
from naswot_lightning.results import Network
from scipy import stats

from tests.runs import result

few = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=12)
distinct = st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(-4, 4)), min_size=5, max_size=10)


def networks(scores, accuracies, params, macs=None):
    """One network a value, all of one seed."""
    macs = params if macs is None else macs
    rows = (
        {**result(number), "pick": f"{number}-x", "score_init": s, "test_acc": a, "params": p, "macs": m}
        for number, (s, a, p, m) in enumerate(zip(scores, accuracies, params, macs, strict=True), start=1)
    )
    return [Network((row,)) for row in rows]


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
    assert once(kendall, [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4)]) == 0.6  # 8 pairs agree, 2 do not
    assert once(kendall, [(1, 1), (1, 2), (2, 2), (3, 3)]) == 0.8  # 4 agree, a tie in each: 4 / sqrt(5 * 5)
    assert once(spearman, [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4)]) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert math.isnan(once(kendall, [(1, 1), (2, 1), (3, 1)]))
    assert math.isnan(once(spearman, [(1, 1), (1, 2), (1, 3)]))


@given(few)
def test_tau_is_that_of_counting_pairs(pairs):
    assert once(kendall, pairs) == pytest.approx(tau_by_counting(pairs), abs=1e-12, nan_ok=True)


@given(few)
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_rho_is_scipys(pairs):
    expected = stats.spearmanr(*zip(*pairs, strict=True)).statistic
    assert once(spearman, pairs) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(few, st.integers(0, 2**32 - 1))
def test_a_resample_is_the_statistic_of_the_drawn_networks(pairs, seed):
    drawn = np.random.default_rng(seed).integers(0, len(pairs), len(pairs))
    counts = np.bincount(drawn, minlength=len(pairs)).astype(float)[None]
    again = [pairs[position] for position in drawn]
    for statistic in (kendall, spearman):
        resampled = statistic(*zip(*pairs, strict=True), counts)[0]
        assert resampled == pytest.approx(once(statistic, again), abs=1e-12, nan_ok=True)


@settings(max_examples=25)
@given(distinct)
def test_a_monotone_transform_and_an_order_change_nothing(pairs):
    first, second = zip(*pairs, strict=True)
    before = estimate(kendall, first, second)
    place = {value: number for number, value in enumerate(sorted(set(first)))}
    assert estimate(kendall, [math.exp(place[value]) for value in first], second) == before
    assert estimate(kendall, second, first) == before
    mirrored = estimate(kendall, [-place[value] for value in first], second)
    if before.value is not None:
        assert mirrored.value == -before.value
    if before.low is not None:
        assert (mirrored.low, mirrored.high) == pytest.approx((-before.high, -before.low), abs=1e-12)
        assert -1 <= before.low <= before.high <= 1


@pytest.mark.parametrize("n", [8, 20])
@pytest.mark.parametrize(("ours", "theirs"), [(kendall, stats.kendalltau), (spearman, stats.spearmanr)])
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
    found = estimate(kendall, scores, accuracies)
    assert 0 < found.undefined_resamples == RESAMPLES - len(defined)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(defined, [2.5, 97.5])))


def test_too_many_resamples_without_a_value_leave_no_interval():
    found = estimate(kendall, [1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 0.0, 0.0, 1.0])
    assert found.undefined_resamples == pytest.approx(RESAMPLES * 0.8**5, rel=0.15)
    assert found.value == pytest.approx(4 / math.sqrt(10 * 4))
    assert found.low is found.high is None
    assert found.interval == "-"


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0]])
def test_fewer_than_two_networks_or_equal_ones_have_no_value(values):
    found = estimate(kendall, values, values)
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


ACCURACIES = [0.5 + 0.02 * place for place in range(12)]
RISING = [100.0 + place for place in range(12)]
MIXED = [3, 1, 4, 10, 5, 9, 2, 6, 11, 8, 7, 12]


def test_the_score_beats_size_and_size_beats_the_score():
    wins = judge(networks(RISING, ACCURACIES, MIXED))
    loses = judge(networks(MIXED, ACCURACIES, RISING))
    assert (wins.outcome, loses.outcome) == ("beats", "loses")
    assert wins.difference.low > 0 > loses.difference.high
    assert (wins.difference.low, wins.difference.high) == (-loses.difference.high, -loses.difference.low)
    tau = stats.kendalltau(MIXED, ACCURACIES).statistic
    assert wins.difference.value == pytest.approx(1 - tau)
    for part in ("beats plain size", "1.00 [1.00, 1.00]", f"{tau:.2f} [", f"{1 - tau:+.2f} [", "n = 12 networks"):
        assert part in wins.sentence
    assert "loses to plain size" in loses.sentence
    assert "\n" not in wins.sentence + loses.sentence


def test_the_interval_of_the_difference_is_of_the_same_resamples():
    found = judge(networks(RISING, ACCURACIES, MIXED)).difference
    drawn = np.random.default_rng(SEED).integers(0, 12, (RESAMPLES, 12))
    differences = [
        tau_by_counting([(RISING[i], ACCURACIES[i]) for i in row])
        - tau_by_counting([(MIXED[i], ACCURACIES[i]) for i in row])
        for row in drawn
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])))


def test_a_score_that_is_size_cannot_be_told_apart_from_it():
    verdict = judge(networks(MIXED, ACCURACIES, MIXED))
    assert verdict.outcome == "cannot be told apart"
    assert (verdict.difference.value, verdict.difference.low, verdict.difference.high) == (0, 0, 0)
    assert "cannot be told apart on 12 networks" in verdict.sentence


def test_size_is_the_better_of_parameters_and_macs():
    reverse = RISING[::-1]
    assert judge(networks(MIXED, ACCURACIES, reverse, RISING)).size == "macs"
    assert judge(networks(MIXED, ACCURACIES, RISING, reverse)).size == "params"
    assert judge(networks(MIXED, ACCURACIES, [7] * 12, reverse)).size == "macs"  # equal parameters rank nothing
    assert "for MACs" in judge(networks(MIXED, ACCURACIES, reverse, RISING)).sentence


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "0 networks are too few"),
        (networks([1.0], [0.5], [1]), "1 network is too few"),
        (networks(RISING[:4], ACCURACIES[:4], MIXED[:4]), "4 networks are too few"),
        (networks(RISING, [0.5] * 12, MIXED), "the 12 networks are equal in size or in test accuracy"),
        (networks(RISING, ACCURACIES, [1] * 12), "the 12 networks are equal in size or in test accuracy"),
        (networks([1.0] * 12, ACCURACIES, MIXED), "the 12 networks have equal scores"),
        (networks(RISING[:5], [0.5] * 4 + [0.9], MIXED[:5]), "so many equal scores, sizes or accuracies"),
    ],
)
def test_too_little_evidence_says_why_and_how_to_get_more(members, reason):
    verdict = judge(members)
    assert verdict.outcome == "too little evidence"
    assert reason in verdict.sentence
    assert "train.py --select spread --top 20" in verdict.sentence
    assert verdict.difference is None


def test_advice_fits_the_ranking():
    three = networks(RISING[:3], ACCURACIES[:3], MIXED[:3])
    assert "--top 20." in judge(three, 100).sentence
    assert "--top 12." in judge(three, 12).sentence
    assert "the ranking has 4 networks: rank more with search.py --samples" in judge(three, 4).sentence


def test_correlations_leave_out_networks_without_an_accuracy():
    members = networks(RISING, ACCURACIES, MIXED)
    without = Network(({**members[0].results[0], "best_val_acc": None},))
    found = correlations([without, *members[1:]], "best_val_acc")
    assert {each["kendall_tau"].n for each in found.values()} == {11}
    assert found["score_init"]["kendall_tau"].value == -1  # validation accuracy falls with the number
    assert found["params"]["spearman_rho"].value == pytest.approx(
        stats.spearmanr(MIXED[1:], [-place for place in range(11)]).statistic
    )


def test_means_over_seeds_that_are_equal_tie():
    def network(number, *accuracies):
        rows = [{**result(number), "pick": "x", "seed": s, "test_acc": a} for s, a in enumerate(accuracies)]
        return Network(tuple(rows))

    members = [network(1, 0.1, 0.2, 0.3), network(2, 0.2, 0.2, 0.2)]
    assert members[0].mean("test_acc") != members[1].mean("test_acc")  # in the last bit
    assert correlations(members, "test_acc")["score_init"]["kendall_tau"].value is None


def test_the_top_of_a_ranking_is_told_from_a_spread():
    members = networks(RISING, ACCURACIES, MIXED)
    ranked = [network.canonical for network in members]
    random.Random(0).shuffle(members)
    assert is_top_only(members, [*ranked, "another"])
    assert not is_top_only(members, ranked)  # the whole ranking is no top
    assert not is_top_only(members[1:], [*ranked, "another"])
    assert is_top_only(members, None)
    assert not is_top_only([network for network in members if network.rank != 2], None)
    assert note_on_range(members, ranked) is None
    assert "the top 12 of a ranking of 13" in note_on_range(members, [*ranked, "another"])
