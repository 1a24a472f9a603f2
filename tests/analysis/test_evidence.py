import random
from dataclasses import replace

import pytest
from scipy import stats

from naswot_lightning.analysis.evidence import correlations, judge, note_on_range
from naswot_lightning.analysis.results import Network
from tests.runs import training_result


def networks(scores, accuracies, params, macs=None):
    """One network a value, all of one seed."""
    macs = params if macs is None else macs
    results = (
        training_result(number, score_init=s, test_acc=a, params=int(p), macs=int(m))
        for number, (s, a, p, m) in enumerate(zip(scores, accuracies, params, macs, strict=True), start=1)
    )
    return [Network((each,)) for each in results]


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
    for part in ("beats model size", "1.00 [1.00, 1.00]", f"{tau:.2f} [", f"{1 - tau:+.2f} [", "n = 12 networks"):
        assert part in wins.sentence
    assert "loses to model size" in loses.sentence
    assert "\n" not in wins.sentence + loses.sentence


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


def test_too_little_evidence_says_why_and_how_to_get_more():
    for members, reason in (
        ([], "0 networks are too few"),
        (networks([1.0], [0.5], [1]), "1 network is too few"),
        (networks(RISING[:4], ACCURACIES[:4], MIXED[:4]), "4 networks are too few"),
        (networks(RISING, [0.5] * 12, MIXED), "the 12 networks are equal in size or in test accuracy"),
        (networks(RISING, ACCURACIES, [1] * 12), "the 12 networks are equal in size or in test accuracy"),
        (networks([1.0] * 12, ACCURACIES, MIXED), "the 12 networks have equal scores"),
        (networks(RISING[:5], [0.5] * 4 + [0.9], MIXED[:5]), "so many equal scores, sizes or accuracies"),
    ):
        verdict = judge(members)
        assert verdict.outcome == "too little evidence"
        assert reason in verdict.sentence
        assert "naswot train --select spread --top 20" in verdict.sentence
        assert verdict.difference is None


def test_advice_fits_the_ranking():
    three = networks(RISING[:3], ACCURACIES[:3], MIXED[:3])
    assert "--top 20." in judge(three, 100).sentence
    assert "--top 12." in judge(three, 12).sentence
    assert "the ranking has 4 networks: rank more with naswot search --samples" in judge(three, 4).sentence


def test_correlations_leave_out_networks_without_an_accuracy():
    members = networks(RISING, ACCURACIES, MIXED)
    without = Network((replace(members[0].results[0], test_acc=None),))
    found = correlations([without, *members[1:]])
    assert {each.kendall_tau.n for each in found.values()} == {11}
    expected = stats.spearmanr(MIXED[1:], ACCURACIES[1:]).statistic
    assert found["params"].spearman_rho.value == pytest.approx(expected)


def test_means_over_seeds_that_are_equal_tie():
    def network(number, *accuracies):
        return Network(tuple(training_result(number, "x", seed=s, test_acc=a) for s, a in enumerate(accuracies)))

    members = [network(1, 0.1, 0.2, 0.3), network(2, 0.2, 0.2, 0.2)]
    assert members[0].mean("test_acc") != members[1].mean("test_acc")  # in the last bit
    assert correlations(members)["score_init"].kendall_tau.value is None


def test_the_top_of_a_ranking_is_told_from_a_spread():
    members = networks(RISING, ACCURACIES, MIXED)
    ranked = [network.canonical for network in members]
    random.Random(0).shuffle(members)
    for own, names, whole in (
        (members, [*ranked, "another"], "the top 12 of a ranking of 13 different networks,"),
        (members, None, None), (members, ranked, None), (members[1:], [*ranked, "another"], None),
    ):  # fmt: skip
        found = note_on_range(own, names)
        assert found is None if whole is None else whole in found
