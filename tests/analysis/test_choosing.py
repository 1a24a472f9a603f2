"""What picks are worth, against draws of candidates one by one."""

import numpy as np
import pytest

from naswot_lightning.analysis.choosing import judge_choices
from naswot_lightning.analysis.statistics import RESAMPLES, SEED

RNG = np.random.default_rng(1)
ACCURACY = RNG.normal(size=120).round(1)
# Many equal values, as of parameters.
SCORE = (ACCURACY + RNG.normal(size=120)).round(0)


def shuffled_order(values):
    """Best first, equals in any order."""
    order = RNG.permutation(len(values))
    return order[np.argsort(-values[order], kind="stable")]


def by_hand(accuracy, score, draws=400):
    """Regret of the best of 10, share of the top 5 % found and nDCG@10, each over many draws."""
    regret, found, ndcg = [], [], []
    gains = np.array([(accuracy < each).sum() for each in accuracy])
    discounts = 1 / np.log2(np.arange(2, 12))
    for _ in range(draws):
        drawn = RNG.integers(0, len(score), 10)
        regret.append(accuracy[drawn].max() - accuracy[drawn][shuffled_order(score[drawn])[0]])
        best, first = shuffled_order(accuracy), shuffled_order(score)
        found.append(len(set(best[:6]) & set(first[:6])) / 6)
        ndcg.append(gains[first[:10]] @ discounts / (gains[best[:10]] @ discounts))
    return np.mean(regret), np.mean(found), np.mean(ndcg)


def test_each_is_the_mean_over_draws_and_orders_of_equals():
    choice = judge_choices({"score": SCORE}, ACCURACY)["score"]
    regret, found, ndcg = by_hand(ACCURACY, SCORE, 8_000)
    assert list(choice.regret) == [10, 100]
    assert choice.regret[10].value == pytest.approx(regret, abs=0.04)
    assert choice.top_found.value == pytest.approx(found, abs=0.02)
    assert choice.ndcg.value == pytest.approx(ndcg, abs=0.006)


def test_intervals_are_those_of_networks_drawn_one_by_one():
    choice = judge_choices({"score": SCORE}, ACCURACY)["score"]
    # The share of the top 5 % is that of copies in each resample: 6 of 120.
    resamples = np.random.default_rng(SEED).integers(0, 120, (RESAMPLES, 120))[:300]
    found = np.quantile([by_hand(ACCURACY[each], SCORE[each], 30)[0] for each in resamples], [0.025, 0.975])
    assert [choice.regret[10].low, choice.regret[10].high] == pytest.approx(found, abs=0.12)


@pytest.mark.filterwarnings("error")
def test_what_knows_all_and_what_knows_nothing():
    found = judge_choices({"all": ACCURACY, "nothing": np.zeros(120), "wrong": -ACCURACY}, ACCURACY)
    assert {each.value for each in found["all"].regret.values()} == {0.0}
    assert (found["all"].top_found.value, found["all"].ndcg.value) == (pytest.approx(1), pytest.approx(1))
    assert found["nothing"].top_found.value == pytest.approx(0.05)
    assert found["nothing"].ndcg.value == pytest.approx(0.5, abs=0.03)
    best_of_100 = np.mean([RNG.choice(ACCURACY, 100).max() for _ in range(4000)])
    assert found["nothing"].regret[100].value == pytest.approx(best_of_100 - ACCURACY.mean(), abs=0.03)
    equal = judge_choices({"equal": ACCURACY}, np.full(120, 0.9))["equal"]
    assert (str(equal.regret[10]), str(equal.ndcg)) == ("0.00 [0.00, 0.00]", "not defined")
    assert judge_choices({"few": ACCURACY[:19]}, ACCURACY[:19]) == {}
    assert found["wrong"].regret[100].value > found["nothing"].regret[100].value
