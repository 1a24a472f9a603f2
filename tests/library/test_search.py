import csv
import errno
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from naswot_lightning.analysis.statistics import kendall_tau

from naswot_lightning import naswot_score
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.networks import build_network
from naswot_lightning.ranking import read_ranking
from naswot_lightning.search import run_search
from naswot_lightning.search.algorithms.listed import given
from naswot_lightning.search.algorithms.random import sampled
from naswot_lightning.search.evaluators.score import ScoreEvaluator
from naswot_lightning.storage.json_lines import JsonLines
from naswot_lightning.training.choice import choose_picks
from spaces import get_space
from tests.conftest import ROOT

SPACE = get_space("nasbench201")
QUICK = {"samples": 6, "batch_size": 8, "wandb": WandbConfig("disabled")}


def rows_of(folder):
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def files_of(folder):
    return [(folder / name).read_bytes() for name in ("ranking.json", "ranking.csv")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert run_search(SearchConfig(run_dir=str(folder), **QUICK)) == 0
    return folder


def test_the_ranking_stands_beside_plain_size(tmp_path, capsys):
    assert run_search(SearchConfig(run_dir=str(tmp_path / "run"), **QUICK)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "What naswot adds over plain size: Kendall tau between it and parameters" in printed
    assert "Known of this space: plain size ranks it as well as naswot does." in printed


def test_rows_and_ranking_follow_the_contract(finished):
    rows = rows_of(finished)
    expected = {
        "space",
        "architecture",
        "canonical",
        "score",
        "n_units",
        "params",
        "macs",
        "seed",
        "seconds",
        "status",
    }
    assert all(expected <= set(row) for row in rows)
    ranking = [row.to_json() for row in read_ranking(finished)]
    assert [row["rank"] for row in ranking] == [1, 2, 3, 4, 5, 6]
    scores = [row["score"] for row in ranking if row["score"] is not None]
    assert scores == sorted(scores, reverse=True)
    with open(finished / "ranking.csv") as file:
        table = list(csv.DictReader(file))
    assert [row["architecture"] for row in table] == [row["architecture"] for row in ranking]
    assert [int(row["params"]) for row in table] == [row["params"] for row in ranking]


def test_scores_are_those_of_the_network_built_from_seed_and_architecture(finished):
    row = rows_of(finished)[0]
    assert row["canonical"] == SPACE.canonical(row["architecture"])
    network = build_network(SPACE, row["canonical"], seed=0, num_classes=10).to(memory_format=torch.channels_last)
    assert naswot_score(network, load_probe("digits", "", 8, 0).images) == row["score"]
    assert SPACE.complexity(row["canonical"], image_size=16).params == row["params"]


def test_a_score_depends_neither_on_order_nor_on_generators():
    evaluator = ScoreEvaluator(SPACE, [load_probe("digits", "", 8, 0)], seed=3)
    torch.manual_seed(1)
    first = [evaluator(SPACE[i]).scores["naswot"] for i in (11, 284)]
    torch.manual_seed(2)
    assert [evaluator(SPACE[i]).scores["naswot"] for i in (284, 11)] == first[::-1]
    other = ScoreEvaluator(SPACE, [load_probe("digits", "", 8, 0)], seed=4)
    assert other(SPACE[11]).scores["naswot"] != first[0]


def test_running_again_changes_nothing_and_scores_nothing(finished, monkeypatch):
    before = files_of(finished), (finished / "scores.jsonl").read_bytes()

    def refuse(*_):
        raise AssertionError("scored again")

    monkeypatch.setattr(ScoreEvaluator, "_measured", refuse)
    assert run_search(SearchConfig(run_dir=str(finished), **QUICK)) == 0
    assert (files_of(finished), (finished / "scores.jsonl").read_bytes()) == before


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_cut_by_a_crash_is_scored_again(finished, tmp_path, cut):
    run = tmp_path / "run"
    run.mkdir()
    content = (finished / "scores.jsonl").read_bytes()
    (run / "scores.jsonl").write_bytes(content[:-cut])
    (run / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    assert run_search(SearchConfig(run_dir=str(run), **QUICK)) == 0
    assert files_of(run) == files_of(finished)
    assert len(rows_of(run)) == 6


def test_a_damaged_line_inside_the_file_is_named(finished, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    lines = (finished / "scores.jsonl").read_text().splitlines()
    (run / "scores.jsonl").write_text("\n".join([lines[0], "{broken", *lines[1:]]) + "\n")
    (run / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    with pytest.raises(UserError, match=r"scores.jsonl, line 2: not a JSON object; remove the line"):
        run_search(SearchConfig(run_dir=str(run), **QUICK))


def test_other_settings_are_refused_named_and_overwritten_on_request(tmp_path):
    run = str(tmp_path / "run")
    run_search(SearchConfig(run_dir=run, **QUICK))
    before = (tmp_path / "run" / "scores.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"seed was 0, now 1.*--overwrite"):
        run_search(SearchConfig(run_dir=run, seed=1, **QUICK))
    assert (tmp_path / "run" / "scores.jsonl").read_bytes() == before
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert run_search(SearchConfig(run_dir=run, seed=1, overwrite=True, **QUICK)) == 0
    assert {row["seed"] for row in rows_of(tmp_path / "run")} == {1}
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_overwrite_with_the_same_settings_keeps_what_is_finished(finished, monkeypatch):
    before = (finished / "scores.jsonl").read_bytes()
    run_search(SearchConfig(run_dir=str(finished), overwrite=True, **QUICK))
    assert (finished / "scores.jsonl").read_bytes() == before


def test_changed_data_is_noticed(finished, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    rows = rows_of(finished)[:3]
    (run / "scores.jsonl").write_text("".join(json.dumps({**row, "probe": "0" * 16}) + "\n" for row in rows))
    (run / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    with pytest.raises(UserError, match="the data has changed"):
        run_search(SearchConfig(run_dir=str(run), **QUICK))


def test_equal_networks_are_scored_once(tmp_path, monkeypatch):
    scored = []
    original = ScoreEvaluator._measured
    monkeypatch.setattr(
        ScoreEvaluator, "_measured", lambda self, a, *rest: scored.append(a) or original(self, a, *rest)
    )
    listed = tmp_path / "list.txt"
    twin = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
    base = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
    listed.write_text(f"# equal but for a dead branch\n{twin}\n\n{base}\n{base}\n")
    run_search(SearchConfig(run_dir=str(tmp_path / "run"), architectures=str(listed), **QUICK))
    assert scored == [SPACE.canonical(base)]
    first, second = rows_of(tmp_path / "run")
    assert first["score"] == second["score"]
    ranking = read_ranking(tmp_path / "run")
    assert [row.architecture for row in ranking] == [twin, base]
    with pytest.raises(UserError, match="--top 2: the ranking has 1 different networks"):
        choose_picks(ranking, 2)
    run_search(SearchConfig(run_dir=str(tmp_path / "raw"), architectures=str(listed), canonical=False, **QUICK))
    assert rows_of(tmp_path / "raw")[0]["n_units"] > rows_of(tmp_path / "raw")[1]["n_units"]


def test_degenerate_and_failed_candidates_are_rows_with_their_reason(tmp_path, monkeypatch):
    listed = tmp_path / "list.csv"
    constant = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    listed.write_text(f"index,arch\n5,{constant}\n6,{SPACE[11]}\n7,{SPACE[284]}\n")
    original = ScoreEvaluator._measured

    def sometimes(self, architecture, *rest):
        if architecture == SPACE.canonical(SPACE[284]):
            raise RuntimeError("no memory\nfor this one")
        return original(self, architecture, *rest)

    monkeypatch.setattr(ScoreEvaluator, "_measured", sometimes)
    run_search(SearchConfig(run_dir=str(tmp_path / "run"), architectures=str(listed), **QUICK))
    by_status = {row["status"]: row for row in rows_of(tmp_path / "run")}
    assert set(by_status) == {"ok", "degenerate", "failed"}
    assert by_status["failed"]["reason"] == "RuntimeError: no memory"
    assert by_status["degenerate"]["score"] is None
    assert [row.status for row in read_ranking(tmp_path / "run")] == ["ok", "degenerate", "failed"]
    assert "NaN" not in (tmp_path / "run" / "ranking.json").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no architecture in it"),
        ("|none~0|\n", "line 1: architecture"),
        (f"{SPACE[0]}\nnonsense\n", "line 2: architecture 'nonsense': expected 3 nodes"),
        ("index,arch\n1,oops\n", "line 2: architecture 'oops'"),
    ],
)
def test_faults_of_a_list_are_named_by_line(tmp_path, content, message):
    (tmp_path / "list").write_text(content)
    with pytest.raises(UserError, match=message):
        given(SPACE, tmp_path / "list")
    with pytest.raises(UserError, match="no such file"):
        given(SPACE, tmp_path / "absent")


def test_samples_are_distinct_and_grow_from_the_front():
    assert sampled(SPACE, 50, 1) == sampled(SPACE, 80, 1)[:50]
    assert len(set(sampled(SPACE, 80, 1))) == 80
    assert len(set(sampled(SPACE, 15_625, 1))) == 15_625
    with pytest.raises(UserError, match="15625 architectures; use --samples all"):
        sampled(SPACE, 15_626, 1)


def test_two_processes_cannot_share_a_folder(finished):
    from naswot_lightning.storage.files import locked

    with locked(finished), pytest.raises(UserError, match="in use by another process"):
        run_search(SearchConfig(run_dir=str(finished), **QUICK))


def test_a_full_disk_loses_nothing_that_was_finished(tmp_path):
    path = tmp_path / "scores.jsonl"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with JsonLines(path) as rows:
        rows.append({"n": 1})
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, limit[1]))
            with pytest.raises(OSError, match=r"scores\.jsonl") as caught:
                rows.append({"text": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert caught.value.errno == errno.EFBIG
        assert path.read_text() == '{"n": 1}\n'
        rows.append({"n": 2})
    with JsonLines(path) as again:
        assert again.objects == [{"n": 1}, {"n": 2}]


def _small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))


def test_command_line_on_a_full_disk(search, tmp_path):
    result = search("--samples", 12, "--batch_size", 8, "--run_dir", tmp_path / "run", preexec_fn=_small_files)
    assert result.returncode == 2
    assert "raise the limit on file sizes" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    again = search("--samples", 12, "--batch_size", 8, "--run_dir", tmp_path / "run")
    assert again.returncode == 0
    assert len(read_ranking(tmp_path / "run")) == 12


def test_killed_at_any_moment_the_ranking_is_the_same(tmp_path):
    """SIGKILL at three moments, run again each time: the ranking is byte-identical."""
    command = [
        sys.executable,
        "search.py",
        "--samples",
        "40",
        "--batch_size",
        "32",
        "--wandb.mode",
        "disabled",
    ]
    rng = random.Random(time.time_ns())
    run = tmp_path / "killed"
    for _ in range(3):
        process = subprocess.Popen(
            [*command, "--run_dir", str(run)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        start = len((run / "scores.jsonl").read_bytes()) if (run / "scores.jsonl").exists() else 0
        wanted = start + rng.randint(200, 4_000)
        while time.monotonic() < deadline and process.poll() is None:
            if (run / "scores.jsonl").exists() and (run / "scores.jsonl").stat().st_size >= wanted:
                break
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    for folder in (run, tmp_path / "whole"):
        done = subprocess.run([*command, "--run_dir", str(folder)], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    assert files_of(run) == files_of(tmp_path / "whole")


def test_a_file_where_the_run_folder_should_be(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="there is a file of that name"):
        run_search(SearchConfig(run_dir=str(tmp_path / "run"), **QUICK))
    with pytest.raises(UserError, match="there is a file of that name"):
        run_search(SearchConfig(run_dir=str(tmp_path / "run" / "inside"), **QUICK))


def test_options_override_the_file_and_the_saved_config_can_be_read_again(finished, tmp_path):
    from naswot_lightning.command_line import parse

    (tmp_path / "c.yaml").write_text("samples: 5\nseed: 7\nwandb:\n  mode: offline\n")
    config = parse(SearchConfig, ["--config", str(tmp_path / "c.yaml"), "--seed", "9", "--overwrite"], "search.py")
    assert (config.samples, config.seed, config.wandb.mode, config.overwrite) == (5, 9, "offline", True)
    saved = parse(SearchConfig, ["--config", str(finished / "config.yaml")], "search.py")
    assert saved == SearchConfig(run_dir=str(finished), **QUICK)


def test_search_is_logged_to_wandb_offline_once(tmp_path, capsys):
    config = SearchConfig(run_dir=str(tmp_path / "run"), samples=4, batch_size=8)
    run_search(config)
    files = list((tmp_path / "run" / "wandb").glob("offline-run-*-search/*.wandb"))
    assert len(files) == 1
    content = files[0].read_bytes()
    assert b"best_architecture" in content
    assert b"ranking" in content
    run_search(config)
    assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*"))) == 1


@pytest.mark.slow
def test_kendall_tau_on_real_images_is_that_of_the_paper(search, shared, tmp_path):
    """300 architectures with published accuracy, 128 real CIFAR-10 images; the paper reports 0.574."""
    table = list(csv.DictReader(shared("nasbench201-accuracies-1500.csv").open()))[:300]
    (tmp_path / "list.txt").write_text("\n".join(row["arch"] for row in table))
    result = search(
        "--architectures", tmp_path / "list.txt", "--dataset", "imagefolder", "--canonical", "false",
        "--data_dir", shared("cifar10-images"), "--run_dir", tmp_path / "run", timeout=1_200,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    accuracy = {row["arch"]: float(row["cifar10_oritest_200"]) for row in table}
    scored = [row for row in read_ranking(tmp_path / "run") if row.status == "ok"]
    tau = kendall_tau([r.score for r in scored], [accuracy[r.architecture] for r in scored])
    assert 0.50 <= tau <= 0.65


def test_several_scores_are_columns_of_one_build(tmp_path, monkeypatch):
    builds = []
    original = SPACE.build
    monkeypatch.setattr(type(SPACE), "build", lambda self, a, *rest: builds.append(a) or original(a, *rest))
    config = SearchConfig(run_dir=str(tmp_path / "run"), score="synflow,naswot,params+naswot", **QUICK)
    run_search(config)
    rows = rows_of(tmp_path / "run")
    assert len(builds) == len({row["canonical"] for row in rows})
    assert [row["score"] for row in rows] == [row["scores"]["synflow"] for row in rows]
    ranking = [row.to_json() for row in read_ranking(tmp_path / "run")]
    best = [row["synflow"] for row in ranking if row["status"] == "ok"]
    assert best == sorted(best, reverse=True)
    by_architecture = {row["architecture"]: row for row in rows}
    for row in ranking:
        assert row["naswot"] == by_architecture[row["architecture"]]["scores"]["naswot"]
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
    evaluator = ScoreEvaluator(SPACE, [load_probe("digits", "", 8, seed) for seed in range(3)])
    size = SPACE.complexity(SPACE[11])
    single = [evaluator._measured(SPACE.canonical(SPACE[11]), repeat, size).kernel.logdet() for repeat in range(3)]
    assert values[1][0]["score"] == single[0]
    assert values[3][0]["score"] == pytest.approx(sum(single) / 3)
    assert len(set(single)) == 3
    assert values[3][0]["stds"]["naswot"] == pytest.approx(np.std(single))
    assert read_ranking(tmp_path / "3")[0].more["naswot_std"] > 0


def test_scores_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(UserError, match="did you mean 'jacob_cov'"):
        run_search(SearchConfig(run_dir=str(tmp_path / "run"), score="jacob_cv+params", **QUICK))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("features", "lines"), [({"amx-bf16": True}, 0), ({"avx2": True}, 1), ({}, 0)])
def test_bf16_without_its_instructions_is_said_to_be_slow(features, lines, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("naswot_lightning.score.compiled.instructions.get_host_cpu_features", lambda: features)
    run_search(SearchConfig(run_dir=str(tmp_path / "run"), precision="bf16", **QUICK))
    assert capsys.readouterr().err.count("search.py: warning: --precision bf16: this CPU has no bfloat16") == lines


def test_limits_refuse_before_scoring_and_say_how_many(tmp_path, capsys):
    run = tmp_path / "run"
    run_search(SearchConfig(run_dir=str(run), max_params=400_000, max_macs=13_000_000, **QUICK))
    assert len(rows_of(run)) == 6
    assert all(row["params"] <= 400_000 and row["macs"] <= 13_000_000 for row in rows_of(run))
    assert "candidates refused" in capsys.readouterr().out
    with pytest.raises(UserError, match="within the limits"):
        run_search(SearchConfig(run_dir=str(tmp_path / "none"), max_params=10, **{**QUICK, "samples": 1}))
    listed = tmp_path / "list"
    listed.write_text(SPACE[1462])
    with pytest.raises(UserError, match=r"1 of 1 candidates refused.*raise the limits"):
        run_search(SearchConfig(run_dir=str(tmp_path / "none"), max_params=10, architectures=str(listed), **QUICK))
    assert not (tmp_path / "none").exists()
