"""Searches by an executor, and searches of a table that are simulated."""

import random
from dataclasses import replace

from naswot_lightning.data.probe import load_probe
from naswot_lightning.execution.base import WorkerFailure
from naswot_lightning.execution.local import SerialExecutor
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.searching.algorithms.base import Budget, Trial
from naswot_lightning.searching.algorithms.random import Listed
from naswot_lightning.searching.loop import History, Loop, simulate
from naswot_lightning.storage.score_rows import ScoreRows
from tests.searching.algorithms.tables import NO_LIMITS, convolutions, evaluator, made, row_of
from tests.searching.runs import SPACE

BATCH, BATCHES = 4, 3


class Climbing:
    """Proposes mutations of the best candidate so far: what it proposes depends on every row and its order."""

    def __init__(self):
        self.proposed = []

    def propose(self, rows):
        assert [row.architecture for row in rows] == self.proposed
        if len(rows) == BATCH * BATCHES:
            return ()
        rng = random.Random(f"{[row.score for row in rows]}")
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
    scorer = ScoreEvaluator(SPACE, [load_probe("noise", "", 4, 0, probe_size=8)])
    folder.mkdir(exist_ok=True)
    algorithm = Climbing()
    with ScoreRows(folder / "scores.jsonl") as finished:
        loop = Loop(SPACE.name, SPACE.canonical, scorer, executor, 0, finished)
        rows = loop.run(algorithm, algorithm.propose([]))
    assert [row.architecture for row in rows] == algorithm.proposed
    return [replace(row, seconds=0.0) for row in rows], loop.fresh


def test_an_algorithm_with_feedback_finds_the_same_wherever_it_is_cut_off(tmp_path):
    expected, fresh = climbed(tmp_path / "serial", SerialExecutor())
    path = tmp_path / "serial" / "scores.jsonl"
    assert fresh == len({row.architecture for row in expected}) == len(path.read_bytes().splitlines())
    assert len({row.score for row in expected}) > BATCHES
    for executor in (SerialExecutor(), Backwards()):
        assert climbed(tmp_path / "whole", executor)[0] == expected
        path = tmp_path / "whole" / "scores.jsonl"
        for kept in (1, BATCH + 1, fresh):
            path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
            assert climbed(tmp_path / "whole", executor) == (expected, fresh - kept)


class Losing:
    """An executor whose worker was killed by the second item."""

    def run(self, task, items):
        for number, item in enumerate(items):
            yield item, WorkerFailure("was killed") if number == 1 else task(item)


def test_a_candidate_that_is_lost_with_its_worker_is_a_row_with_the_reason(tmp_path):
    scorer = ScoreEvaluator(SPACE, [load_probe("noise", "", 4, 0, probe_size=8)])
    listed = Listed([SPACE[index] for index in (11, 284, 1462)], NO_LIMITS)
    with ScoreRows(tmp_path / "scores.jsonl") as finished:
        rows = Loop(SPACE.name, SPACE.canonical, scorer, Losing(), 0, finished).run(listed, listed.propose([]))
    assert [(row.status, row.reason) for row in rows] == [("ok", None), ("failed", "was killed"), ("ok", None)]
    assert [row.score for row in rows[::2]] == [scorer(SPACE.canonical(SPACE[index])).score for index in (11, 1462)]


def seconds_of(architecture):
    return 1.0 + architecture.count("conv_3x3")


def test_best_so_far_is_of_whole_evaluations_that_succeeded():
    scores = [(Trial("a", 0.0), 900.0), ("b", None), (Trial("c", 0.5), 0.9), ("d", 0.3), ("e", 0.3), ("f", 0.4)]
    history = History(tuple(row_of(proposal, score, 2.0) for proposal, score in [*scores, ("d", 0.3)]))
    assert [row and row.architecture for row in history.best] == [None, None, None, "d", "d", "f", "f"]
    assert history.evaluations == (0, 1, 1.5, 2.5, 3.5, 4.5, 5.5)
    assert history.seconds == (2, 4, 6, 8, 10, 12, 14)
    assert History(()).best == History(()).seconds == History(()).evaluations == ()
    curve = history.curve(lambda row: ord(row.architecture))
    assert curve.values == (None, None, None, ord("d"), ord("d"), ord("f"), ord("f"))
    assert (curve.evaluations, curve.seconds, curve.is_timed) == (history.evaluations, history.seconds, True)
    assert history.curve().values == (None, None, None, 0.3, 0.3, 0.4, 0.4)


def test_the_evaluation_during_which_the_time_runs_out_counts():
    whole = simulate(made("random", samples=50), evaluator(convolutions, seconds_of))
    for most in (0.5, 7.0, 31.0, 1e9):
        history = simulate(made("random", samples=50), evaluator(convolutions, seconds_of), most)
        count = next((n for n, seconds in enumerate(whole.seconds, start=1) if seconds >= most), 50)
        assert history.rows == whole.rows[:count]


def test_a_budget_ends_an_algorithm():
    evaluate = evaluator(convolutions, seconds_of)
    for name in ("random", "rea", "area", "rea:children=7"):
        whole = simulate(made(name, samples=50), evaluate)
        for most in (0.5, 13.0, 60.0, 1e9):
            history = simulate(Budget(made(name, samples=50), most), evaluate)
            assert history.rows == whole.rows[: len(history.rows)]
            count = next((n for n, seconds in enumerate(whole.seconds, start=1) if seconds >= most), len(whole.rows))
            assert count <= len(history.rows)
            assert history.seconds[len(history.rows) - 1] < most + 7 * 7 or len(history.rows) == len(whole.rows)


def test_parts_of_a_batch_depend_on_the_rows_alone():
    rows = simulate(Budget(made("random", samples=50), 90.0), evaluator(convolutions, seconds_of)).rows
    budget, begin, parts = Budget(made("random", samples=50), 90.0), 0, []
    while part := budget.propose(rows[:begin]):
        assert Budget(made("random", samples=50), 90.0).propose(rows[:begin]) == part
        begin += len(part)
        parts.append(len(part))
    assert begin == len(rows)
    assert parts[0] == 1
    assert max(parts) > 5  # there is something for workers to do side by side
    # 80 s are left, and room for 8 candidates of the longest so far.
    assert len(Budget(made("random", samples=50), 90.0).propose([row_of("a", 1.0, 9.0), row_of("b", 1.0, 1.0)])) == 8
