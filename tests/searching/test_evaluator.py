import copy
import csv

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from naswot_lightning import naswot_score
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig
from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.networks import build_network
from naswot_lightning.ranking import as_dicts, read_ranking
from naswot_lightning.scorer import summarize
from naswot_lightning.training.plan import choose_picks
from tests.runs import read_csv
from tests.searching.runs import QUICK, SPACE, rows_of
from tests.training.runs import train_here


def counted_builds(monkeypatch):
    """The architectures that the space builds from now on."""
    built, original = [], SPACE.build
    monkeypatch.setattr(type(SPACE), "build", lambda self, a, *rest: built.append(a) or original(a, *rest))
    return built


def test_scores_are_those_of_the_network_built_from_seed_and_architecture(finished):
    row = rows_of(finished)[0]
    assert row["canonical"] == SPACE.canonical(row["architecture"])
    network = build_network(SPACE, row["canonical"], seed=0, num_classes=10).to(memory_format=torch.channels_last)
    assert naswot_score(network, load_probe("digits", "", 8, 0).images) == row["score"]
    assert SPACE.complexity(row["canonical"], image_size=16).params == row["params"]


def test_equal_networks_are_scored_once(tmp_path, monkeypatch):
    built, listed = counted_builds(monkeypatch), tmp_path / "list.txt"
    twin = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
    base = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
    listed.write_text(f"# equal but for a dead branch\n{twin}\n\n{base}\n{base}\n")
    run_search(SearchConfig(run_dir=str(tmp_path / "run"), architectures=str(listed), **QUICK))
    assert built == [SPACE.canonical(base)]
    first, second = rows_of(tmp_path / "run")
    assert first["score"] == second["score"]
    assert first["seconds"] > second["seconds"] == 0
    ranking = read_ranking(tmp_path / "run")
    assert ranking["architecture"].tolist() == [twin, base]
    with pytest.raises(UserError, match="--top 2: the ranking has 1 different networks"):
        choose_picks(ranking, 2)
    run_search(SearchConfig(run_dir=str(tmp_path / "raw"), architectures=str(listed), canonical=False, **QUICK))
    assert rows_of(tmp_path / "raw")[0]["n_units"] > rows_of(tmp_path / "raw")[1]["n_units"]


def test_scores_with_the_same_fault_are_named_together():
    values = {"naswot": -np.inf, "params": 3.0, "snip": np.nan, "synflow": -np.inf}
    failed, degenerate, note = summarize([values], [], ["all smooth"], 1, None, 0.1).reason.split("; ")
    assert failed.startswith("snip: not a number")
    assert degenerate.startswith("naswot, synflow: the network gives")
    assert note == "all smooth"
    fault, *others = summarize([values], ["snip: RuntimeError: no"], ["all smooth"], 1, None, 0.1).reason.split("; ")
    assert (fault, others) == ("snip: RuntimeError: no", [degenerate, note])


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize("method", ["build", "canonical"])
def test_whatever_an_error_says_is_a_row_that_is_read_again(method, tmp_path, monkeypatch):
    errors = {
        "Speechless: (its message cannot be shown: RuntimeError)": Speechless(),
        "ValueError: half \\udc80 \\x1b[2J": ValueError("half \udc80 \x1b[2J\nmore"),
        "SystemExit: 3": SystemExit(3),
        "BaseException: ": BaseException(),
    }
    for number, (reason, error) in enumerate(errors.items()):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(type(SPACE), method, fail)
        for _ in range(2):
            run_search(SearchConfig(**{**QUICK, "run_dir": str(tmp_path / str(number)), "samples": 2}))
        assert [row["reason"] for row in rows_of(tmp_path / str(number))] == [reason] * 2


def test_degenerate_and_failed_candidates_are_rows_with_their_reason(tmp_path, monkeypatch):
    listed = tmp_path / "list.csv"
    constant = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    listed.write_text(f"index,arch\n5,{constant}\n6,{SPACE[11]}\n7,{SPACE[284]}\n")
    original = SPACE.build

    def sometimes(self, architecture, *rest):
        if architecture == SPACE.canonical(SPACE[284]):
            raise RuntimeError("no memory\nfor this one")
        return original(architecture, *rest)

    monkeypatch.setattr(type(SPACE), "build", sometimes)
    run_search(SearchConfig(run_dir=str(tmp_path / "run"), architectures=str(listed), **QUICK))
    by_status = {row["status"]: row for row in rows_of(tmp_path / "run")}
    assert set(by_status) == {"ok", "degenerate", "failed"}
    assert by_status["failed"]["reason"] == "RuntimeError: no memory"
    assert by_status["degenerate"]["score"] is None
    assert read_ranking(tmp_path / "run")["status"].tolist() == ["ok", "degenerate", "failed"]
    assert "NaN" not in (tmp_path / "run" / "ranking.json").read_text()


