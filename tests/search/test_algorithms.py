import pytest

from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.search import run_search
from naswot_lightning.search.algorithms.listed import given
from naswot_lightning.search.algorithms.random import sampled
from tests.search.runs import QUICK, SPACE, rows_of


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no architecture in it"),
        ("|none~0|\n", "line 1: architecture"),
        (f"{SPACE[0]}\nnonsense\n", "line 2: architecture 'nonsense': expected 3 nodes"),
        ("index,arch\n1,oops\n", "line 2: architecture 'oops'"),
    ],
)
def test_faults_of_a_list_are_named_by_line(tmp_path, content, message):
    (tmp_path / "list").write_text(content)
    with pytest.raises(UserError, match=message):
        given(SPACE, tmp_path / "list")
    with pytest.raises(UserError, match="no such file"):
        given(SPACE, tmp_path / "absent")


def test_samples_are_distinct_and_grow_from_the_front():
    assert sampled(SPACE, 50, 1) == sampled(SPACE, 80, 1)[:50]
    assert len(set(sampled(SPACE, 80, 1))) == 80
    assert len(set(sampled(SPACE, 15_625, 1))) == 15_625
    with pytest.raises(UserError, match="15625 architectures; use --samples all"):
        sampled(SPACE, 15_626, 1)


def test_limits_refuse_before_scoring_and_say_how_many(tmp_path, capsys):
    run = tmp_path / "run"
    run_search(SearchConfig(run_dir=str(run), max_params=400_000, max_macs=13_000_000, **QUICK))
    assert len(rows_of(run)) == 6
    assert all(row["params"] <= 400_000 and row["macs"] <= 13_000_000 for row in rows_of(run))
    assert "candidates refused" in capsys.readouterr().out
    with pytest.raises(UserError, match="within the limits"):
        run_search(SearchConfig(run_dir=str(tmp_path / "none"), max_params=10, **{**QUICK, "samples": 1}))
    listed = tmp_path / "list"
    listed.write_text(SPACE[1462])
    with pytest.raises(UserError, match=r"1 of 1 candidates refused.*raise the limits"):
        run_search(SearchConfig(run_dir=str(tmp_path / "none"), max_params=10, architectures=str(listed), **QUICK))
    assert not (tmp_path / "none").exists()
