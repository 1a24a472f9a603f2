import random

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.ranking import choose_picks, kendall_tau, rank


def test_ranking_puts_equals_in_the_order_they_came():
    base = {"canonical": "", "params": 1, "macs": 1, "n_units": 1}
    values = (("z", None), ("a", 1.0), ("b", 2.0), ("c", 1.0), ("d", -3.0))
    rows = [
        {**base, "architecture": a, "score": s, "scores": {"naswot": s}, "status": "failed" if s is None else "ok"}
        for a, s in values
    ]
    assert [row["architecture"] for row in rank(rows)] == ["b", "a", "c", "d", "z"]


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


def test_an_aggregation_is_the_mean_of_places_with_missing_values_last():
    def row(name, naswot, params):
        scores = {"naswot": naswot, "params": params}
        return {
            "architecture": name, "canonical": name, "params": params, "macs": 1, "n_units": 1, "score": naswot,
            "scores": scores, "status": "ok" if naswot is not None else "degenerate",
        }  # fmt: skip

    rows = [row("a", 3.0, 10), row("b", 2.0, 30), row("c", 2.0, 20), row("d", None, 40), row("e", 1.0, 10)]
    ranking = rank(rows, [["naswot", "params"]])
    # places, 0 the last of five and 1 the best: naswot a 1, b and c 0.625, e 0.25, d 0; params d 1, b .75, c .5
    expected = {"b": 0.6875, "a": 0.5625, "c": 0.5625, "e": 0.1875, "d": 0.5}
    assert {r["architecture"]: r["score"] for r in ranking} == pytest.approx(expected)
    assert [r["architecture"] for r in ranking] == ["b", "a", "c", "e", "d"]
    assert ranking[-1]["status"] == "degenerate"


def test_picks_are_the_top_or_spread_over_different_networks():
    rows = [{"canonical": c, "status": "ok", "rank": i} for i, c in enumerate("aabcddefghij", start=1)]
    rows.append({"canonical": "z", "status": "degenerate", "rank": 13})

    def picked(top, select):
        return "".join(row["canonical"] for row in choose_picks(rows, top, select))

    assert picked(3, "top") == "abc"
    assert picked(4, "spread") == "adgj"
    assert picked(2, "spread") == "aj"
    assert picked(1, "spread") == "a"
    assert picked(10, "spread") == "abcdefghij"
    with pytest.raises(UserError, match="--top 11: the ranking has 10 different networks"):
        choose_picks(rows, 11, "spread")
