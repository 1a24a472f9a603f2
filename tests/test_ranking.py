import csv
import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naswot_lightning.columns import Column, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import COLUMNS, as_dicts, rank, read_ranking, write_ranking
from naswot_lightning.storage.files import from_cell, write_csv
from naswot_lightning.storage.score_rows import ScoreRow

NASWOT, PARAMS = Column("naswot", "score"), Column("params", "parameters")
LATENCY = Column("ms", "latency", "ms", higher_is_better=False)


def row(name, status=None, **scores):
    """A finished candidate; the first of its scores decides the status."""
    first = next(iter(scores.values()))
    status = status or ("degenerate" if first is None else "ok")
    return ScoreRow("space", name, name, first, scores, 1, 1, 1, 0, "probe", 0.5, status, None)


def order(ranking):
    return "".join(ranking["architecture"])


def scores_of(ranking):
    return dict(zip(ranking["architecture"], ranking["score"], strict=True))


def test_ranks_by_several_are_put_together_by_their_logarithms_or_means_with_missing_values_last():
    values = {"a": (3.0, 10), "b": (2.0, 30), "c": (2.0, 20), "d": (None, 40), "e": (1.0, 10)}
    rows = [row(name, naswot=naswot, params=params) for name, (naswot, params) in values.items()]
    ranking = rank(rows, [Criterion((NASWOT, PARAMS))])
    # ranks, 1 the worst of five: naswot d 1, e 2, b and c 3.5, a 5; params a and e 1.5, c 3, b 4, d 5
    ranks = {"a": (5, 1.5), "b": (3.5, 4), "c": (3.5, 3), "d": (1, 5), "e": (2, 1.5)}
    expected = {name: (math.log(one / 5) + math.log(other / 5)) / 2 for name, (one, other) in ranks.items()}
    assert scores_of(ranking) == pytest.approx(expected)
    assert order(ranking) == "bcaed"
    assert ranking["status"].iloc[-1] == "degenerate"
    ranking = rank(rows, [Criterion((NASWOT, PARAMS), "mean_rank"), Criterion((NASWOT, PARAMS))])
    # places, 0 the last of five and 1 the best: naswot a 1, b and c 0.625, e 0.25, d 0; params d 1, b .75, c .5
    assert scores_of(ranking) == pytest.approx({"b": 0.6875, "a": 0.5625, "c": 0.5625, "e": 0.1875, "d": 0.5})
    assert order(ranking) == "baced"
    assert list(ranking)[8:] == ["naswot+params:mean_rank", "naswot+params"]


def test_a_column_of_which_less_is_better_is_ranked_the_other_way_round():
    values = {"a": (3.0, 30.0), "b": (2.0, 10.0), "c": (1.0, 20.0)}
    rows = [row(name, ms=ms, naswot=naswot) for name, (naswot, ms) in values.items()]
    assert order(rank(rows, [Criterion((LATENCY,))])) == "bca"
    ranking = rank(rows, [Criterion((NASWOT, LATENCY), "mean_rank")])
    assert order(ranking) == "bac"
    assert ranking["score"].tolist() == [0.75, 0.5, 0.25]


def test_ranking_is_read_as_it_was_written_however_it_is_laid_out(tmp_path):
    rows = [row("a", naswot=1.5, params=3.0), row("b", naswot=None, params=4.0), row("c", naswot=2.5, params=None)]
    rows[1] = replace(rows[1], macs=2**63 - 1, params=None)
    ranking = rank(rows, [Criterion((NASWOT,)), Criterion((NASWOT, PARAMS))])
    write_ranking(tmp_path, ranking)
    pd.testing.assert_frame_equal(read_ranking(tmp_path), ranking)
    assert list(ranking)[8:] == ["naswot", "naswot+params"]
    files = [tmp_path / "ranking.json", tmp_path / "ranking.csv"]
    before = [path.read_bytes() for path in files]
    write_ranking(tmp_path, read_ranking(tmp_path))
    assert [path.read_bytes() for path in files] == before
    text = files[0].read_text()
    entries = json.loads(text)
    assert entries == list(as_dicts(ranking))
    for content in (json.dumps(entries), json.dumps(entries, indent=1), text.rstrip(), f" {text}", text + "\n"):
        files[0].write_text(content)
        pd.testing.assert_frame_equal(read_ranking(tmp_path), ranking)


def test_score_of_the_name_of_a_size_takes_its_column(tmp_path):
    ranking = rank([row("a", naswot=1.5, params=3.0)], [Criterion((NASWOT,)), Criterion((PARAMS,))])
    write_ranking(tmp_path, ranking)
    assert '"params": 3.0, "macs": 1,' in (tmp_path / "ranking.json").read_text()
    assert read_ranking(tmp_path)["params"].tolist() == [3]


