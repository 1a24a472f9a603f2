"""Searches with feedback on a small table, against what they should do, counted by hand."""

import numpy as np
import pytest

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.reproduce.score_table import score_table
from naswot_lightning.reproduce.searches import Effort, Ground, places_of_picks, run_searches
from naswot_lightning.reproduce.settings import Scoring
from tests.reproduce.invented import accuracy, architectures, write_table


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return Ground(open_benchmark(write_table(tmp_path_factory.mktemp("table") / "mine.csv", seconds=100)), "cifar10")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("out"))
    return Scoring(benchmark=["mine.csv"], dataset=["digits"], batch_size=4, workers=1, out=out)


def test_random_search_picks_the_best_of_what_the_time_allows(ground, settings):
    effort = ground.effort(900, None)
    assert effort.seconds == 900
    histories = run_searches(ground, "random", effort, 5, settings, "digits")
    numbers = {each: number for number, each in enumerate(architectures(20))}
    for history, pick in zip(histories, places_of_picks(ground.table, histories), strict=True):
        found = [numbers[row.architecture] for row in history.rows]
        spent = [100 + number % 3 for number in found]
        assert len(set(found)) == len(found)
        assert sum(spent[:-1]) < 900 <= sum(spent)
        assert history.seconds[-1] == sum(spent)
        assert pick == max(found, key=lambda number: accuracy(number, 0, epochs=12))
    assert len({history.rows[0].architecture for history in histories}) > 1  # seeds differ


def test_area_trains_the_best_by_score_first(ground, settings):
    (history,) = run_searches(ground, "area:start=12,population=4", Effort(6), 1, settings, "digits")
    scored = [row.architecture for row in history.rows if row.fidelity == 0]
    assert len(scored) == 12
    merits = score_table(settings, "nasbench201", "digits", scored).merits(scored)
    best = np.array(scored)[np.argsort(-np.nan_to_num(merits, nan=-np.inf), kind="stable")[:4]]
    assert [row.architecture for row in history.rows[12:16]] == best.tolist()
    assert history.evaluations[-1] == 6
    assert all(row.seconds > 0 for row in history.rows)  # scores take time, too


def test_without_seconds_a_search_needs_a_number_of_evaluations(tmp_path, settings):
    ground = Ground(open_benchmark(write_table(tmp_path / "mine.csv")), "cifar10")
    assert ground.quickest is None
    assert ground.effort(900, None) is None
    assert ground.effort(900, 7) == Effort(7)
    assert not ground.has_parts
    (history,) = run_searches(ground, "area:start=12,population=4", Effort(6), 1, settings, "digits")
    assert history.seconds[-1] == 0
