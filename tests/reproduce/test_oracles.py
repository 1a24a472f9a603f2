"""Searchers of another library on a small table: here invented ones, since syne-tune is an extra."""

import sys

import numpy as np
import pytest

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.reproduce.oracles import ORACLES, Oracle, run_oracle
from naswot_lightning.reproduce.searches import Effort, Ground
from spaces import get_space
from tests.reproduce.invented import accuracy, architectures, rows_of, run, write_table

SPACE = get_space("nasbench201")


class Scripted:
    """Proposes the known architectures in order, each after one that the table does not know."""

    def __init__(self, options, seed):
        assert list(map(len, options.values())) == [5] * 6
        self.options, self.seed, self.told = options, seed, []
        unknown = next(cell for cell in SPACE if cell not in architectures(20))
        self.cells = iter([cell for known in architectures(20) for cell in (unknown, known)] + [unknown] * 10_000)

    def suggest(self):
        np.random.rand()
        places = SPACE.decisions(next(self.cells))
        return {name: each[place] for (name, each), place in zip(self.options.items(), places, strict=True)}

    def on_trial_complete(self, number, configuration, metric):
        self.told.append((number, metric))


@pytest.fixture
def ground(tmp_path):
    return Ground(open_benchmark(write_table(tmp_path / "mine.csv", seconds=100)), "cifar10")


def test_an_oracle_is_told_of_each_and_what_is_not_known_is_drawn_again(ground):
    made = []
    oracle = Oracle("theirs", "rea", lambda *given: made.append(Scripted(*given)) or made[-1])
    before = np.random.get_state()[1].copy()
    histories = run_oracle(ground, oracle, Effort(8), 3, 0)
    assert (np.random.get_state()[1] == before).all()
    assert len({each.seed for each in made}) == 3
    for history, searcher in zip(histories, made, strict=True):
        assert [row.architecture for row in history.rows] == architectures(20)[:8]
        errors = [-accuracy(number, 0, epochs=12) / 100 for number in range(8)]
        assert searcher.told == [(number, pytest.approx(error)) for number, error in enumerate(errors)]


def test_a_search_ends_with_the_time_or_where_nothing_more_is_known(ground):
    (short,) = run_oracle(ground, Oracle("theirs", "rea", Scripted), Effort(100, 500.0), 1, 0)
    assert [row.seconds for row in short.rows] == [100, 101, 102, 100, 101]
    (whole,) = run_oracle(ground, Oracle("theirs", "rea", Scripted), Effort(100), 1, 0)
    assert len(whole.rows) == 20


def test_without_syne_tune_it_is_one_line_with_the_cure(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "syne_tune", None)
    table = write_table(tmp_path / "mine.csv")
    assert run("algorithms", table, tmp_path / "out", "--algorithms", "random", "--oracles") == 2
    error = capsys.readouterr().err
    assert "pip install 'naswot-lightning[oracles]'" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_space_without_decisions_is_one_line(tmp_path, capsys):
    table = write_table(tmp_path / "mine.csv", 3, "nds_pnas:width=4,depth=3", {("cifar10", "test"): 0.0})
    words = ("--space", "nds_pnas:width=4,depth=3", "--algorithms", "random", "--oracles")
    assert run("algorithms", table, tmp_path / "out", *words) == 2
    assert "--oracles: architectures of nds_pnas:" in capsys.readouterr().err


def test_their_curves_are_in_the_same_table_and_repeat(tmp_path):
    pytest.importorskip("syne_tune", reason="syne-tune is not installed: pip install -e '.[oracles]'")
    table = write_table(tmp_path / "mine.csv", 200, seconds=100)
    words = ("--algorithms", "rea", "--searches", 2, "--evaluations", 30, "--oracles")
    found = []
    for out in (tmp_path / "a", tmp_path / "b"):
        assert run("algorithms", table, out, *words) == 0
        found.append(rows_of(out / "algorithms.csv"))
    assert {row["algorithm"] for row in found[0]} == {"rea", *(oracle.label for oracle in ORACLES)}
    assert found[0] == found[1]
