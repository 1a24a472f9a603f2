"""NSGA-II: who lives on, what it finds beside random search, and that a killed search ends as an uncut one."""

import numpy as np
import pytest

from docs.scripts.draw_hypervolume import hypervolume
from naswot_lightning.analysis.pareto import Objective
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.searching.algorithms.base import Limits, get_algorithm
from naswot_lightning.searching.loop import simulate
from tests.searching.algorithms.tables import SPACE, evaluator
from tests.searching.runs import QUICK, files_of, rows_of

OBJECTIVES = (Objective("accuracy", True), Objective("ms", False))


def reached(name, seed):
    """Return the hypervolume after 120 evaluations, where the edges that add most cost least."""

    def weighted(architecture, weights=range(1, 7)):
        return sum(weight * option for weight, option in zip(weights, SPACE.decisions(architecture), strict=True))

    def cost(architecture):
        return weighted(architecture, range(6, 0, -1))

    constructor, options = get_algorithm(name)
    options |= {} if name == "random" else {"objectives": OBJECTIVES}
    algorithm = constructor(SPACE, 120, seed, Limits({}, {"ms": cost}), **options)
    rows = simulate(algorithm, evaluator(lambda each: weighted(each) ** 0.5)).rows
    assert len({row.architecture for row in rows}) == len(rows) == 120
    return hypervolume(np.array([[cost(row.architecture), -row.score] for row in rows]), (100.0, 0.0))


def test_it_dominates_more_than_random_search_does():
    found = {name: [reached(name, seed) for seed in range(5)] for name in ("nsga2:population=10", "random")}
    assert min(found["nsga2:population=10"]) > max(found["random"])


def test_a_killed_search_ends_as_an_uncut_one(tmp_path):
    options = {**QUICK, "algorithm": "nsga2:population=4", "samples": 14, "objectives": "naswot,params"}
    run_search(SearchConfig(run_dir=str(tmp_path / "whole"), **options))
    run_search(SearchConfig(run_dir=str(tmp_path / "cut"), **options))
    scores = tmp_path / "cut" / "scores.jsonl"
    lines = scores.read_text().splitlines(keepends=True)
    scores.write_text("".join(lines[:9]) + lines[9][:50])
    run_search(SearchConfig(run_dir=str(tmp_path / "cut"), **options))
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
    named = [[row["architecture"] for row in rows_of(tmp_path / name)] for name in ("cut", "whole")]
    assert sorted(named[0]) == sorted(named[1])
    with pytest.raises(UserError, match="objectives was 'naswot:max,params:min', now 'naswot:max,macs:min'"):
        run_search(SearchConfig(run_dir=str(tmp_path / "cut"), **{**options, "objectives": "naswot,macs"}))


def test_what_it_cannot_learn_from_is_one_line():
    for options, message in (
        ({"algorithm": "nsga2"}, "--algorithm nsga2: name what to be good in, such as --objectives naswot,params"),
        (
            {"score": "naswot,robust", "objectives": "robust,params"},
            "robust is known only once all candidates are scored",
        ),
        ({"algorithm": "nsga2:objectives=1"}, "unknown option 'objectives', expected one of population=int"),
    ):
        with pytest.raises(UserError, match=message):
            run_search(SearchConfig(**{"algorithm": "nsga2", **QUICK, **options}))
