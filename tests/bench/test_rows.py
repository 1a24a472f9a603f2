import pytest

from bench import rows
from naswot_lightning.ranking import read_ranking


def test_a_synthetic_search_is_continued_read_and_appended(tmp_path):
    rows.write_rows(tmp_path / "scores.jsonl", 300, rows.SCORES)
    before = (tmp_path / "scores.jsonl").read_bytes()
    for step in (rows.resume, rows.read, rows.append):
        step(tmp_path)
    assert (tmp_path / "scores.jsonl").read_bytes() == before
    assert len((tmp_path / "appended.jsonl").read_bytes().splitlines()) == len(read_ranking(tmp_path)) == 300


@pytest.mark.slow
def test_a_million_rows_stay_within_2500_mb(tmp_path):
    rows.write_rows(tmp_path / "scores.jsonl", rows.ROWS, rows.SCORES)
    for step in (rows.resume, rows.read, rows.append):
        _, peak = rows.apart(step, tmp_path)
        assert peak < 2_500, step.__name__
    assert len((tmp_path / "ranking.csv").read_bytes().splitlines()) == rows.ROWS + 1
