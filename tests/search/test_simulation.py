import pytest

from naswot_lightning.search.algorithms import make_algorithm
from naswot_lightning.search.algorithms.base import Budget, Trial
from naswot_lightning.search.loop import History, simulate
from tests.search.algorithms.tables import NO_LIMITS, SPACE, convolutions, evaluator, row_of


def seconds_of(architecture):
    return 1.0 + architecture.count("conv_3x3")


def algorithm(name="random", samples=50):
    return make_algorithm(name, SPACE, samples, 0, NO_LIMITS)


def test_best_so_far_is_of_whole_evaluations_that_succeeded():
    scores = [(Trial("a", 0.0), 900.0), ("b", None), (Trial("c", 0.5), 0.9), ("d", 0.3), ("e", 0.3), ("f", 0.4)]
    history = History(tuple(row_of(proposal, score, 2.0) for proposal, score in [*scores, ("d", 0.3)]))
    assert [row and row.architecture for row in history.best] == [None, None, None, "d", "d", "f", "f"]
    assert history.evaluations == (0, 1, 1.5, 2.5, 3.5, 4.5, 5.5)
    assert history.seconds == (2, 4, 6, 8, 10, 12, 14)
    assert History(()).best == History(()).seconds == History(()).evaluations == ()


def test_the_evaluation_during_which_the_time_runs_out_counts():
    whole = simulate(algorithm(), evaluator(convolutions, seconds_of))
    for most in (0.5, 7.0, 31.0, 1e9):
        history = simulate(algorithm(), evaluator(convolutions, seconds_of), most)
        count = next((n for n, seconds in enumerate(whole.seconds, start=1) if seconds >= most), 50)
        assert history.rows == whole.rows[:count]


@pytest.mark.parametrize("name", ["random", "rea", "area", "rea:children=7"])
@pytest.mark.parametrize("most", [0.5, 13.0, 60.0, 1e9])
def test_a_budget_ends_an_algorithm(name, most):
    evaluate = evaluator(convolutions, seconds_of)
    whole = simulate(algorithm(name), evaluate)
    history = simulate(Budget(algorithm(name), most), evaluate)
    assert history.rows == whole.rows[: len(history.rows)]
    count = next((n for n, seconds in enumerate(whole.seconds, start=1) if seconds >= most), len(whole.rows))
    assert count <= len(history.rows)
    assert history.seconds[len(history.rows) - 1] < most + 7 * 7 or len(history.rows) == len(whole.rows)


def test_parts_of_a_batch_depend_on_the_rows_alone():
    evaluate = evaluator(convolutions, seconds_of)
    rows = simulate(Budget(algorithm(), 90.0), evaluate).rows
    budget, place, parts = Budget(algorithm(), 90.0), 0, []
    while part := budget.propose(rows[:place]):
        assert Budget(algorithm(), 90.0).propose(rows[:place]) == part
        place += len(part)
        parts.append(len(part))
    assert place == len(rows)
    assert parts[0] == 1
    assert max(parts) > 5  # there is something for workers to do side by side
    assert budget.propose(rows[:3]) == Budget(algorithm(), 90.0).propose(rows[:3])  # of another search


def test_what_costs_nothing_is_not_split():
    free = Budget(algorithm("area"), 5.0)
    rows = [row_of(each, 1.0, 0.0) for each in free.propose([])]
    assert len(free.propose(rows)) == 19


def test_a_curve_shows_another_value_of_the_best():
    rows = [row_of("a", None), row_of("b", 0.5), row_of("c", 0.4), row_of("d", 0.6)]
    curve = History(tuple(rows)).curve(lambda row: ord(row.architecture))
    assert curve.values == (None, ord("b"), ord("b"), ord("d"))
    assert curve.evaluations == (1, 2, 3, 4)
    assert History(tuple(rows)).curve().values == (None, 0.5, 0.5, 0.6)
    assert curve.is_timed
