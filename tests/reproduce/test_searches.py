"""Searches with feedback and scores of a small table, against what they should do, counted by hand."""

import numpy as np
import pytest

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.errors import UserError
from naswot_lightning.reproduce.searches import SearchBudget, TabularSearch, score_table, scores_by_name, scores_folder
from naswot_lightning.reproduce.settings import Scoring
from tests.reproduce.tables import accuracy, architectures, write_table

DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def scoring(out, **more):
    return Scoring(benchmark=["none.csv"], dataset=["digits"], batch_size=4, workers=1, out=str(out), **more)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    table = write_table(tmp_path_factory.mktemp("table") / "mine.csv", seconds=100)
    return TabularSearch(open_benchmark(table), "cifar10")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder that has the scores of six architectures."""
    folder = tmp_path_factory.mktemp("out")
    assert score_table(scoring(folder), "nasbench201", "digits", [*architectures(5), DISCONNECTED]).fresh == 6
    return folder


def test_random_search_picks_the_best_of_what_the_time_allows(search, out):
    budget = search.budget(900, None)
    assert budget.seconds == 900
    histories = search.run("random", budget, 5, scoring(out), "digits")
    numbers = {each: number for number, each in enumerate(architectures(20))}
    for history, pick in zip(histories, search.rows_of_picks(histories), strict=True):
        found = [numbers[row.architecture] for row in history.rows]
        spent = [100 + number % 3 for number in found]
        assert len(set(found)) == len(found)
        assert sum(spent[:-1]) < 900 <= sum(spent) == history.seconds[-1]
        assert pick == max(found, key=lambda number: accuracy(number, 0, epochs=12))
    assert len({history.rows[0].architecture for history in histories}) > 1  # seeds differ


def test_area_trains_the_best_by_score_first(search, out):
    (history,) = search.run("area:start=12,population=4", SearchBudget(6), 1, scoring(out), "digits")
    scored = [row.architecture for row in history.rows if row.fidelity == 0]
    assert len(scored) == 12
    scores = score_table(scoring(out), "nasbench201", "digits", scored).values("naswot", scored)
    best = np.array(scored)[np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")[:4]]
    assert [row.architecture for row in history.rows[12:16]] == best.tolist()
    assert history.evaluations[-1] == 6
    assert all(row.seconds > 0 for row in history.rows)  # scores take time, too


def test_scored_architectures_are_not_scored_again_and_other_settings_are_refused(out):
    again = score_table(scoring(out), "nasbench201", "digits", architectures(5))
    first = again.values("naswot", architectures(5))
    assert again.fresh == 0
    more = score_table(scoring(out), "nasbench201", "digits", architectures(20))
    assert np.array_equal(more.values("naswot", architectures(5)), first, equal_nan=True)
    found = scores_by_name(scoring(out), "nasbench201", "digits", architectures(5), ["naswot", "macs"])
    assert np.array_equal(found["naswot"], first, equal_nan=True)
    assert np.array_equal(found["macs"], again.values("macs", architectures(5)))
    file = scores_folder(out, "nasbench201", "digits", "naswot") / "scores.jsonl"
    before = file.read_bytes()
    for name, value in (("seed", 1), ("canonical", False)):
        with pytest.raises(UserError, match=rf"different settings: .*{name} was .*--out.*--overwrite"):
            score_table(scoring(out, **{name: value}), "nasbench201", "digits", architectures(2))
    assert file.read_bytes() == before
