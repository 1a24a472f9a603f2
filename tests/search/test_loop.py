import random
import sys
from dataclasses import replace

import pytest

from naswot_lightning.data.probe import load_probe
from naswot_lightning.execution.local import ProcessExecutor, SerialExecutor
from naswot_lightning.scorer import Evaluation, ScoreEvaluator
from naswot_lightning.search.algorithms.base import Trial
from naswot_lightning.search.loop import Loop
from naswot_lightning.storage.score_rows import ScoreRows
from spaces import get_space
from tests.search.runs import SPACE

BATCH, BATCHES = 4, 3


class Climbing:
    """Proposes mutations of the best candidate so far: what it proposes depends on every row and its place."""

    def __init__(self, seed=0):
        self.seed, self.proposed = seed, []

    def propose(self, rows):
        assert [row.architecture for row in rows] == self.proposed
        if len(rows) == BATCH * BATCHES:
            return ()
        rng = random.Random(f"{self.seed} {[row.score for row in rows]}")
        if rows:
            best = max(rows, key=lambda row: float("-inf") if row.score is None else row.score)
            batch = [best.architecture, *(SPACE.mutate(best.architecture, rng) for _ in range(BATCH - 1))]
        else:
            batch = [SPACE.sample(rng) for _ in range(BATCH)]
        self.proposed += batch
        return batch


class Backwards:
    """An executor that finishes the last item first."""

    def run(self, task, items):
        task.prepare()
        for item in reversed(list(items)):
            yield item, task(item)


def climbed(folder, executor):
    """Search in a folder; return the rows in the order of their proposal, and how many were fresh."""
    evaluator = ScoreEvaluator(get_space("nasbench201"), [load_probe("noise", "", 4, 0, probe_size=8)])
    folder.mkdir(exist_ok=True)
    algorithm = Climbing()
    with ScoreRows(folder / "scores.jsonl") as finished:
        loop = Loop(SPACE.name, SPACE.canonical, evaluator, executor, 0, finished)
        rows = loop.run(algorithm, algorithm.propose([]))
    assert [row.architecture for row in rows] == algorithm.proposed
    return [replace(row, seconds=0.0) for row in rows], loop.fresh


class Accuracies:
    """An evaluator that has a word for what it does with whole trials."""

    activity = "looking up"
    columns, criteria, fingerprint, epochs = (), (), "", 9

    def prepare(self):
        pass

    def __call__(self, proposal):
        return Evaluation({}, "failed", "no score")


@pytest.mark.parametrize(
    ("batch", "said"),
    [(["a"], "looking up"), ([Trial("a", 0.5)], "looking up"), ([Trial("a", 0.0), Trial("b", 0.0)], "scoring")],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_says_what_is_done_on_a_terminal(tmp_path, capsys, monkeypatch, batch, said, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    proposed = iter([()])
    algorithm = type("Once", (), {"propose": lambda self, rows: next(proposed)})()
    with ScoreRows(tmp_path / "scores.jsonl") as finished:
        Loop("cells", str, Accuracies(), SerialExecutor(), 0, finished).run(algorithm, batch)
    told = capsys.readouterr().err
    assert f"{said}:" in told if terminal else told == ""


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serial")
    rows, fresh = climbed(folder, SerialExecutor())
    assert fresh == len({row.architecture for row in rows}) == len((folder / "scores.jsonl").read_bytes().splitlines())
    assert len({row.score for row in rows}) > BATCHES
    assert rows[-1].score != rows[0].score
    return rows


def cut(folder, kept):
    path = folder / "scores.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))


@pytest.mark.parametrize("executor", [SerialExecutor(), Backwards()], ids=["serial", "backwards"])
def test_an_algorithm_with_feedback_finds_the_same_wherever_it_is_cut_off(tmp_path, expected, executor):
    rows, fresh = climbed(tmp_path / "run", executor)
    assert rows == expected
    for kept in (1, BATCH, BATCH + 1, fresh):
        cut(tmp_path / "run", kept)
        assert climbed(tmp_path / "run", executor) == (expected, fresh - kept)


@pytest.mark.slow
def test_an_algorithm_with_feedback_finds_the_same_in_processes(tmp_path, expected):
    rows, fresh = climbed(tmp_path / "run", ProcessExecutor(2))
    assert rows == expected
    cut(tmp_path / "run", BATCH + 1)
    assert climbed(tmp_path / "run", ProcessExecutor(2)) == (expected, fresh - BATCH - 1)
