"""What a search says of candidates that have no score, or are fewer than they seem."""

from types import SimpleNamespace

import pytest

from naswot_lightning.cli.search import print_summary
from naswot_lightning.columns import Column, Criterion
from naswot_lightning.ranking import rank
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.html.folders import score_row

NO_RELU = "NoRectifierError: the network called no rectified linear unit (ReLU): the score needs at least one"


def summary(rows, tmp_path, capsys):
    criteria = [Criterion((Column("naswot", "naswot"),))]
    search = SimpleNamespace(
        config=SimpleNamespace(top=3, dataset="digits"), criteria=criteria, folder=RunFolder(tmp_path),
        space=SimpleNamespace(name="mine", evidence=""), objectives=(),
    )  # fmt: skip
    different = {row.architecture: row for row in rows}
    print_summary(search, rank(list(different.values()), criteria), rows)
    return capsys.readouterr().out


def failed(number, reason):
    return score_row(number, f"a{number}", score=None, scores={"naswot": None}, status="failed", reason=reason)


def test_most_failed_says_why_and_what_to_do(tmp_path, capsys):
    rows = [
        score_row(1, "a1"),
        failed(2, "ValueError: 3 channels"),
        failed(3, NO_RELU),
        failed(4, NO_RELU),
        failed(5, NO_RELU),
    ]
    printed = summary(rows, tmp_path, capsys)
    assert f"4 failed, ranked last, e.g. a3: {NO_RELU} (3 of them; all reasons in scores.jsonl)" in printed
    assert "use --score synflow, jacob_cov or zen, which need no ReLU" in printed
    # Of a few of many it is no cure.
    printed = summary([failed(2, NO_RELU), score_row(1, "a1"), score_row(3, "a3")], tmp_path, capsys)
    assert f"1 failed, ranked last, e.g. a2: {NO_RELU}\n" in printed
    assert "synflow" not in printed


def test_none_with_a_score_shows_no_table(tmp_path, capsys):
    printed = summary([failed(1, NO_RELU)], tmp_path, capsys)
    assert printed.startswith("mine on digits: no candidate has a score\n1 failed")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((1, 2, 3), ""),
        ((1, 2, 2, 3), "1 of 4 candidates was proposed before"),
        ((1, 2, 3, 13), "3 different networks (1 of 4 equal another one once dead branches are removed)"),
    ],
)
def test_fewer_networks_than_candidates_are_explained(tmp_path, capsys, rows, said):
    # 13 is another spelling of 3.
    made = [score_row(number, f"a{number}", canonical=f"c{number % 10}") for number in rows]
    printed = summary(made, tmp_path, capsys)
    assert said in printed
    assert bool(said) == ("different network" in printed or "proposed" in printed)
