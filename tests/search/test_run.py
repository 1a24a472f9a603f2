import csv

import pytest

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import as_dicts, read_ranking
from tests.runs import wandb_files
from tests.search.runs import QUICK, rows_of


def test_the_ranking_stands_beside_plain_size(tmp_path, capsys):
    assert run_search(SearchConfig(run_dir=str(tmp_path / "run"), **QUICK)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "What naswot adds over model size: Kendall tau between it and parameters" in printed
    assert "Known of this space: model size ranks it as well as naswot does." in printed


def test_rows_and_ranking_follow_the_contract(finished):
    rows = rows_of(finished)
    expected = {
        "space", "architecture", "canonical", "score", "n_units", "params", "macs", "seed", "seconds", "status",
        "reason",
    }  # fmt: skip
    assert all(expected <= set(row) for row in rows)
    ranking = list(as_dicts(read_ranking(finished)))
    assert [row["rank"] for row in ranking] == [1, 2, 3, 4, 5, 6]
    scores = [row["score"] for row in ranking if row["score"] is not None]
    assert scores == sorted(scores, reverse=True)
    with open(finished / "ranking.csv") as file:
        table = list(csv.DictReader(file))
    assert [row["architecture"] for row in table] == [row["architecture"] for row in ranking]
    assert [int(row["params"]) for row in table] == [row["params"] for row in ranking]


def test_options_override_the_file_and_the_saved_config_can_be_read_again(finished, tmp_path):
    from naswot_lightning.cli.parser import parse

    (tmp_path / "c.yaml").write_text("samples: 5\nseed: 7\nwandb:\n  mode: offline\n")
    config = parse(SearchConfig, ["--config", str(tmp_path / "c.yaml"), "--seed", "9", "--overwrite"], "search.py")
    assert (config.samples, config.seed, config.wandb.mode, config.overwrite) == (5, 9, "offline", True)
    saved = parse(SearchConfig, ["--config", str(finished / "config.yaml")], "search.py")
    assert saved == SearchConfig(run_dir=str(finished), **QUICK)


def test_search_is_logged_to_wandb_offline_once(tmp_path, capsys):
    config = SearchConfig(run_dir=str(tmp_path / "run"), samples=4, batch_size=8)
    run_search(config)
    files = wandb_files(tmp_path / "run", "*-search")
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
    scored = [row for row in as_dicts(read_ranking(tmp_path / "run")) if row["status"] == "ok"]
    tau = kendall_tau([row["score"] for row in scored], [accuracy[row["architecture"]] for row in scored])
    assert 0.50 <= tau <= 0.65


def test_scores_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(UserError, match="did you mean 'jacob_cov'"):
        run_search(SearchConfig(run_dir=str(tmp_path / "run"), score="jacob_cv+params", **QUICK))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("features", "lines"), [({"amx-bf16": True}, 0), ({"avx2": True}, 1), ({}, 0)])
def test_bf16_without_its_instructions_is_said_to_be_slow(features, lines, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("naswot_lightning.score.compiled.jit.get_host_cpu_features", lambda: features)
    run_search(SearchConfig(run_dir=str(tmp_path / "run"), precision="bf16", **QUICK))
    assert capsys.readouterr().err.count("search.py: warning: --precision bf16: this CPU has no bfloat16") == lines
