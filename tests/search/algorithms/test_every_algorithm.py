import pytest

from naswot_lightning.benchmarks.known_space import space_of
from naswot_lightning.errors import UserError
from naswot_lightning.search.algorithms import ALGORITHMS, get_algorithm, make_algorithm
from naswot_lightning.search.algorithms.base import Limits, proposal_of
from naswot_lightning.search.loop import simulate
from spaces import SpaceError, get_space
from tests.search.algorithms.tables import (
    NO_LIMITS,
    SPACE,
    SmallTable,
    complexity_limits,
    convolutions,
    evaluator,
    params,
)

WITH_FEEDBACK = [name for name in ALGORITHMS if name != "random"]
WITH_OPTIONS = [*WITH_FEEDBACK, "rea:children=4,population=7", "area:children=3,start=30"]
KNOWN = space_of(SmallTable(SPACE[index] for index in range(0, 15_625, 10)))


def made(name, space=SPACE, samples=60, seed=3, limits=NO_LIMITS):
    return make_algorithm(name, space, samples, seed, limits)


@pytest.mark.parametrize("space", [SPACE, KNOWN], ids=["whole", "known"])
@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_proposals_depend_on_the_rows_alone(name, space):
    """A fresh object given a prefix of the rows proposes what the one that has seen them all did."""
    history = simulate(made(name, space), evaluator(convolutions))
    algorithm, place = made(name, space), 0
    while batch := algorithm.propose(history.rows[:place]):
        assert [proposal_of(row) for row in history.rows[place : place + len(batch)]] == list(batch)
        assert list(made(name, space).propose(history.rows[:place])) == list(batch)
        place += len(batch)
    assert place == len(history.rows)
    assert history.rows != simulate(made(name, space, seed=4), evaluator(convolutions)).rows


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_candidates_are_within_the_limits(name):
    limits = complexity_limits(400_000)
    history = simulate(made(name, limits=limits), evaluator(params))
    assert limits.n_rejected
    assert all(params(row.architecture) <= 400_000 for row in history.rows)


@pytest.mark.parametrize("name", WITH_FEEDBACK)
def test_limits_that_admit_nothing_are_an_error(name):
    with pytest.raises(UserError, match=r"limits|within"):
        made(name, samples=1, limits=complexity_limits(10)).propose([])


@pytest.mark.parametrize("name", WITH_FEEDBACK)
@pytest.mark.parametrize("failing", [lambda _: None, lambda a: None if "avg" in a else params(a)])
def test_failed_candidates_are_the_worst(name, failing):
    history = simulate(made(name), evaluator(failing))
    assert len(history.rows) >= 20
    best = history.best[-1]
    assert best is None or "avg" not in best.architecture


@pytest.mark.parametrize("name", WITH_FEEDBACK)
@pytest.mark.parametrize("size", [2, 3, 12])
def test_searches_of_small_spaces_end(name, size):
    space = space_of(SmallTable(SPACE[index] for index in range(size)))
    samples = size if name == "halving" else 40
    history = simulate(made(name, space, samples), evaluator(params))
    assert {row.architecture for row in history.rows} <= set(space)


@pytest.mark.parametrize("name", WITH_FEEDBACK)
def test_a_known_space_is_all_that_is_searched(name):
    history = simulate(made(name, KNOWN), evaluator(params))
    assert all(row.architecture in set(KNOWN) for row in history.rows)


@pytest.mark.parametrize("name", WITH_FEEDBACK)
@pytest.mark.parametrize("space", ["nats_size", "nasbench101"])
def test_other_spaces_are_searched(name, space):
    searched = get_space(space)
    algorithm = made(name, searched, 20, limits=Limits(None, None, searched.complexity))
    for row in simulate(algorithm, evaluator(len)).rows[-5:]:
        searched.validate(row.architecture)


@pytest.mark.parametrize("name", [name for name in WITH_FEEDBACK if name in ("reinforce", "bohb")])
def test_spaces_without_decisions_are_refused_in_one_line(name):
    with pytest.raises(UserError, match=f"--algorithm {name}: .*nds_darts.* nasbench201, nats_size, nasbench101"):
        made(name, get_space("nds_darts"))


def test_options_of_an_algorithm_are_named_and_checked():
    assert list(made("rea:population=10").propose([])) == list(made("rea").propose([]))
    assert len(made("rea:population=12").propose([])) == 12
    for name, message in {
        "rae": "unknown algorithm 'rae'.*did you mean 'rea'",
        "rea:popul=3": "algorithm 'rea:popul=3': unknown option 'popul'.*population=int",
        "rea:seed=3": "unknown option 'seed'",
        "rea:population=x": "expected population= and a whole number",
        "random:x=1": "it has no options",
    }.items():
        with pytest.raises(UserError, match=message):
            get_algorithm(name)
    for name in ("rea:population=0", "area:children=0", "area:start=3"):
        with pytest.raises(UserError, match="expected"):
            made(name)


def test_a_space_of_one_architecture_has_no_neighbours():
    space = space_of(SmallTable([SPACE[7]]))
    with pytest.raises(SpaceError, match="knows no other"):
        simulate(made("rea", space), evaluator(params))
