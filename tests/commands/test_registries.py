"""A name of an option is a name of a registry, and each of them can be had."""

import pytest

from naswot_lightning.cli.parser import choices
from naswot_lightning.data import DATASETS
from naswot_lightning.errors import UserError
from naswot_lightning.execution import ENGINES, get_engine
from naswot_lightning.scores import AGGREGATES, SCORES
from naswot_lightning.scores.base import Measured, score
from naswot_lightning.scores.registry import REGISTERED, get_score
from naswot_lightning.searching.algorithms import ALGORITHMS, get_algorithm
from naswot_lightning.searching.evaluators import EVALUATORS, get_evaluator
from naswot_lightning.spaces import list_spaces


def test_options_take_the_names_of_the_registries():
    names = choices()
    for what, registry in (
        ("scores", [*SCORES, *AGGREGATES]), ("algorithms", ALGORITHMS), ("datasets", DATASETS),
        ("evaluators", EVALUATORS), ("engines", ENGINES), ("spaces", list_spaces()),
    ):  # fmt: skip
        assert list(names[what]) == list(registry)


def test_every_score_is_registered_by_the_file_that_is_named():
    assert list(REGISTERED) == list(SCORES)
    for name, file in SCORES.items():
        assert get_score(name).name == name
        assert get_score(name).function.__module__ == f"naswot_lightning.scores.{file}"
        assert get_score(name).column.name == name


def test_a_score_of_ones_own_has_a_name_of_its_own(monkeypatch):
    monkeypatch.setattr("naswot_lightning.scores.base.REGISTERED", REGISTERED.copy())

    def layers(measured: Measured) -> float:
        return float(len(list(measured.network.modules())))

    with pytest.raises(ValueError, match=r"score 'snip' is naswot_lightning\.scores\.gradient_scores\.snip already"):
        score("snip", source="ours", cost="none")(layers)
    assert score("layers", source="ours", cost="none", higher_is_better=False)(layers) is layers


def test_what_is_in_no_registry_is_one_line_with_the_names():
    for get, what, registry in (
        (get_algorithm, "algorithm", ALGORITHMS),
        (get_engine, "engine", ENGINES),
        (get_evaluator, "evaluator", EVALUATORS),
        (get_score, "score", REGISTERED),
    ):
        assert all(get(name) for name in registry)
        with pytest.raises(UserError, match=f"unknown {what} 'nosuch', expected one of {', '.join(registry)}") as error:
            get("nosuch")
        assert "\n" not in str(error.value)