STATES = ("ok", "degenerate", "failed")
SCORES = st.one_of(st.none(), st.sampled_from((1.5, 0.0, -0.0, -2.0, 1.7e308, 5e-324)), st.floats(-9, 9))


@given(st.lists(st.tuples(SCORES, SCORES, st.sampled_from(STATES[1:])), min_size=1, max_size=30), st.data())
@settings(deadline=None)
def test_the_order_is_that_of_a_stable_sort(drawn, data):
    rows = [
        replace(row(f"a{number}", None if first is not None else fault, naswot=first, ms=ms), stds=stds)
        for number, (first, ms, fault) in enumerate(drawn)
        for stds in [data.draw(st.sampled_from((None, {"naswot": 0.5}, {"ms": None, "naswot": None})))]
    ]
    for criteria in ([Criterion((NASWOT,))], [Criterion((NASWOT,)), Criterion((LATENCY,))]):
        ranking = rank(rows, criteria)
        in_order = sorted(rows, key=lambda each: (STATES.index(each.status), -(each.score or 0.0)))
        found = list(as_dicts(ranking))
        assert [each["architecture"] for each in found] == [each.architecture for each in in_order]
        assert [repr(each["score"]) for each in found] == [repr(each.score) for each in in_order]
        names = list(dict.fromkeys(name for each in rows for name in each.stds or ()))
        for ranked, each in zip(found, in_order, strict=True):
            scores = dict(each.scores) if len(criteria) > 1 else {}
            more = {name: value for name, value in ranked.items() if name not in COLUMNS}
            assert more == {**scores, **{f"{name}_std": (each.stds or {}).get(name) for name in names}}
    slow_first = [each for each in rows if each.scores["ms"] is not None]
    if slow_first:
        by_latency = rank(slow_first, [Criterion((LATENCY,))])["architecture"].tolist()
        worth = {each.architecture: (STATES.index(each.status), each.scores["ms"]) for each in slow_first}
        assert by_latency == sorted(worth, key=worth.__getitem__)


def test_damaged_ranking_is_one_line_with_the_cure(tmp_path):
    path = tmp_path / "ranking.json"
    with pytest.raises(UserError, match="no ranking in"):
        read_ranking(tmp_path)
    write_ranking(tmp_path, rank([row(name, naswot=1.0) for name in "abc"], [Criterion((NASWOT,))]))
    lines = path.read_text().splitlines()
    for damaged, reason in (
        (['[{"rank": 1}]'], "architecture: field required"),
        (["{}"], "expected a list of objects"),
        (lines[:-1], "EOF while parsing a list at line 5 column 0"),
        ([*lines, "x"], "trailing characters at line 6 column 1"),
        ([lines[0], *lines[2:]], "expected the ranks 1, 2, ... in their order"),
        ([*lines[:2], "3,", *lines[2:]], "expected a list of objects"),
        ([*lines[:2], lines[2].replace('"ok"', '"odd"'), *lines[3:]], "status.1: input should be 'ok'"),
        ([*lines[:2], lines[2][:-1], *lines[3:]], "expected `,` or `]` at line 4 column 1"),
        (["[", "]"], "expected a candidate at least"),
    ):
        path.write_text("".join(f"{line}\n" for line in damaged))
        with pytest.raises(UserError) as error:
            read_ranking(tmp_path)
        assert "\n" not in str(error.value)
        assert f"is damaged: run naswot search --run_dir {tmp_path} again, which rewrites it ({reason}" in str(
            error.value
        )


def test_a_ranking_is_written_whole_or_not_at_all(tmp_path):
    write_ranking(tmp_path, rank([row("a", naswot=1.0)], [Criterion((NASWOT,))]))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_ranking(tmp_path, rank([row("a", naswot=2.0), row("b", naswot=float("inf"))], [Criterion((NASWOT,))]))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_names_that_a_spreadsheet_would_compute_begin_with_an_apostrophe(tmp_path):
    names = ['=HYPERLINK("x")', "@a", "+b", "-c", "\tc", "|none~0|", "-1.5"]
    write_csv(tmp_path / "ranking.csv", [{"arch": name, "score": -1.5} for name in names], ["arch", "score"])
    with open(tmp_path / "ranking.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == [f"'{name}" for name in names[:5]] + names[5:]
    assert {row[1] for row in rows} == {"-1.5"}
    assert [from_cell(row[0]) for row in rows] == names
