"""Predicted latency in a search: budgets, columns, what is kept, what is refused."""

import json

import pytest
from torch import nn

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.hardware.measure import Latency
from naswot_lightning.ranking import read_ranking
from naswot_lightning.searching import predicting
from naswot_lightning.searching.plan import plan_search
from naswot_lightning.spaces import Space
from naswot_lightning.storage.files import write_json
from tests.searching.runs import QUICK

CHOSEN = {**QUICK, "latency": "predicted", "run_dir": "run", "space": "tests.searching.test_predicting.Stack"}


class Stack(Space):
    """Networks of 1 to 20 convolutions."""

    def sample(self, rng):
        return str(rng.randint(1, 20))

    def mutate(self, architecture, rng):
        return str(int(architecture) % 20 + 1)

    def build(self, architecture, num_classes=10, in_channels=3):
        layers = [nn.Conv2d(in_channels, 4, 1), *(nn.Conv2d(4, 4, 1) for _ in range(int(architecture) - 1))]
        return nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """The networks that are measured: they take twice the sum of their operators, .1 ms each, 10 % more or less."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seen = []

    def add(table, recorded):
        new = {name for calls in recorded for name in calls.counts if name not in table.ms}
        table.ms |= dict.fromkeys(new, 0.1)
        return bool(new)

    def latencies(architectures, build, shape, device):
        seen.extend(architectures)
        # From round to round the machine is slower: by 1 %, 2 %, 3 % and so on.
        slower = 1 + 0.01 * (len(seen) // max(len(architectures), 1))
        ms = {each: slower * expected(each) * (1.1 if int(each) % 2 else 0.9) for each in architectures}
        yield {each: Latency(ms[each], 0.0, 0.0, 20) for each in architectures}

    monkeypatch.setattr(predicting.OperatorTable, "add", add)
    monkeypatch.setattr(predicting, "measure_networks", latencies)
    return seen


def expected(architecture):
    return 0.2 * (int(architecture) + 4)


def predicted(**options):
    return plan_search(SearchConfig(**{**CHOSEN, **options})).limits.costs["predicted_latency_ms"]


def test_predictions_follow_the_table_and_what_was_measured_is_kept(measured, tmp_path, capsys):
    cost = predicted()
    for each in ("1", "10", "20"):
        assert cost(each) == pytest.approx(expected(each), rel=0.1)
        assert 1.05 * cost(each) < cost.upper(each) < 1.25 * cost(each)
    assert sorted(map(int, measured)) == sorted([*range(1, 21)] * 5)
    said = "Latency predicted from 6 operators and 20 networks (1 image, 1 thread, cpu, torch): on networks left out of"
    out = capsys.readouterr().out
    assert said in out
    assert "Repeated latencies of a network differ by 4.0 %" in out
    cost.save()
    # Another run of the same device finds it in the cache; the same run in its folder.
    assert predicted(run_dir="other")("7") == cost("7")
    (cached,) = (tmp_path / "cache" / "naswot-lightning").iterdir()
    cached.unlink()
    assert predicted()("7") == cost("7")
    assert len(measured) == 100
    predicted(latency_batch=2)("7")
    assert len(measured) == 200


def test_what_a_run_folder_says_or_other_code_of_the_name_reaches_no_other_search(measured, tmp_path, monkeypatch):
    predicted()("7")
    (cached,) = (tmp_path / "cache" / "naswot-lightning").iterdir()
    content = json.loads(cached.read_text())
    cached.unlink()
    for each in content["networks"].values():
        each["ms"] = [1e3 * ms for ms in each["ms"]]
    content["operators"].popitem()
    write_json(tmp_path / "run" / "operators.json", content)
    assert predicted()("7") > 100
    assert not cached.exists()
    assert predicted(run_dir="other")("7") < 100
    build, seen = Stack.build, len(measured)
    monkeypatch.setattr(Stack, "build", lambda *given: nn.Sequential(nn.Conv2d(3, 3, 1), build(*given)))
    predicted(run_dir="other")("7")
    assert len(measured) == seen + 100


def test_a_budget_holds_for_the_upper_bound_and_makes_the_settings_those_of_the_run(measured, tmp_path, capsys):
    options = {**CHOSEN, "max_latency_ms": 3.0}
    run_search(SearchConfig(**options))
    out = capsys.readouterr().out
    ranking = read_ranking(tmp_path / "run")
    cost = predicted()
    assert ranking["predicted_latency_ms"].tolist() == [cost(each) for each in ranking["architecture"]]
    assert all(cost.upper(each) <= 3 for each in ranking["architecture"])
    assert "latency_ms" not in ranking
    assert "--max_latency_ms 3.00: " in out
    assert "predicted latency (ms)" in out
    with pytest.raises(UserError, match="made with different settings: latency_threads was 1, now 2"):
        run_search(SearchConfig(**options, latency_threads=2))
    # Without a budget the candidates do not depend on it.
    plain = plan_search(SearchConfig(**CHOSEN)).identity
    assert plain == plan_search(SearchConfig(**{**CHOSEN, "latency": None, "latency_threads": 2})).identity


def test_what_cannot_be_predicted_is_one_line(measured, tmp_path, monkeypatch):
    table = tmp_path / "table.csv"
    table.write_text("architecture,latency_ms\n1,2.5\n")
    for options, message in (
        ({"latency_runtime": "compiled"}, "leave out --latency_runtime compiled"),
        ({"latency_table": str(table)}, "leave out --latency_table"),
        ({"latency": None, "max_latency_ms": 5}, "give --latency_table FILE, or --latency predicted"),
        ({"shard": "1/2", "max_latency_ms": 5}, "--shard 1/2: each machine would predict"),
        ({"max_latency_ms": 0.01}, r"smallest seen: predicted_latency_ms 1\.\d+; raise"),
    ):
        with pytest.raises(UserError, match=message):
            run_search(SearchConfig(**{**CHOSEN, **options}))
    assert not (tmp_path / "run").exists()
    (cached,) = (tmp_path / "cache" / "naswot-lightning").iterdir()
    content = json.loads(cached.read_text())
    one = content["networks"]["1"]
    stopped = {name: one | {"ms": [0.0]} for name in content["networks"]}
    for networks in ({"1": "fast"}, {"1": one}, stopped):
        cached.write_text(json.dumps(content | {"networks": networks}))
        with pytest.raises(UserError, match=r"latency-.*json is damaged .*: remove it"):
            predicted()("1")
    cached.unlink()
    monkeypatch.setattr(predicting, "record", lambda network, images: 1 / 0)
    with pytest.raises(UserError, match=r"0 different networks of \S+ could be measured \(division by zero\), "):
        predicted()("1")
