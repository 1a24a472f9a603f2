import json

import pytest

from bench import rows
from naswot_lightning.ranking import read_ranking

SOME = 300


@pytest.fixture(params=[rows.SCORES[:1], rows.SCORES], ids=["one score", "three scores"])
def folder(request, tmp_path):
    rows.write_rows(tmp_path / "scores.jsonl", SOME, request.param)
    return tmp_path


def test_a_synthetic_search_is_continued_read_and_appended(folder):
    before = (folder / "scores.jsonl").read_bytes()
    steps = rows.resume(folder)
    assert len(steps) == 5
    assert all(spent.clock > 0 for spent in steps.values())
    assert (folder / "scores.jsonl").read_bytes() == before
    found = [json.loads(line) for line in before.splitlines()]
    assert len({row["architecture"] for row in found}) == SOME
    assert SOME // 2 < sum(row["architecture"] == row["canonical"] for row in found) < SOME
    assert len(found[0]["scores"]) in (1, 3)
    assert {tuple(row["scores"]) for row in found} == {tuple(found[0]["scores"])}
    assert len(read_ranking(folder)) == SOME
    rows.read(folder)
    rows.append(folder)
    appended = [json.loads(line) for line in (folder / "appended.jsonl").read_text().splitlines()]
    assert [row["architecture"] for row in appended] == [row["architecture"] for row in found]


@pytest.mark.slow
def test_a_million_rows_stay_within_2500_mb(tmp_path):
    rows.write_rows(tmp_path / "scores.jsonl", rows.ROWS, rows.SCORES)
    for step in (rows.resume, rows.read, rows.append):
        _, peak = rows.apart(step, tmp_path)
        assert peak < 2_500, step.__name__
    assert len((tmp_path / "ranking.csv").read_bytes().splitlines()) == rows.ROWS + 1
