import pytest

from naswot_lightning.columns import Column, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import rank, read_ranking, write_ranking
from naswot_lightning.storage.score_rows import ScoreRow

NASWOT, PARAMS = Column("naswot", "score"), Column("params", "parameters")
LATENCY = Column("ms", "latency", "ms", higher_is_better=False)


def row(name, status=None, **scores):
    """A finished candidate; the first of its scores decides the status."""
    first = next(iter(scores.values()))
    status = status or ("degenerate" if first is None else "ok")
    return ScoreRow("space", name, name, first, scores, 1, 1, 1, 0, "probe", 0.5, status, None)


def order(ranking):
    return "".join(each.architecture for each in ranking)


def test_ranking_puts_equals_in_the_order_they_came():
    scores = {"a": 1.0, "b": 2.0, "c": 1.0, "d": -3.0}
    rows = [row("z", "failed", naswot=None), *(row(name, naswot=score) for name, score in scores.items())]
    ranking = rank(rows, [Criterion((NASWOT,))])
    assert order(ranking) == "bacdz"
    assert [each.rank for each in ranking] == [1, 2, 3, 4, 5]


def test_degenerate_candidates_come_before_failed_ones():
    rows = [row("f", "failed", naswot=None), row("d", naswot=None), row("o", naswot=-1e9)]
    assert order(rank(rows, [Criterion((NASWOT,))])) == "odf"


def test_an_aggregation_is_the_mean_of_places_with_missing_values_last():
    values = {"a": (3.0, 10), "b": (2.0, 30), "c": (2.0, 20), "d": (None, 40), "e": (1.0, 10)}
    rows = [row(name, naswot=naswot, params=params) for name, (naswot, params) in values.items()]
    ranking = rank(rows, [Criterion((NASWOT, PARAMS))])
    # places, 0 the last of five and 1 the best: naswot a 1, b and c 0.625, e 0.25, d 0; params d 1, b .75, c .5
    expected = {"b": 0.6875, "a": 0.5625, "c": 0.5625, "e": 0.1875, "d": 0.5}
    assert {each.architecture: each.score for each in ranking} == pytest.approx(expected)
    assert order(ranking) == "baced"
    assert ranking[-1].status == "degenerate"


def test_a_column_of_which_less_is_better_is_ranked_the_other_way_round():
    values = {"a": (3.0, 30.0), "b": (2.0, 10.0), "c": (1.0, 20.0)}
    rows = [row(name, ms=ms, naswot=naswot) for name, (naswot, ms) in values.items()]
    assert order(rank(rows, [Criterion((LATENCY,))])) == "bca"
    ranking = rank(rows, [Criterion((NASWOT, LATENCY))])
    assert order(ranking) == "bac"
    assert [each.score for each in ranking] == [0.75, 0.5, 0.25]


def test_a_ranking_is_read_as_it_was_written(tmp_path):
    rows = [row("a", naswot=1.5, params=3.0), row("b", naswot=None, params=4.0), row("c", naswot=2.5, params=None)]
    ranking = rank(rows, [Criterion((NASWOT,)), Criterion((NASWOT, PARAMS))])
    write_ranking(tmp_path, ranking)
    assert read_ranking(tmp_path) == ranking
    assert [sorted(each.more) for each in ranking] == [["naswot", "naswot+params"]] * 3
    content = (tmp_path / "ranking.json").read_bytes(), (tmp_path / "ranking.csv").read_bytes()
    write_ranking(tmp_path, read_ranking(tmp_path))
    assert ((tmp_path / "ranking.json").read_bytes(), (tmp_path / "ranking.csv").read_bytes()) == content


@pytest.mark.parametrize("content", ['[{"rank": 1', "{}", "[3]", '[{"rank": 1}]', "null", "\xff"])
def test_a_damaged_ranking_is_one_line(tmp_path, content):
    with pytest.raises(UserError, match="no ranking in"):
        read_ranking(tmp_path)
    (tmp_path / "ranking.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"ranking\.json is damaged: run search\.py") as error:
        read_ranking(tmp_path)
    assert "\n" not in str(error.value)