def test_several_scores_are_columns_of_one_build(tmp_path, monkeypatch):
    builds = counted_builds(monkeypatch)
    run_search(SearchConfig(run_dir=str(tmp_path / "run"), score="synflow,naswot,params+naswot", **QUICK))
    rows = {row["architecture"]: row for row in rows_of(tmp_path / "run")}
    assert len(builds) == len({row["canonical"] for row in rows.values()})
    assert all(row["score"] == row["scores"]["synflow"] for row in rows.values())
    ranking = list(as_dicts(read_ranking(tmp_path / "run")))
    best = [row["synflow"] for row in ranking if row["status"] == "ok"]
    assert best == sorted(best, reverse=True)
    for row in ranking:
        assert row["naswot"] == rows[row["architecture"]]["scores"]["naswot"]
        assert row["score"] == row["synflow"]
    with open(tmp_path / "run" / "ranking.csv") as file:
        assert {"synflow", "naswot", "params+naswot"} <= set(csv.DictReader(file).fieldnames)


def test_repeats_give_mean_and_deviation_and_begin_with_the_single_score(tmp_path):
    listed = tmp_path / "list"
    listed.write_text(f"{SPACE[11]}\n{SPACE[284]}\n")
    values = {}
    for repeats in (1, 3):
        run = tmp_path / str(repeats)
        run_search(SearchConfig(run_dir=str(run), architectures=str(listed), repeats=repeats, **QUICK))
        values[repeats] = rows_of(run)
    network = SPACE.canonical(SPACE[11])
    single = [
        naswot_score(build_network(SPACE, network, 0, 10, repeat), load_probe("digits", "", 8, repeat).images)
        for repeat in range(3)
    ]
    assert values[1][0]["score"] == single[0]
    assert values[3][0]["score"] == pytest.approx(sum(single) / 3)
    assert len(set(single)) == 3
    assert values[3][0]["stds"]["naswot"] == pytest.approx(np.std(single))
    assert read_ranking(tmp_path / "3")["naswot_std"][0] > 0


def smooth_networks():
    """Networks without a rectifier, a wide one and a narrow one."""

    def of_width(width):
        body = nn.Conv2d(3, width, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return lambda classes: nn.Sequential(*map(copy.deepcopy, body), nn.Linear(width, classes))

    return {"narrow": of_width(4), "wide": of_width(16)}


def test_networks_without_relu_have_every_score_that_needs_none(tmp_path):
    smooth = {"space": "tests.searching.test_evaluator.smooth_networks", **QUICK, "samples": "all"}

    def searched(score, code, **options):
        run = tmp_path / score
        assert run_search(SearchConfig(run_dir=str(run), score=score, **smooth, **options)) == code
        return rows_of(run)

    names = ("params", "macs", "synflow", "grad_norm", "jacob_cov", "random")
    rows = searched(",".join(names), 0)
    assert [(row["status"], row["reason"], row["n_units"]) for row in rows] == [("ok", None, None)] * 2
    assert all(isinstance(row["scores"][name], float) for row in rows for name in names)
    assert [row["params"] for row in rows] == [28 * width + (width + 1) * 10 for width in (4, 16)]
    rows = searched("naswot,params", 1)
    assert [(row["status"], row["score"], row["n_units"]) for row in rows] == [("failed", None, None)] * 2
    assert all("NoRectifierError: the network called no rectified linear unit" in row["reason"] for row in rows)
    # A further score that needs rectifiers leaves the first one alone.
    rows = searched("params,naswot", 0, repeats=2)
    assert [row["scores"] for row in rows] == [{"params": row["params"], "naswot": None} for row in rows]
    assert read_ranking(tmp_path / "params,naswot")["architecture"].tolist() == ["wide", "narrow"]


def test_smooth_networks_are_ranked_and_trained_by_all_their_units(tmp_path, capsys):
    smooth = {"space": "tests.searching.test_evaluator.smooth_networks", **QUICK, "samples": "all"}
    assert run_search(SearchConfig(run_dir=str(tmp_path), units="auto", **smooth)) == 0
    assert "2 scores with a warning, e.g. narrow: it has no rectifier: the codes are of its" in capsys.readouterr().out
    rows = {row["architecture"]: row for row in rows_of(tmp_path)}
    assert [row["status"] for row in rows.values()] == ["ok", "ok"]
    # The trajectory counts what the search counted, and begins with its score.
    trainer = {f"limit_{part}_batches": 1 for part in ("train", "val", "test")}
    options = {"picks": "all", "early_points": 0, "epochs": 1, "batch_size": 16, "trainer": trainer}
    assert train_here(TrainConfig(run_dir=str(tmp_path), wandb=WandbConfig("disabled"), **options)) == 0
    best = tmp_path / "picks" / "1-1"
    assert float(read_csv(best / "trajectory.csv")[0]["score"]) == rows["wide"]["score"]
    assert yaml.safe_load((best / "config.yaml").read_text())["units"] == "auto"
    # A folder of before the option had its default.
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("units: auto\n", ""))
    with pytest.raises(UserError, match="units was 'rectifiers', now 'auto'"):
        run_search(SearchConfig(run_dir=str(tmp_path), units="auto", **smooth))
