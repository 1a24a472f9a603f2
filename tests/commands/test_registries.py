"""A name of an option is a name of a registry, and each of them can be had."""

import sys
from functools import partial

import pytest
import yaml

from naswot_lightning.cli.parser import choices, parse
from naswot_lightning.config import SearchConfig
from naswot_lightning.data import DATASETS
from naswot_lightning.errors import UserError
from naswot_lightning.registry import REGISTRIES, resolve, trust_named
from naswot_lightning.scores import AGGREGATES, SCORES
from naswot_lightning.scores.base import Measured, score
from naswot_lightning.scores.registry import REGISTERED, get_score, parse_scores
from naswot_lightning.spaces import list_spaces, own_code


def test_options_take_the_names_of_the_registries():
    names = choices()
    for what, registry in (
        ("scores", [*SCORES, *AGGREGATES]), ("datasets", DATASETS), ("spaces", list_spaces()),
        *((f"{what}s", registry) for what, registry in REGISTRIES.items()),
    ):  # fmt: skip
        assert list(names[what]) == list(registry)


def test_a_score_of_ones_own_has_a_name_of_its_own(monkeypatch):
    monkeypatch.setattr("naswot_lightning.scores.base.REGISTERED", REGISTERED.copy())

    def layers(measured: Measured) -> float:
        return float(len(list(measured.network.modules())))

    with pytest.raises(ValueError, match=r"score 'snip' is naswot_lightning\.scores\.gradient_scores\.snip already"):
        score("snip", source="ours", cost="none")(layers)
    assert score("layers", source="ours", cost="none", higher_is_better=False)(layers) is layers


def test_what_is_in_no_registry_is_one_line_with_the_names():
    for get, what, registry in (
        (get_score, "score", REGISTERED),
        *((partial(resolve, what), what, registry) for what, registry in REGISTRIES.items()),
    ):
        assert all(get(name) for name in registry)
        with pytest.raises(UserError, match=f"unknown {what} 'nosuch', expected one of {', '.join(registry)}") as error:
            get("nosuch")
        assert "\n" not in str(error.value)


def test_own_code_is_imported_where_the_user_names_it_and_is_what_is_asked_for(tmp_path, monkeypatch):
    code = "def taken(measured):\n    return float(len(list(measured.network.modules())))\nclass Climb:\n    pass\n"
    (tmp_path / "own_code_of_a_test.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name = "own_code_of_a_test.taken"
    with pytest.raises(UserError, match=f"score {name}: a file names this code"):
        get_score(name)
    assert [each.name for each in parse_scores(f"naswot,{name}+snip", saved=True)] == ["naswot", f"{name}+snip"]
    assert "own_code_of_a_test" not in sys.modules
    assert parse(SearchConfig, ["--score", f"naswot,{name}"], "naswot search").score == f"naswot,{name}"
    score_of = get_score(name)
    assert (score_of.name, score_of.column.label) == (name, "taken")
    for what, path in (("algorithm", "own_code_of_a_test.Climb"), ("score", "os.system"), ("engine", "os.nothing")):
        trust_named({what: path})
        with pytest.raises(UserError, match=f"{what} .*{path}.*: (expected|module 'os' has no)"):
            resolve(what, path)
    for option, value in (("score", f"{name}+snip"), ("algorithm", "other_code.Climb:size=1.5"), ("engine", "a.b")):
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({option: value}))
        monkeypatch.setattr(own_code, "_trusted", set())
        with pytest.raises(UserError, match=f"{option} .*: a file names (this code|what would run)"):
            parse(SearchConfig, ["--config", str(tmp_path / "own.yaml")], "naswot search")
        parse(SearchConfig, ["--config", str(tmp_path / "own.yaml"), "--trust"], "naswot search")
