import random

from naswot_lightning.searching.algorithms.base import Trial
from naswot_lightning.searching.loop import simulate
from naswot_lightning.seeds import derived_seed
from naswot_lightning.spaces.nasbench201 import parse_cell
from tests.searching.algorithms.tables import SPACE, convolutions, evaluator, made, row_of


def is_neighbour(one, other):
    return sum(a != b for a, b in zip(parse_cell(one), parse_cell(other), strict=True)) == 1


def test_evolution_is_that_of_the_authors():
    """A queue of ten: three draws with replacement, the best is mutated, the oldest leaves."""
    history = simulate(made("rea", samples=80, seed=5), evaluator(convolutions))
    queue = [(row.score, row.architecture) for row in history.rows[:10]]
    for number, row in enumerate(history.rows[10:], start=10):
        rng = random.Random(derived_seed(5, "rea", number))
        three = [queue[int(rng.random() * 10)] for _ in range(3)]
        parent = sorted(three, key=lambda member: -member[0])[0][1]
        assert row.architecture == SPACE.mutate(parent, rng)
        queue = [*queue[1:], (row.score, row.architecture)]
    assert len(history.rows) == 80


def test_parents_are_of_the_population_when_the_children_are_proposed():
    for population, children in ((10, 1), (10, 4), (3, 5)):
        algorithm = made(f"rea:population={population},children={children}", samples=50)
        rows = [row_of(each, convolutions(each)) for each in algorithm.propose([])]
        assert len(rows) == population
        while batch := algorithm.propose(rows):
            assert len(batch) == min(children, 50 - len(rows))
            for child in batch:
                assert any(is_neighbour(child, row.architecture) for row in rows[-population:])
            rows += [row_of(child, convolutions(child)) for child in batch]
        assert len(rows) == 50


def test_the_score_picks_the_first_population():
    algorithm = made("area", samples=30)
    start = algorithm.propose([])
    assert [each.fidelity for each in start if isinstance(each, Trial)] == [0] * 20
    assert len({each.architecture for each in start}) == 20
    scores = [None if number == 4 else (number * 7) % 20 for number in range(20)]
    rows = [row_of(each, score) for each, score in zip(start, scores, strict=True)]
    picked = algorithm.propose(rows)
    best = sorted(range(20), key=lambda number: -1 if number == 4 else scores[number])[:-11:-1]
    assert list(picked) == [start[number].architecture for number in best]
    rows += [row_of(each, 0.5) for each in picked]
    (child,) = algorithm.propose(rows)
    assert any(is_neighbour(child, each) for each in picked)


def test_after_its_start_it_is_regularised_evolution_and_scores_are_no_evaluations():
    history = simulate(made("area", seed=5), evaluator(convolutions))
    assert [row.fidelity for row in history.rows] == [0] * 20 + [None] * 60
    assert history.evaluations[-1] == 60
    assert history.seconds[19:21] == (0, 1)
    for number in range(30, 80):
        rng = random.Random(derived_seed(5, "area", number))
        members = history.rows[number - 10 : number]
        three = [members[int(rng.random() * 10)] for _ in range(3)]
        parent = max(three, key=lambda row: row.score)
        assert history.rows[number].architecture == SPACE.mutate(parent.architecture, rng)
    few = simulate(made("area", samples=4), evaluator(convolutions))
    assert [row.fidelity for row in few.rows] == [0] * 20 + [None] * 4
