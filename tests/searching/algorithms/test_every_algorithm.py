import pytest

from naswot_lightning.benchmarks.known_space import KnownSpace
from naswot_lightning.errors import UserError
from naswot_lightning.registry import REGISTRIES
from naswot_lightning.searching.algorithms.base import Limits, Trial, get_algorithm, proposal_of
from naswot_lightning.searching.loop import simulate
from naswot_lightning.spaces import SpaceError, get_space
from tests.searching.algorithms.tables import SPACE, SmallTable, convolutions, evaluator, made, params

WITH_FEEDBACK = [name for name in REGISTRIES["algorithm"] if name != "random"]
WITH_OPTIONS = [*WITH_FEEDBACK, "rea:children=4,population=7", "area:children=3,start=30"]
KNOWN = KnownSpace(SmallTable(SPACE[index] for index in range(0, 15_625, 10)))


@pytest.mark.parametrize("space", [SPACE, KNOWN], ids=["whole", "known"])
def test_proposals_depend_on_the_rows_alone(space):
    """A fresh object given a prefix of the rows proposes what the one that has seen them all did."""
    for name in WITH_OPTIONS:
        history = simulate(made(name, space), evaluator(convolutions))
        algorithm, begin = made(name, space), 0
        while batch := algorithm.propose(history.rows[:begin]):
            assert [proposal_of(row) for row in history.rows[begin : begin + len(batch)]] == list(batch)
            assert list(made(name, space).propose(history.rows[:begin])) == list(batch)
            begin += len(batch)
        assert begin == len(history.rows)
        assert history.rows != simulate(made(name, space, seed=4), evaluator(convolutions)).rows
        assert space is SPACE or {row.architecture for row in history.rows} <= set(KNOWN)


def test_candidates_are_within_the_limits_and_there_are_none_where_nothing_fits():
    for name in WITH_OPTIONS:
        limits = Limits({"params": 400_000}, {"params": params})
        history = simulate(made(name, limits=limits), evaluator(params))
        assert limits.n_rejected
        assert all(params(row.architecture) <= 400_000 for row in history.rows)
        # Scores, and the trainings of a first bracket, are no whole evaluations.
        first = made(name, samples=10, limits=limits).propose([])
        assert sum(each.fidelity if isinstance(each, Trial) else 1 for each in first) <= 10
        # A sample that is too small is an error of its own.
        nothing_fits = Limits({"params": 10}, {"params": params})
        assert name == "halving" or not made(name, samples=1, limits=nothing_fits).propose([])


def test_failed_candidates_are_the_worst():
    for name in WITH_FEEDBACK:
        for failing in (lambda _: None, lambda a: None if "avg" in a else params(a)):
            history = simulate(made(name), evaluator(failing))
            assert len(history.rows) >= 20
            best = history.best[-1]
            assert best is None or "avg" not in best.architecture


def test_searches_of_small_spaces_end():
    for name in WITH_FEEDBACK:
        for size in (2, 12):
            space = KnownSpace(SmallTable(SPACE[index] for index in range(size)))
            history = simulate(made(name, space, size if name == "halving" else 40), evaluator(params))
            assert {row.architecture for row in history.rows} <= set(space)
            assert len(made("area", space).propose([])) == size
    with pytest.raises(SpaceError, match="has no architecture other than"):
        simulate(made("rea", KnownSpace(SmallTable([SPACE[7]]))), evaluator(params))


def test_other_spaces_are_searched_and_those_without_decisions_refused_in_one_line():
    for name in WITH_FEEDBACK:
        for space in map(get_space, ("nats_size", "nasbench101")):
            algorithm = made(name, space, 20, limits=Limits())
            for row in simulate(algorithm, evaluator(len)).rows[-5:]:
                space.validate(row.architecture)
    with pytest.raises(UserError, match=r"--algorithm bohb: .*nds_darts.* nasbench201, nats_size, nasbench101"):
        made("bohb", get_space("nds_darts"))


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
    for name in (
        "rea:population=0",
        "area:start=3",
        "halving:eta=1",
        "halving:picks=0",
        "bohb:rungs=0",
        "bohb:min_bandwidth=0",
    ):
        with pytest.raises(UserError, match="expected"):
            made(name)
